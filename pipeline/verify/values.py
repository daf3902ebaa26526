"""Checks of values and validity, sample by sample: nothing lost, nothing impossible."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.legend import UNLABELLED
from pipeline.pixel_sums import pixels_with_data
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.limits import load_limits
from pipeline.verify.stored import Sample, StoredArray

VALIDITY_CHECK = "validity"
VALIDITY_MEANING = (
    "valid samples hold data in every array, others none; a finding is a lost chunk or a stale mask"
)
RANGES_CHECK = "ranges"
RANGES_MEANING = (
    "reflectance and backscatter are physically possible and vary; a finding is damaged pixels"
)

_HUNDREDTHS = 100


def examine_values(sample: Sample, evidence: Evidence) -> None:
    """Look at every array and season of a sample."""
    for array in sample.group.arrays:
        for season, name in enumerate(sample.season_names):
            pixels = sample.pixels[array.name][season]
            evidence.examined[VALIDITY_CHECK] += 1
            empty = not np.any(pixels != array.nodata)
            if found := _validity(sample, array, season, empty):
                evidence.findings.append(_finding(VALIDITY_CHECK, sample, array, name, found))
            if empty or not sample.valid or array.ids:
                continue
            evidence.examined[RANGES_CHECK] += 1
            for found in _impossible(array, pixels, _accepted_by(sample)):
                evidence.findings.append(_finding(RANGES_CHECK, sample, array, name, found))


def _validity(
    sample: Sample, array: StoredArray, season: int, empty: bool
) -> tuple[str, str, str] | None:
    if not sample.valid:
        if empty or sample.group.imported:
            return None
        return ("pixels", "none", "a sample that is not valid holds pixels: `valid` is stale")
    if _lost(sample, array, season, empty):
        return ("no pixels", "pixels", "a valid sample is empty here: its chunk or shard is lost")
    most = _accepted_by(sample).get("nodata_share_max")
    if most is None or array.ids:
        return None
    pixels = sample.pixels[array.name][season]
    share = float(1 - pixels_with_data(array.name, pixels, array.nodata).mean())
    if share <= most:
        return None
    return (
        f"{share:.1%} of the pixels without data",
        f"{most:.1%} (quality.nodata_share_max)",
        "pixels are missing that were there when the sample was accepted",
    )


def _accepted_by(sample: Sample) -> Mapping[str, Any]:
    """The settings by which its pixels were accepted; empty where they are not on record."""
    found = sample.group.attributes.get("settings", {}).get("quality", {})
    return found if isinstance(found, Mapping) else {}


def _lost(sample: Sample, array: StoredArray, season: int, empty: bool) -> bool:
    if not array.ids:
        return empty
    if sample.group.imported and array.name != "label":
        return False  # released tiles may lack the labels beside their own
    # A season may lack labels, a whole sample must not.
    return season == 0 and bool(np.all(sample.pixels[array.name] == UNLABELLED))


def _impossible(
    array: StoredArray, pixels: NDArray[Any], quality: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    if array.optical:
        return [*_too_bright(pixels), *_flat(array, pixels)]
    if array.name == "s1":
        return [*_strange_echoes(array, pixels, quality), *_flat(array, pixels)]
    return []


def _too_bright(pixels: NDArray[Any]) -> list[tuple[str, str, str]]:
    limits = load_limits()
    share = float(np.mean(pixels > limits.reflectance_largest))
    if share <= limits.reflectance_share:
        return []
    value = f"{share:.1%} of the values above {limits.reflectance_largest:.0f}"
    return [(value, f"{limits.reflectance_share:.1%}", "reflectance beyond what clouds reach")]


def _strange_echoes(
    array: StoredArray, pixels: NDArray[Any], quality: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """By the limits that the store was built with; by our own where others built it."""
    limits = load_limits()
    lowest = quality.get("s1_floor_db", limits.backscatter_smallest)
    highest = quality.get("s1_ceiling_db", limits.backscatter_largest)
    most = quality.get("s1_implausible_share_max", limits.backscatter_share)
    known = pixels_with_data(array.name, pixels, array.nodata)
    strange = pixels > highest * _HUNDREDTHS
    strange[array.bands.index("VV")] |= pixels[array.bands.index("VV")] < lowest * _HUNDREDTHS
    share = float(np.any(strange, axis=0, where=known).mean())
    if share <= most:
        return []
    value = f"{share:.1%} of the pixels below {lowest:g} dB in VV or above {highest:g} dB"
    return [(value, f"{most:.1%}", "backscatter is implausible")]


def _flat(array: StoredArray, pixels: NDArray[Any]) -> list[tuple[str, str, str]]:
    flat = [name for name, band in zip(array.bands, pixels, strict=True) if np.ptp(band) == 0]
    if not flat or (array.optical and flat == ["B10"]):
        return []
    message = "a band without any variation was not observed"
    return [(f"one value in all of {', '.join(flat)}", "different values", message)]


def _finding(
    check: str, sample: Sample, array: StoredArray, season: int | None, found: tuple[str, str, str]
) -> Finding:
    return Finding(check, sample.group.label(array.name), sample.id, season, *found)
