"""Do all arrays of a sample show the same ground? Checked by the edges that they share.

Within one acquisition: each band against the others of its resolution, the 20 and 60 m bands
against the 10 m ones; these are sharp, and one scene is enough. Radar and labels against the 10 m
bands: noisy, so that one pixel shows over a whole store only. Between the seasons of a sample: each
season against the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.sensors import cube_bands
from pipeline.verify.displacement import (
    REACH,
    Peak,
    backscatter_edges,
    brightness_edges,
    correlation_surface,
    find_peak,
    label_edges,
    spectrum,
)
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.limits import load_limits
from pipeline.verify.stored import Sample, StoredGroup

CHECK = "alignment"
MEANING = (
    "edges of bands, radar, labels and seasons of a sample coincide; a finding is a displaced array"
)

_NO_EDGES = ("B10",)
"""Bands in which the ground does not show."""

_FINE_M = 20
"""Pixels up to this size, metres, are many enough in one scene."""

_BLOCK = 6
"""10 m pixels in the edge of a 60 m one."""

_SMALLEST = 14
"""Pixels along the edge of an image below which there is too little to correlate."""

_FINE_BANDS = "the 10 m bands"

_SURFACE = (2 * REACH + 1, 2 * REACH + 1)


@dataclass(frozen=True)
class _Pair:
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


@dataclass(frozen=True)
class _Layer:
    """One image's edges in the Fourier domain."""

    shape: tuple[int, int]
    transform: NDArray[np.complex64]


def examine_alignment(sample: Sample, evidence: Evidence) -> None:
    """Compare the edges of one sample; clear displacements become findings, all go to the pools."""
    if not _complete(sample.group):
        return
    cloudy = {
        name: _is_cloudy(sample.bands(season)) for season, name in enumerate(sample.season_names)
    }
    for pair in _pairs(sample):
        if not pair.surface.any():
            continue
        evidence.examined[CHECK] += 1
        key = (CHECK, sample.group.name, pair.array, pair.against, pair.season, pair.pixel_m)
        evidence.add_pool(key, _pooled(pair.surface))
        if not cloudy[pair.season] and (finding := _scene_finding(sample, pair)):
            evidence.findings.append(finding)


def conclude_alignment(
    pools: Mapping[Any, NDArray[np.float64]], groups: Mapping[str, StoredGroup]
) -> list[Finding]:
    """Displacements that show over the scenes of a store, by season and over all of them."""
    merged: dict[Any, NDArray[np.float64]] = {}
    for (_, group, array, against, season, pixel_m), values in pools.items():
        for one in {season, None}:
            key = (group, array, against, one, pixel_m)
            merged[key] = merged.get(key, 0) + values
    found = {key: one for key, values in merged.items() if (one := _store_finding(key, values))}
    whole = {finding.array for finding in found.values() if finding.season is None}
    # A season is named only where the whole array is not displaced already.
    listed = {k: f for k, f in found.items() if f.season is None or f.array not in whole}
    blamed = [
        finding for name in groups if (finding := _common_cause(groups[name], merged, list(listed)))
    ]
    return [*blamed, *listed.values()]


def _common_cause(
    group: StoredGroup, merged: Mapping[Any, NDArray[np.float64]], displaced: Sequence[Any]
) -> Finding | None:
    """The 10 m bands, if several arrays are displaced against them in one and the same way."""
    fine = _fine_array(group)
    against = [
        key
        for key in displaced
        if key[0] == group.name and key[2] in (fine, _FINE_BANDS) and key[3] is None
        if key[4] == 10
    ]
    peaks = [find_peak(_unpooled(merged[key])[1]) for key in against]
    if len(peaks) < 2 or len({(peak.down, peak.right) for peak in peaks}) > 1:
        return None
    down, right = (-value for value in peaks[0].exact)
    names = ", ".join(key[1] for key in against)
    value = f"{down:+.1f} px south, {right:+.1f} px east (pixels of 10 m)"
    text = f"{names} all disagree with the 10 m bands alike: these are the ones displaced"
    return Finding(CHECK, group.label(fine), "", None, value, "0 px", text)


