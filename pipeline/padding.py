"""Expert tiles of 510 pixels made 512, the size that networks with five halvings want."""

from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.legend import UNLABELLED

Pixel = TypeVar("Pixel", bound=np.generic)


def pad_label(label: NDArray[np.uint8], size: int = 512) -> NDArray[np.uint8]:
    """Centre a label on ``size`` x ``size`` pixels; the border is unlabelled (255).

    Args:
        label: (..., y, x) uint8.
        size: Rows and columns afterwards.

    Raises:
        ValueError: The label is larger than that.
    """
    return np.pad(label, _widths(label, size), constant_values=UNLABELLED)


def pad_image(
    image: NDArray[Pixel], border: Literal["zero", "edge"], size: int = 512
) -> NDArray[Pixel]:
    """Centre an image on ``size`` x ``size`` pixels.

    The paper (CromSS) pads with zeros, its released LMDB writer by repeating the edge.

    Args:
        image: (..., y, x) of any dtype.
        border: ``zero`` or ``edge``.
        size: Rows and columns afterwards.

    Raises:
        ValueError: The image is larger than that.
    """
    mode: Any = {"zero": "constant", "edge": "edge"}[border]
    return np.pad(image, _widths(image, size), mode=mode)


def _widths(array: NDArray[Any], size: int) -> list[tuple[int, int]]:
    rows, columns = array.shape[-2:]
    if rows > size or columns > size:
        raise ValueError(f"a tile of {rows} x {columns} pixels does not fit into {size} x {size}")
    top, left = (size - rows) // 2, (size - columns) // 2
    unpadded = [(0, 0)] * (array.ndim - 2)
    return [*unpadded, (top, size - rows - top), (left, size - columns - left)]
