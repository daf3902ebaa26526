"""The comparisons by which arrays of a sample are checked to show the same ground, pixel by pixel.

Within one acquisition: each band against the others of its resolution, the 20 and 60 m bands
against the 10 m ones; these are sharp, and one scene is enough. Radar and labels against the 10 m
bands: noisy, so that one pixel shows over a whole store only. Between the seasons of a sample: each
season against the others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.sensors import cube_bands
from pipeline.verify.displacement import (
    REACH,
    backscatter_edges,
    brightness_edges,
    correlation_surface,
    label_edges,
    spectrum,
)
from pipeline.verify.stored import Sample, StoredGroup

_NO_EDGES = ("B10",)
"""Bands in which the ground does not show."""

_BLOCK = 6
"""10 m pixels in the edge of a 60 m one."""

_SMALLEST = 14
"""Pixels along the edge of an image below which there is too little to correlate."""

FINE_BANDS = "the 10 m bands"

SURFACE_SHAPE = (2 * REACH + 1, 2 * REACH + 1)


@dataclass(frozen=True)
class Pair:
    """Two images that should coincide.

    Attributes:
        array: The one that would be blamed.
        against: What it is compared with, as in "lies 1 px south of <against>".
        season: 0 to 3; None without seasons.
        pixel_m: Size of a pixel of the surface, metres.
        edge: Pixels along the shorter edge of the images.
        surface: Of correlation.
    """

    array: str
    against: str
    season: int | None
    pixel_m: int
    edge: int
    surface: NDArray[Any]

    @property
    def of_arrays(self) -> bool:
        """Whether two whole arrays of Sentinel-2 are compared, not bands, radar or labels."""
        return self.against.startswith("s2")


class PairKey(NamedTuple):
    """By what comparisons are summed over scenes.

    Attributes:
        check: Name of the check that sums, as in every pool.
        group: Of the store.
        array: As in `Pair`.
        against: Likewise.
        season: Likewise; None also for all seasons together.
        pixel_m: Likewise.
    """

    check: str
    group: str
    array: str
    against: str
    season: int | None
    pixel_m: int


@dataclass(frozen=True)
class _Layer:
    """One image's edges in the Fourier domain."""

    shape: tuple[int, int]
    transform: NDArray[np.complex64]


def compare_sample(sample: Sample) -> Iterator[Pair]:
    """Every comparison within one sample; those of a scene come before those between seasons."""
    group = sample.group
    layers: dict[str, list[_Layer]] = {}
    for season, name in enumerate(sample.season_names):
        bands = _finest_bands(sample.bands(season))
        yield from _optical_pairs(group, bands, name, layers)
        yield from _other_pairs(sample, season, name, layers)
    for array, seasons in layers.items():
        if len(seasons) > 1:
            yield from _season_pairs(array, seasons)


def pooled(surface: NDArray[Any]) -> NDArray[np.float64]:
    """A count, the surface, squares of its gain over the middle and over the mirrored place."""
    gain = surface - surface[REACH, REACH]
    skew = surface - surface[::-1, ::-1]
    return np.concatenate([[1.0], surface.ravel(), (gain**2).ravel(), (skew**2).ravel()])


def unpooled(values: NDArray[np.float64]) -> tuple[float, Any, Any, Any]:
    """The sums that `pooled` made: count, surface, squares of gains and of skews."""
    surface, gains, skews = values[1:].reshape(3, *SURFACE_SHAPE)
    return float(values[0]), surface, gains, skews


def merge_seasons(
    pools: Mapping[PairKey, NDArray[np.float64]],
) -> dict[PairKey, NDArray[np.float64]]:
    """The pools of each season, and those over all of them."""
    merged: dict[PairKey, NDArray[np.float64]] = {}
    for key, values in pools.items():
        for season in {key.season, None}:
            one = key._replace(season=season)
            merged[one] = merged[one] + values if one in merged else values
    return merged


def is_complete(group: StoredGroup) -> bool:
    """Whether all bands of Sentinel-2 are there to compare."""
    held = {band for array in group.arrays if array.optical for band in array.bands}
    return held >= {band.name for band in cube_bands("sentinel-2")}


def fine_array(group: StoredGroup) -> str:
    """Name of the array with the 10 m bands."""
    return next(array.name for array in group.arrays if "B2" in array.bands)


