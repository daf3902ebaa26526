"""Morphology on labels, for comparison with the released dataset; the decoding needs none."""

from typing import TypeVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio import features

from pipeline.legend import UNLABELLED

Pixel = TypeVar("Pixel", bound=np.generic)

SMALLEST_PATCH = 4
"""Pixels of the smallest patch that `sieved` leaves, 400 square metres at 10 m."""

_PIXELS = Affine.scale(1.0, -1.0)
"""Pixel units with y upwards; rasterio warns of plain pixel coordinates as if they were a slip."""


def sieved(label: NDArray[np.uint8], smallest: int = SMALLEST_PATCH) -> NDArray[np.uint8]:
    """Unlabel patches of fewer pixels than ``smallest``; neighbours count along edges only."""
    labelled = label != UNLABELLED
    patches = features.shapes(label, mask=labelled, connectivity=4, transform=_PIXELS)
    small = [(patch, 1) for patch, _ in patches if _pixels(patch) < smallest]
    if not small:
        return label.copy()
    erased = features.rasterize(small, out_shape=label.shape, dtype="uint8", transform=_PIXELS)
    return np.where(erased, UNLABELLED, label).astype(np.uint8)


def _pixels(patch: dict[str, list[list[tuple[float, float]]]]) -> float:
    """Area of a patch in pixel coordinates: the shoelace formula, holes subtracted."""
    areas = []
    for ring in patch["coordinates"]:
        x, y = np.array(ring).T
        areas.append(abs(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2)
    return float(areas[0] - sum(areas[1:]))


def opened(ids: NDArray[np.uint8], erased: int) -> NDArray[np.uint8]:
    """Open every class with the 3 x 3 cross, as the released dataset was cleaned.

    A pixel is a core if its four neighbours carry its id (beyond the edge everything does); a pixel
    stays if it is a core or beside one. Erosion and dilation of all classes in one pass: the
    neighbours of a core are of its class.

    Args:
        ids: (y, x) uint8.
        erased: What the other pixels become.
    """
    padded = np.pad(ids, 1, mode="edge")
    core = np.ones(ids.shape, bool)
    for neighbour in _neighbours(padded):
        core &= neighbour == ids
    kept = core.copy()
    for neighbour in _neighbours(np.pad(core, 1)):
        kept |= neighbour
    return np.where(kept, ids, erased).astype(np.uint8)


def _neighbours(padded: NDArray[Pixel]) -> tuple[NDArray[Pixel], ...]:
    return padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
