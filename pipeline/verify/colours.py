"""Checks of bands and offsets: what the spectra of scenes, and their whole, are explained by."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.offset import OFFSET, detect_offset
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.limits import load_limits
from pipeline.verify.spectra import BANDS, Defect, block_means, distances, possible_defects
from pipeline.verify.stored import Sample, StoredGroup

BANDS_CHECK = "bands"
BANDS_MEANING = (
    "spectra look like those of the Earth, and VV exceeds VH; a finding is a swapped band"
)
OFFSET_CHECK = "offset"
OFFSET_MEANING = (
    "spectra carry no radiometric offset; a finding is +1000 of processing baseline 04.00"
)

_CHECKS = {"bands": BANDS_CHECK, "offset": OFFSET_CHECK}
_BLOCK = 6
_CLIPPED = 5.0
"""Largest gain that one scene contributes to a store's, so that no few scenes decide."""

_FEWEST_BLOCKS = 20


def examine_colours(sample: Sample, evidence: Evidence) -> None:
    """Look at the spectra of every season of a sample, and at its polarisations."""
    group = sample.group
    defects = _defects(group)
    for season, name in enumerate(sample.season_names):
        if defects:
            _examine_spectra(sample, season, name, defects, evidence)
        if any(array.name == "s1" for array in group.arrays):
            _examine_polarisations(sample, season, name, evidence)


def conclude_colours(
    pools: Mapping[Any, NDArray[np.float64]], groups: Mapping[str, StoredGroup]
) -> list[Finding]:
    """Defects that show over the scenes of a store, where a single one would not tell."""
    limits = load_limits()
    merged: dict[tuple[str, int | None], NDArray[np.float64]] = {}
    for (_, group, season), values in pools.items():
        for key in {(group, season), (group, None)}:
            merged[key] = merged.get(key, 0) + values
    found: dict[tuple[str, int | None], Finding] = {}
    for (group, season), values in sorted(merged.items(), key=lambda item: item[0][1] is not None):
        count, better, clipped, gains = values[0, 0], *values[1:]
        likely = (clipped >= limits.spectra_gain_store * count) & (
            better >= limits.spectra_share_store * count
        )
        known = (group, None) in found
        if count < limits.spectra_scenes_store or not likely.any() or known:
            continue
        best = int(np.argmax(np.where(likely, gains, -np.inf)))
        defect = _defects(groups[group])[best]
        evidence = f"{better[best]:.0f} of {count:.0f} scenes"
        found[group, season] = _finding(
            groups[group],
            defect,
            "",
            season,
            (f"{evidence} look like the Earth without it", f"{limits.spectra_share_store:.0%}"),
        )
    return list(found.values())


def _examine_spectra(
    sample: Sample, season: int, name: int | None, defects: tuple[Defect, ...], evidence: Evidence
) -> None:
    bands = sample.bands(season)
    blocks = block_means(bands, _BLOCK)
    if blocks.shape[1] < _FEWEST_BLOCKS:
        return
    for check in _CHECKS.values():
        evidence.examined[check] += 1
    stored, undone = distances(blocks, defects)
    gains = stored - undone
    clipped = np.clip(gains, -_CLIPPED, _CLIPPED)
    rows = [np.ones(len(defects)), gains > 0, clipped, gains]
    evidence.add_pool((BANDS_CHECK, sample.group.name, name), np.array(rows))
    limits = load_limits()
    best = int(np.argmin(undone))
    clear = (
        gains[best] >= limits.spectra_gain_scene
        and undone[best] <= limits.spectra_ratio_scene * stored
        and undone[best] <= limits.spectra_distance_scene
    )
    whole = Defect("offset", BANDS)
    if clear:
        measured = f"{stored:.1f} from real spectra as stored, {undone[best]:.1f} without it"
        limit = f"{limits.spectra_distance_scene:g}"
        found = _finding(sample.group, defects[best], sample.id, name, (measured, limit))
        evidence.findings.append(found)
    elif detect_offset(bands, "") == OFFSET:
        measured = f"median of B10 is {np.median(bands['B10']):.0f}, and no band is dark"
        evidence.findings.append(
            _finding(sample.group, whole, sample.id, name, (measured, f"below {OFFSET}"))
        )


def _examine_polarisations(
    sample: Sample, season: int, name: int | None, evidence: Evidence
) -> None:
    (radar,) = (array for array in sample.group.arrays if array.name == "s1")
    if radar.bands != ("VV", "VH"):
        return
    evidence.examined[BANDS_CHECK] += 1
    co, cross = sample.pixels["s1"][season]
    known = (co != radar.nodata) & (cross != radar.nodata) & (co != cross)
    if not known.any():
        return
    share, limit = float(np.mean(co[known] > cross[known])), load_limits().radar_order_share
    if share < limit:
        evidence.findings.append(
            Finding(
                BANDS_CHECK,
                sample.group.label("s1"),
                sample.id,
                name,
                f"VV exceeds VH in {share:.0%} of the pixels",
                f"{limit:.0%}",
                "VV and VH are swapped: co-polarised echoes are the stronger ones",
            )
        )


def _finding(
    group: StoredGroup,
    defect: Defect,
    sample_id: str,
    season: int | None,
    measured: tuple[str, str],
) -> Finding:
    home = [a.name for a in group.arrays if a.optical and set(defect.bands) & set(a.bands)]
    names = " and ".join(defect.bands) if len(defect.bands) < 4 else f"{len(defect.bands)} bands"
    if defect.kind == "bands":
        message = f"{names} seem to be swapped"
    else:
        message = (
            f"{names} carry +{OFFSET}: the radiometric offset of processing baseline 04.00 was "
            "not taken off"
        )
    array = group.label(home[0]) if len(home) == 1 else group.label("s2")
    return Finding(_CHECKS[defect.kind], array, sample_id, season, *measured, message)


@cache
def _defects_of(arrays: tuple[tuple[str, ...], ...]) -> tuple[Defect, ...]:
    return possible_defects(arrays)


def _defects(group: StoredGroup) -> tuple[Defect, ...]:
    """What may have happened to the optical bands of a group; nothing without all 13."""
    arrays = tuple(array.bands for array in group.arrays if array.optical)
    complete = sorted(name for names in arrays for name in names) == sorted(BANDS)
    return _defects_of(arrays) if complete else ()
