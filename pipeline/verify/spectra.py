"""Are the bands in their order, and free of a radiometric offset? Asked of the spectra themselves.

A scene's 60 m blocks are compared with a library of spectra of real scenes (``spectra.csv``), once
as stored and once for each defect undone: two bands swapped back, 1000 taken off again. A defect is
found where undoing it makes the scene look like the Earth, and nothing else does. Only the shape of
a spectrum counts, not its brightness.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.offset import OFFSET
from pipeline.sensors import cube_bands

BANDS = tuple(band.name for band in cube_bands("sentinel-2"))

SPREADS = np.array([0.12, 0.12, 0.12, 0.15, 0.12, 0.12, 0.12, 0.12, 0.12, 0.4, 0.8, 0.25, 0.3])
"""Natural spread of the logarithm of a band around a spectrum of the library, by band of `BANDS`;
ours, fitted on real scenes left out of the library: vapour moves B9, high cloud B10, moisture B11
and B12."""

_SHAPE_BANDS = 9
"""The mean of the first so many bands, B1 to B8A, is the brightness that a shape leaves out."""

_DARKEST = 5.0
"""Reflectance x 10000 below which the noise of B10 would count."""

_BLOCKS = 150
"""Blocks of a scene that are looked at; more change the mean by less than the limits."""

_WORST = 50.0
"""Distance per band beyond which a block is unknown, so that single blocks decide nothing."""


@dataclass(frozen=True)
class Defect:
    """Something that may have happened to the bands of a scene.

    Attributes:
        kind: ``bands`` for a swap, ``offset`` for +1000.
        bands: The two that are swapped, or those that carry the offset.
    """

    kind: str
    bands: tuple[str, ...]

    def undone(self, blocks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Blocks (13, n) as they were before."""
        rows = [BANDS.index(name) for name in self.bands]
        restored = blocks.copy()
        if self.kind == "bands":
            restored[rows] = blocks[rows[::-1]]
        else:
            restored[rows] = np.maximum(blocks[rows] - OFFSET, 1)
        return restored


@cache
def load_library_spectra() -> NDArray[np.float64]:
    """The spectra of the library, (spectra, 13), reflectance x 10000."""
    text = files("pipeline.verify").joinpath("spectra.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return np.array([[float(row[name]) for name in BANDS] for row in rows])


def possible_defects(arrays: Sequence[Sequence[str]]) -> tuple[Defect, ...]:
    """What may have happened to a store: swaps within an array, offsets of one, some or all bands.

    Args:
        arrays: Names of the bands of each array that holds Sentinel-2.
    """
    pairs = [pair for names in arrays for pair in combinations(names, 2)]
    offsets = [tuple(BANDS), *((name,) for name in BANDS)]
    if len(arrays) > 1:
        offsets += [tuple(names) for names in arrays]
    swaps = [Defect("bands", pair) for pair in pairs]
    return (*swaps, *(Defect("offset", names) for names in offsets))


def block_means(bands: Mapping[str, NDArray[Any]], factor: int) -> NDArray[np.float32]:
    """Means over blocks of 60 m, without those that lack data.

    Args:
        bands: (y, x) by name, all 13; a band may be coarser than the finest by a whole factor.
        factor: Pixels of the finest band in the edge of a block.

    Returns:
        (13, blocks).
    """
    finest = max(len(bands[name]) for name in BANDS)
    means = []
    holes = []
    for name in BANDS:
        band = bands[name]
        edge = max(factor * len(band) // finest, 1)
        rows, columns = (size // edge for size in band.shape)
        cut = band[: rows * edge, : columns * edge].reshape(rows, edge, columns, edge)
        means.append(cut.mean(axis=(1, 3), dtype=np.float32))
        if name != "B10":
            holes.append((cut == 0).any(axis=(1, 3)))
    rows, columns = (min(mean.shape[axis] for mean in means) for axis in (0, 1))
    whole = np.stack([mean[:rows, :columns] for mean in means]).reshape(len(BANDS), -1)
    missing = np.all([hole[:rows, :columns] for hole in holes], axis=0)
    return np.asarray(whole[:, ~missing.ravel()])


def shapes(blocks: NDArray[Any]) -> NDArray[np.float64]:
    """Logarithms of blocks (13, n), less the brightness of each."""
    logs = np.log(np.maximum(blocks, _DARKEST))
    return np.asarray(logs - logs[:_SHAPE_BANDS].mean(axis=0))


def distances(
    blocks: NDArray[np.float32], defects: Sequence[Defect]
) -> tuple[float, NDArray[np.float64]]:
    """How far a scene is from the library as it is, and with each defect undone.

    Returns:
        Mean over the blocks of the squared distance to the nearest spectrum, in `SPREADS`; lower
        is more like the Earth.
    """
    step = max(blocks.shape[1] // _BLOCKS, 1)
    some = blocks[:, ::step][:, :_BLOCKS]
    undone = np.array([_distance(defect.undone(some)) for defect in defects])
    return _distance(some), undone


def _distance(blocks: NDArray[np.float32]) -> float:
    library = _library_points()
    points = (shapes(blocks) / SPREADS[:, None]).T
    # |a - b|^2 = |a|^2 - 2 a.b + |b|^2, without an array of all three axes
    squares = (points**2).sum(axis=1)[:, None] + (library**2).sum(axis=1)
    nearest = (squares - 2 * points @ library.T).min(axis=1)
    return float(np.minimum(nearest, _WORST * len(BANDS)).mean())


@cache
def _library_points() -> NDArray[np.float64]:
    return np.asarray(shapes(load_library_spectra().T).T / SPREADS)
