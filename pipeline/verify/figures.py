"""Checks of statistics: recorded ones against recomputed, and recomputed against published."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.pixel_sums import BandSums, Sums
from pipeline.verify.findings import Finding
from pipeline.verify.limits import load_limits

RECORDED_CHECK = "statistics"
RECORDED_MEANING = (
    "recorded statistics equal those of the pixels; a finding is pixels changed since, or before"
)
PUBLISHED_CHECK = "published statistics"
PUBLISHED_MEANING = (
    "means and spreads resemble those of SSL4EO-S12; a finding is another unit, or a rare region"
)

_SCALES = {"dB": 0.01, "1e-4": 1.0}


@dataclass(frozen=True)
class PublishedBand:
    """Mean and standard deviation of one band over SSL4EO-S12: one row of ``published.csv``.

    Attributes:
        band: Its name.
        mean: In the unit.
        std: In the unit.
        unit: ``1e-4`` (reflectance) or ``dB``.
        source: Where the figures were published.
    """

    band: str
    mean: float
    std: float
    unit: str
    source: str


@cache
def load_published() -> tuple[PublishedBand, ...]:
    """The published band statistics."""
    text = files("pipeline.verify").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedBand(
            row["band"], float(row["mean"]), float(row["std"]), row["unit"], row["source"]
        )
        for row in csv.DictReader(text.splitlines())
    )


def compare_recorded(
    recorded: Mapping[str, Any], figures: Mapping[str, Any]
) -> tuple[int, list[Finding]]:
    """Compare the statistics in a store's attributes with those of its pixels.

    Args:
        recorded: What the store says.
        figures: ``bands`` and ``classes``, from exact sums.

    Returns:
        The number of figures compared, and what differs.
    """
    computed = dict(_leaves(figures))
    written = {key: value for key, value in _leaves(recorded) if key.split("/")[0] != "samples"}
    findings = []
    for key in sorted(computed.keys() | written.keys()):
        one, other = written.get(key), computed.get(key)
        if not _equal(one, other):
            where = " ".join(key.split("/"))
            text = f"{where}: the pixels are not those that the statistics were made of"
            array = "/".join(key.split("/")[3:4])
            findings.append(
                Finding(RECORDED_CHECK, array, "", _season(key), f"{other}", f"{one}"[:80], text)
            )
    return len(computed), findings


def compare_published(sums: Sums) -> tuple[int, list[Finding]]:
    """Compare the statistics over a whole store with those of SSL4EO-S12.

    Returns:
        The number of bands compared, and those that are far off.
    """
    limits = load_limits()
    totals: dict[str, BandSums] = {}
    for (_, _, band), one in sums.bands.items():
        totals[band] = totals[band].merged(one) if band in totals else one
    findings = []
    for known in load_published():
        if known.band not in totals:
            continue
        own = totals[known.band].figures(_SCALES[known.unit])
        deviations = (own["mean"] - known.mean) / known.std
        if abs(deviations) > limits.published_deviations:
            value = f"mean {own['mean']:.1f}, {deviations:+.1f} published standard deviations"
            allowed = f"{known.mean:.1f} +- {limits.published_deviations * known.std:.1f}"
            findings.append(_far_off(known, value, allowed))
        if known.std > abs(known.mean):
            # A few bright scenes make the published spread: that of cirrus says nothing.
            continue
        ratio = max(own["std"], 1e-9) / known.std
        if not 1 / limits.published_spread_ratio <= ratio <= limits.published_spread_ratio:
            value = f"standard deviation {own['std']:.1f}"
            allowed = f"{known.std:.1f}, by a factor of {limits.published_spread_ratio:g}"
            findings.append(_far_off(known, value, allowed))
    return len(totals), findings


def _far_off(known: PublishedBand, value: str, limit: str) -> Finding:
    text = f"{known.band} is far from SSL4EO-S12: another unit, an offset, or a rare region"
    return Finding(PUBLISHED_CHECK, known.band, "", None, value, limit, text)


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, Mapping):
        yield path, tree
        return
    for name, branch in tree.items():
        yield from _leaves(branch, f"{path}/{name}" if path else str(name))


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, int | float) or not isinstance(other, int | float):
        return False
    tolerance = load_limits().statistics_tolerance
    return bool(abs(one - other) <= tolerance * max(abs(one), abs(other), 1e-12))


def _season(key: str) -> int | None:
    name = "/".join(key.split("/")[2:3])
    return int(name) if name.isdecimal() else None