def _layer(edges: NDArray[np.float32]) -> _Layer:
    return _Layer((edges.shape[0], edges.shape[1]), spectrum(edges))


def _surface(first: _Layer, second: _Layer) -> NDArray[Any]:
    if min(first.shape) < _SMALLEST:
        return np.zeros(SURFACE_SHAPE)
    return correlation_surface(first.transform, second.transform, first.shape)


def _doubled(band: NDArray[Any]) -> NDArray[np.float32]:
    finer = ndimage.zoom(band.astype(np.float32), 2, order=1, grid_mode=True, mode="nearest")
    return np.asarray(finer)


def _block_mean(band: NDArray[Any]) -> NDArray[np.float32]:
    rows, columns = band.shape[0] // _BLOCK, band.shape[1] // _BLOCK
    blocks = band.reshape(rows, _BLOCK, columns, _BLOCK)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _finest_bands(bands: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """All bands, cut to whole blocks of 60 m where they are on the 10 m grid."""
    size = len(bands["B2"]) // _BLOCK * _BLOCK
    return {name: band[:size, :size] for name, band in bands.items()}


def _optical_pairs(
    group: StoredGroup,
    bands: dict[str, NDArray[Any]],
    season: int | None,
    layers: dict[str, list[_Layer]],
) -> Iterator[Pair]:
    """Bands among themselves; leaves the layers of the 10 and 20 m bands behind."""
    home = {band: array.name for array in group.arrays if array.optical for band in array.bands}
    by_size = {size: _bands_of(size, home) for size in (10, 20, 60)}
    edges: dict[int, NDArray[np.float32]] = {}
    for size in (10, 20):
        single = {name: brightness_edges([bands[name]]) for name in by_size[size]}
        total = np.sum(list(single.values()), axis=0)
        edges[size] = total
        pixel = 10 * len(bands["B2"]) // len(total)
        for name, own in single.items():
            surface = _surface(_layer(total - own), _layer(own))
            where = f"{home[name]} {name}"
            yield Pair(where, f"the other {size} m bands", season, pixel, len(own), surface)
    fine = _layer(edges[10])
    coarse = edges[20]
    if len(coarse) < len(edges[10]):
        finer = [_doubled(bands[name]) for name in by_size[20]]
        coarse = brightness_edges(finer)
    medium = _layer(coarse)
    names = (home["B2"], home["B5"])
    if names[0] != names[1]:
        yield Pair(names[1], names[0], season, 10, len(edges[10]), _surface(fine, medium))
        layers.setdefault(names[1], []).append(medium)
    layers.setdefault(names[0], []).append(fine)
    reference = _layer(brightness_edges([_block_mean(bands[name]) for name in by_size[10]]))
    for name in by_size[60]:
        band = bands[name] if len(bands[name]) < len(bands["B2"]) else _block_mean(bands[name])
        surface = _surface(reference, _layer(brightness_edges([band])))
        yield Pair(f"{home[name]} {name}", FINE_BANDS, season, 60, min(reference.shape), surface)


def _other_pairs(
    sample: Sample, season: int, name: int | None, layers: dict[str, list[_Layer]]
) -> Iterator[Pair]:
    """Radar and labels against the 10 m bands of the same season."""
    fine = layers[fine_array(sample.group)][-1]
    rows, columns = fine.shape
    for array in sample.group.arrays:
        if array.optical or not (array.ids or array.name == "s1"):
            continue
        pixels = sample.pixels[array.name][season][..., :rows, :columns]
        edges = label_edges(pixels) if array.ids else backscatter_edges(pixels, array.nodata)
        layer = _layer(edges)
        layers.setdefault(array.name, []).append(layer)
        yield Pair(array.name, FINE_BANDS, name, 10, rows, _surface(fine, layer))


def _season_pairs(array: str, seasons: list[_Layer]) -> Iterator[Pair]:
    total = np.sum([layer.transform for layer in seasons], axis=0)
    for season, layer in enumerate(seasons):
        others = (total - layer.transform) / (len(seasons) - 1)
        surface = _surface(_Layer(layer.shape, others), layer)
        yield Pair(array, "the other seasons", season, 10, min(layer.shape), surface)


def _bands_of(size: int, home: Mapping[str, str]) -> list[str]:
    bands = cube_bands("sentinel-2")
    return [b.name for b in bands if b.resolution_m == size and b.name not in _NO_EDGES]
