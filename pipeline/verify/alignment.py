"""Does an array lie a few pixels beside the others? Seen in one scene, or over those of a store."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.verify.displacement import REACH, Peak, find_peak
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.ground import CHECK as GROUND_CHECK
from pipeline.verify.ground import foreign_arrays
from pipeline.verify.limits import load_limits
from pipeline.verify.pairs import (
    FINE_BANDS,
    Pair,
    PairKey,
    compare_sample,
    fine_array,
    is_complete,
    pooled,
    unpooled,
)
from pipeline.verify.stored import Sample, StoredGroup

CHECK = "alignment"
MEANING = (
    "edges of bands, radar, labels and seasons of a sample coincide; a finding is a displaced array"
)

_FINE_M = 20
"""Pixels up to this size, metres, are many enough in one scene."""


def examine_alignment(sample: Sample, evidence: Evidence) -> None:
    """Compare the edges of one sample; clear defects become findings, all go to the pools."""
    if not is_complete(sample.group):
        return
    pairs = [pair for pair in compare_sample(sample) if pair.surface.any()]
    for check in (CHECK, GROUND_CHECK):
        evidence.examined[check] += len(pairs)
    for pair in pairs:
        key = (sample.group.name, pair.array, pair.against, pair.season, pair.pixel_m)
        evidence.add_pool(PairKey(CHECK, *key), pooled(pair.surface))
    for number, season in enumerate(sample.season_names):
        if _is_cloudy(sample.bands(number)):
            continue
        own = [pair for pair in pairs if pair.season == season]
        evidence.findings += filter(None, (_scene_finding(sample, pair) for pair in own))
        evidence.findings += foreign_arrays(sample, season, own)


def displacements(pools: Mapping[PairKey, NDArray[np.float64]]) -> dict[PairKey, Finding]:
    """What is displaced over the scenes of a store, by season and over all of them.

    Args:
        pools: As `merge_seasons` makes them.
    """
    return {key: one for key, values in pools.items() if (one := _store_finding(key, values))}


def conclude_alignment(
    found: Mapping[PairKey, Finding],
    pools: Mapping[PairKey, NDArray[np.float64]],
    groups: Mapping[str, StoredGroup],
) -> list[Finding]:
    """The displacements that are to be told, and the array that explains several of them."""
    whole = {finding.array for finding in found.values() if finding.season is None}
    # A season is named only where the whole array is not displaced already.
    listed = {k: f for k, f in found.items() if f.season is None or f.array not in whole}
    blamed = [
        finding for name in groups if (finding := _common_cause(groups[name], pools, list(listed)))
    ]
    return [*blamed, *listed.values()]


def _common_cause(
    group: StoredGroup, pools: Mapping[PairKey, NDArray[np.float64]], displaced: Sequence[PairKey]
) -> Finding | None:
    """The 10 m bands, if several arrays are displaced against them in one and the same way."""
    fine = fine_array(group)
    against = [
        key
        for key in displaced
        if key.group == group.name and key.against in (fine, FINE_BANDS)
        if key.season is None and key.pixel_m == 10
    ]
    peaks = [find_peak(unpooled(pools[key])[1]) for key in against]
    if len(peaks) < 2 or len({(peak.down, peak.right) for peak in peaks}) > 1:
        return None
    down, right = (-value for value in peaks[0].exact)
    names = ", ".join(key.array for key in against)
    value = f"{down:+.1f} px south, {right:+.1f} px east (pixels of 10 m)"
    text = f"{names} all disagree with the 10 m bands alike: these are the ones displaced"
    return Finding(CHECK, group.label(fine), "", None, value, "0 px", text)


def _is_cloudy(bands: Mapping[str, NDArray[Any]]) -> bool:
    """Whether clouds, which no two bands see at one place, make up much of a scene."""
    limits = load_limits()
    blue, short_wave = bands["B2"], bands["B11"]
    factor = len(blue) // len(short_wave)
    bright = blue[::factor, ::factor][: len(short_wave)] >= limits.cloud_blue
    return (
        float(np.mean(bright & (short_wave >= limits.cloud_short_wave))) > limits.cloud_share_scene
    )


def _scene_finding(sample: Sample, pair: Pair) -> Finding | None:
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


def _store_finding(key: PairKey, values: NDArray[np.float64]) -> Finding | None:
    """A displacement that shows over many scenes."""
    limits = load_limits()
    count, surface, gains, skews = unpooled(values)
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
        f"{key.group}/{key.array}" if key.group else key.array,
        "",
        key.season,
        _displacement(peak, key.pixel_m),
        "0 px",
        f"{_place(peak)} of {key.against} over {count:.0f} scenes ({certain:.0f} standard errors); "
        "one of the two was cut or resampled on another grid",
    )


def _standard_errors(count: float, total: float, squares: float) -> float:
    """The mean of a quantity in units of its standard error, from sums over scenes."""
    mean = total / count
    variance = max(squares / count - mean**2, 1e-12)
    return float(mean / np.sqrt(variance / count))


def _displacement(peak: Peak, pixel_m: int) -> str:
    down, right = peak.exact
    return f"{down:+.1f} px south, {right:+.1f} px east (pixels of {pixel_m} m)"


def _place(peak: Peak) -> str:
    down = f"{abs(peak.down)} px {'south' if peak.down > 0 else 'north'}" if peak.down else ""
    right = f"{abs(peak.right)} px {'east' if peak.right > 0 else 'west'}" if peak.right else ""
    return "lies " + " and ".join(filter(None, [down, right]))
