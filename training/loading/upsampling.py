"""Sentinel-2 bands of 20 and 60 m on the 10 m grid, for a whole batch on the device."""

import torch.nn.functional as F
from torch import Tensor

from pipeline.settings.pretrain import Upsampling


def upsample(bands_BCHW: Tensor, size: tuple[int, int], method: Upsampling) -> Tensor:
    """Refine bands to a finer grid over the same ground.

    Half-pixel convention and kernels are those of `pipeline.store.reader.as_cube`, and Pillow's:
    beyond the edge the kernel is cut off and its weights are scaled to sum to one. Torch follows
    Pillow when told to antialias, which changes nothing else when an image grows.

    Args:
        bands_BCHW: Floating point, coarse.
        size: Rows and columns of the fine grid.
        method: "nearest", "bilinear" or "bicubic".

    Returns:
        (B, C, *size) of the same dtype.
    """
    if bands_BCHW.shape[-2:] == size:
        return bands_BCHW
    if method == "nearest":
        return F.interpolate(bands_BCHW, size=size, mode="nearest")
    return F.interpolate(bands_BCHW, size=size, mode=method, antialias=True)
