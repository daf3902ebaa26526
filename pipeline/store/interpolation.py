"""From 20 and 60 m pixels to 10 m ones that nest in them."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["nearest", "bilinear", "bicubic"]

_BICUBIC_SHAPE = -0.5
"""Parameter a of the cubic convolution kernel: Keys 1981 (IEEE TASSP 29, eq. 15); Pillow's too."""


def interpolate(
    values: NDArray[Any], shape: tuple[int, int], method: Method, nodata: int
) -> NDArray[Any]:
    """Refine one band to a finer grid over the same ground.

    Pixel centres keep their place (half-pixel convention). Where the kernel reaches beyond the
    edge, or into pixels without data, it is cut off and its weights are scaled to sum to one, as
    Pillow does at the edge.

    Args:
        values: (rows, columns) of the coarse grid.
        shape: Rows and columns of the fine grid; whole multiples.
        method: ``nearest`` keeps the values exactly.
        nodata: Value of coarse pixels without data; all fine pixels in them get it too.

    Returns:
        ``shape``: the dtype of the values for ``nearest``, else float32.
    """
    rows, columns = shape[0] // values.shape[0], shape[1] // values.shape[1]
    nearest = np.repeat(np.repeat(values, rows, axis=0), columns, axis=1)
    if method == "nearest":
        return nearest
    down = _weights(values.shape[0], rows, method)
    across = _weights(values.shape[1], columns, method)
    present = (values != nodata).astype(np.float64)
    fine = down @ (values * present) @ across.T
    if not present.all():
        # A pixel with data has most of the weight on itself, so there the sum is far from zero.
        weights = down @ present @ across.T
        fine = np.divide(fine, weights, out=fine, where=nearest != nodata)
    return np.where(nearest == nodata, nodata, fine).astype(np.float32)


@lru_cache(maxsize=16)
def _weights(count: int, factor: int, method: Method) -> NDArray[np.float64]:
    """(count x factor, count): the share of every coarse pixel in every fine one."""
    centres = (np.arange(count * factor) + 0.5) / factor - 0.5
    distance = np.abs(centres[:, None] - np.arange(count))
    kernel = _linear(distance) if method == "bilinear" else _cubic(distance)
    return kernel / kernel.sum(axis=1, keepdims=True)


def _linear(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(1.0 - distance, 0.0, None)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    a = _BICUBIC_SHAPE
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