def _pairs(sample: Sample) -> Iterator[_Pair]:
    """Every comparison within one sample."""
    group = sample.group
    layers: dict[str, list[_Layer]] = {}
    for season, name in enumerate(sample.season_names):
        bands = _finest_bands(sample.bands(season))
        yield from _optical_pairs(group, bands, name, layers)
        yield from _other_pairs(sample, season, name, layers)
    for array, seasons in layers.items():
        if len(seasons) > 1:
            yield from _season_pairs(array, seasons)


def _finest_bands(bands: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """All bands, cut to whole blocks of 60 m where they are on the 10 m grid."""
    size = len(bands["B2"]) // _BLOCK * _BLOCK
    return {name: band[:size, :size] for name, band in bands.items()}


def _optical_pairs(
    group: StoredGroup,
    bands: dict[str, NDArray[Any]],
    season: int | None,
    layers: dict[str, list[_Layer]],
) -> Iterator[_Pair]:
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
            yield _Pair(where, f"the other {size} m bands", season, pixel, len(own), surface)
    fine = _layer(edges[10])
    coarse = edges[20]
    if len(coarse) < len(edges[10]):
        finer = [_doubled(bands[name]) for name in by_size[20]]
        coarse = brightness_edges(finer)
    medium = _layer(coarse)
    names = (home["B2"], home["B5"])
    if names[0] != names[1]:
        yield _Pair(names[1], names[0], season, 10, len(edges[10]), _surface(fine, medium))
        layers.setdefault(names[1], []).append(medium)
    layers.setdefault(names[0], []).append(fine)
    reference = _layer(brightness_edges([_block_mean(bands[name]) for name in by_size[10]]))
    for name in by_size[60]:
        band = bands[name] if len(bands[name]) < len(bands["B2"]) else _block_mean(bands[name])
        surface = _surface(reference, _layer(brightness_edges([band])))
        yield _Pair(f"{home[name]} {name}", _FINE_BANDS, season, 60, min(reference.shape), surface)


def _other_pairs(
    sample: Sample, season: int, name: int | None, layers: dict[str, list[_Layer]]
) -> Iterator[_Pair]:
    """Radar and labels against the 10 m bands of the same season."""
    fine = layers[_fine_array(sample.group)][-1]
    rows, columns = fine.shape
    for array in sample.group.arrays:
        if array.optical or not (array.ids or array.name == "s1"):
            continue
        pixels = sample.pixels[array.name][season][..., :rows, :columns]
        edges = label_edges(pixels) if array.ids else backscatter_edges(pixels, array.nodata)
        layer = _layer(edges)
        layers.setdefault(array.name, []).append(layer)
        yield _Pair(array.name, _FINE_BANDS, name, 10, rows, _surface(fine, layer))


def _season_pairs(array: str, seasons: list[_Layer]) -> Iterator[_Pair]:
    total = np.sum([layer.transform for layer in seasons], axis=0)
    for season, layer in enumerate(seasons):
        others = (total - layer.transform) / (len(seasons) - 1)
        surface = _surface(_Layer(layer.shape, others), layer)
        yield _Pair(array, "the other seasons", season, 10, min(layer.shape), surface)


def _bands_of(size: int, home: Mapping[str, str]) -> list[str]:
    bands = cube_bands("sentinel-2")
    return [b.name for b in bands if b.resolution_m == size and b.name not in _NO_EDGES]


def _complete(group: StoredGroup) -> bool:
    """Whether all bands of Sentinel-2 are there to compare."""
    held = {band for array in group.arrays if array.optical for band in array.bands}
    return held >= {band.name for band in cube_bands("sentinel-2")}


def _is_cloudy(bands: Mapping[str, NDArray[Any]]) -> bool:
    """Whether clouds, which no two bands see at one place, make up much of a scene."""
    limits = load_limits()
    blue, short_wave = bands["B2"], bands["B11"]
    factor = len(blue) // len(short_wave)
    bright = blue[::factor, ::factor][: len(short_wave)] >= limits.cloud_blue
    return (
        float(np.mean(bright & (short_wave >= limits.cloud_short_wave))) > limits.cloud_share_scene
    )


def _fine_array(group: StoredGroup) -> str:
    return next(array.name for array in group.arrays if "B2" in array.bands)


def _layer(edges: NDArray[np.float32]) -> _Layer:
    return _Layer((edges.shape[0], edges.shape[1]), spectrum(edges))


def _surface(first: _Layer, second: _Layer) -> NDArray[Any]:
    if min(first.shape) < _SMALLEST:
        return np.zeros(_SURFACE)
    return correlation_surface(first.transform, second.transform, first.shape)


def _doubled(band: NDArray[Any]) -> NDArray[np.float32]:
    finer = ndimage.zoom(band.astype(np.float32), 2, order=1, grid_mode=True, mode="nearest")
    return np.asarray(finer)


def _block_mean(band: NDArray[Any]) -> NDArray[np.float32]:
    rows, columns = band.shape[0] // _BLOCK, band.shape[1] // _BLOCK
    blocks = band.reshape(rows, _BLOCK, columns, _BLOCK)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _scene_finding(sample: Sample, pair: _Pair) -> Finding | None:
    """A displacement that one scene shows beyond doubt."""
    limits = load_limits()
    peak = find_peak(pair.surface)
    coarse = pair.pixel_m > _FINE_M
    gain = limits.shift_gain_coarse_scene if coarse else limits.shift_gain_scene
    clear = (
        pair.edge >= (limits.shift_edge_coarse_scene if coarse else limits.shift_edge_scene)
        and peak.correlation >= limits.shift_correlation_scene
        and peak.gain >= gain
        and max(map(abs, peak.exact)) >= limits.shift_pixels_scene
    )
    if not clear:
        return None
    return Finding(
        CHECK,
        sample.group.label(pair.array),
        sample.id,
        pair.season,
        _displacement(peak, pair.pixel_m),
        "0 px",
        f"{_place(peak)} of {pair.against}, or that lies as far the other way: correlation "
        f"{peak.correlation:.2f} there, {peak.gain:.2f} more than in place",
    )


def _store_finding(key: tuple[Any, ...], values: NDArray[np.float64]) -> Finding | None:
    """A displacement that shows over many scenes."""
    group, array, against, season, pixel_m = key
    limits = load_limits()
    count, surface, gains, skews = _unpooled(values)
    peak = find_peak(surface / max(count, 1))
    if peak.in_place or count < limits.shift_samples_store:
        return None
    row, column = REACH + peak.down, REACH + peak.right
    mean_gain = surface[row, column] - surface[REACH, REACH]
    mean_skew = surface[row, column] - surface[REACH - peak.down, REACH - peak.right]
    certain = max(
        _standard_errors(count, mean_gain, gains[row, column]),
        _standard_errors(count, mean_skew, skews[row, column]),
    )
    if certain < limits.shift_t_store:
        return None
    return Finding(
        CHECK,
        f"{group}/{array}" if group else array,
        "",
        season,
        _displacement(peak, pixel_m),
        "0 px",
        f"{_place(peak)} of {against} over {count:.0f} scenes ({certain:.0f} standard errors); "
        "one of the two was cut or resampled on another grid",
    )


def _standard_errors(count: float, total: float, squares: float) -> float:
    """The mean of a quantity in units of its standard error, from sums over scenes."""
    mean = total / count
    variance = max(squares / count - mean**2, 1e-12)
    return float(mean / np.sqrt(variance / count))


def _pooled(surface: NDArray[Any]) -> NDArray[np.float64]:
    """A count, the surface, squares of its gain over the middle and over the mirrored place."""
    gain = surface - surface[REACH, REACH]
    skew = surface - surface[::-1, ::-1]
    return np.concatenate([[1.0], surface.ravel(), (gain**2).ravel(), (skew**2).ravel()])


def _unpooled(values: NDArray[np.float64]) -> tuple[float, Any, Any, Any]:
    surface, gains, skews = values[1:].reshape(3, *_SURFACE)
    return float(values[0]), surface, gains, skews


def _displacement(peak: Peak, pixel_m: int) -> str:
    down, right = peak.exact
    return f"{down:+.1f} px south, {right:+.1f} px east (pixels of {pixel_m} m)"


def _place(peak: Peak) -> str:
    down = f"{abs(peak.down)} px {'south' if peak.down > 0 else 'north'}" if peak.down else ""
    right = f"{abs(peak.right)} px {'east' if peak.right > 0 else 'west'}" if peak.right else ""
    return "lies " + " and ".join(filter(None, [down, right]))
