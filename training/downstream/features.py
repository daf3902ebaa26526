"""What an encoder makes of images: the features of each of its stages.

Shapes: B images, N rows of a table of features, D its columns.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.downstream.heads import padded
from training.downstream.tile_batch import TileInputs
from training.encoders.vit_pyramid import STRIDES, ViTPyramid


@torch.inference_mode()
def pooled_features(
    encoder: nn.Module,
    inputs: TileInputs,
    batches: Iterable[dict[str, Tensor]],
    device: torch.device,
) -> Tensor:
    """The mean over all pixels of the deepest stage, as is usual for probes.

    Args:
        encoder: A pyramid of stages; is put into evaluation mode.
        inputs: Makes the encoder's input.
        batches: Stored integers by array.
        device: Of encoder and inputs.

    Returns:
        (N, D) float32 on the CPU.
    """
    return torch.cat(
        [stages[-1].mean((2, 3)) for stages in _stages(encoder, inputs, batches, device)]
    )


@torch.inference_mode()
def stage_features(
    encoder: nn.Module,
    inputs: TileInputs,
    batches: Iterable[dict[str, Tensor]],
    device: torch.device,
    pixels_per_image: int = 64,
) -> list[tuple[Tensor, Tensor]]:
    """Features of every stage, of whole images and of single pixels.

    Args:
        encoder: A pyramid of stages; is put into evaluation mode.
        inputs: Makes the encoder's input.
        batches: Stored integers by array.
        device: Of encoder and inputs.
        pixels_per_image: Pixels taken of each image, evenly spread; all of a smaller map.

    Returns:
        For each stage from the finest: (images, D) means over pixels, (pixels, D) single pixels.
    """
    images: list[list[Tensor]] = []
    pixels: list[list[Tensor]] = []
    for stages in _stages(encoder, inputs, batches, device):
        if not images:
            images, pixels = [[] for _ in stages], [[] for _ in stages]
        for number, stage_BDHW in enumerate(stages):
            images[number].append(stage_BDHW.mean((2, 3)))
            flat_BPD = stage_BDHW.flatten(2).transpose(1, 2)
            count = min(pixels_per_image, flat_BPD.shape[1])
            places = torch.linspace(0, flat_BPD.shape[1] - 1, count).round().long()
            pixels[number].append(flat_BPD[:, places].flatten(0, 1))
    return [
        (torch.cat(whole), torch.cat(single)) for whole, single in zip(images, pixels, strict=True)
    ]


def _stages(
    encoder: nn.Module,
    inputs: TileInputs,
    batches: Iterable[dict[str, Tensor]],
    device: torch.device,
) -> Iterable[list[Tensor]]:
    """Maps of each batch, finest first, without the image itself and empty stages.

    Convolutions take any size, transformers whole patches alone: for them the edge is repeated.
    """
    encoder.eval()
    multiple = STRIDES[-1] if isinstance(encoder, ViTPyramid) else 1
    for stored in batches:
        imagery = {name: array.to(device) for name, array in stored.items()}
        rows, columns = next(iter(imagery.values())).shape[-2:]
        image_BCHW, _, _ = padded(inputs(imagery, (rows, columns)), multiple)
        maps = encoder(image_BCHW)[1:]
        yield [stage.float().cpu() for stage in maps if stage.shape[1] > 0]
