"""Check of class ids by content: does a class look as it must, and do two legends agree?

Each pixel is put into one of four kinds by normalised differences of its bands; a class whose
pixels are mostly of a kind that it cannot be has the wrong id. Where a store holds OSM land use and
Dynamic World, the crosswalk says which classes go together.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.agreement import load_crosswalk
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.limits import load_limits
from pipeline.verify.stored import Sample, StoredGroup

CHECK = "classes"
MEANING = "label ids lie in the legend and classes look as they must; a finding is a wrong class id"

KINDS = ("snow", "water", "vegetation", "bare")

_SNOW_INDEX, _SNOW_RED, _SNOW_INFRARED = 0.4, 1800, 1500
"""NDSI above 0.4 is snow (Dozier 1989; Hall et al. 1995, doi:10.1016/0034-4257(95)00137-P), if it
is bright in the red and near infrared, unlike water; reflectances x 10000, ours."""

_WATER_INFRARED = 1500
"""NDWI above 0 is water (McFeeters 1996, doi:10.1080/01431169608948714), if it is dark."""

_GREEN_INDEX = 0.4
"""NDVI of top-of-atmosphere reflectance above which ground is mostly green; ours."""

_JOINT = "joint"


@dataclass(frozen=True)
class KindRule:
    """How much of a class may look like a kind that it is not: one row of ``class_kinds.csv``."""

    legend: str
    id: int
    kind: str
    most_store: float
    most_scene: float


@cache
def load_kind_rules() -> tuple[KindRule, ...]:
    """The rules, in the order of the table."""
    text = files("pipeline.verify").joinpath("class_kinds.csv").read_text(encoding="utf-8")
    return tuple(
        KindRule(
            row["legend"],
            int(row["id"]),
            row["kind"],
            float(row["most_store"]),
            float(row["most_scene"]),
        )
        for row in csv.DictReader(text.splitlines())
    )


def pixel_kinds(bands: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The kind of each 10 m pixel, (y, x), as an index into `KINDS`."""
    size = len(bands["B3"])
    green, red, near, short = (_fine(bands[name], size) for name in ("B3", "B4", "B8", "B11"))
    kinds = np.full(green.shape, KINDS.index("bare"))
    kinds[_ratio(near, red) > _GREEN_INDEX] = KINDS.index("vegetation")
    kinds[(_ratio(green, near) > 0) & (near < _WATER_INFRARED)] = KINDS.index("water")
    snow = (_ratio(green, short) > _SNOW_INDEX) & (red > _SNOW_RED) & (near > _SNOW_INFRARED)
    kinds[snow] = KINDS.index("snow")
    return kinds


def examine_classes(sample: Sample, evidence: Evidence) -> None:
    """Look at every label array of a sample, season by season."""
    group = sample.group
    colourful = all(
        any(band in array.bands for array in group.arrays if array.optical)
        for band in ("B3", "B4", "B8", "B11")
    )
    for season, name in enumerate(sample.season_names):
        kinds = pixel_kinds(sample.bands(season)) if colourful else None
        for array in sample.labels():
            label = sample.pixels[array.name][season]
            evidence.examined[CHECK] += 1
            if finding := _outside_legend(sample, array.name, name, label, array.ids):
                evidence.findings.append(finding)
            if kinds is None or not array.legend:
                continue
            counts = _joint_counts(label, kinds, len(KINDS))
            evidence.add_pool((CHECK, group.name, array.name, array.legend), counts)
            for found in _kind_findings(counts, array.legend, store=False):
                where = (group.label(array.name), sample.id, name)
                evidence.findings.append(Finding(CHECK, *where, *found))
    if {array.name for array in sample.labels()} >= {"label", "label_dw"}:
        _examine_joint(sample, evidence)


def conclude_classes(
    pools: Mapping[Any, NDArray[np.float64]], groups: Mapping[str, StoredGroup]
) -> list[Finding]:
    """Classes that look wrong over a store, or that another legend contradicts."""
    findings = []
    for (_, group, array, legend), counts in pools.items():
        label = groups[group].label(array)
        found = _contradicted(counts) if legend == _JOINT else _kind_findings(counts, legend, True)
        findings += [Finding(CHECK, label, "", None, *texts) for texts in found]
    return findings


def _outside_legend(
    sample: Sample, array: str, season: int | None, label: NDArray[Any], ids: tuple[int, ...]
) -> Finding | None:
    counts = np.bincount(label.ravel(), minlength=256)
    foreign = [value for value in np.flatnonzero(counts) if value not in (*ids, UNLABELLED)]
    if not foreign:
        return None
    return Finding(
        CHECK,
        sample.group.label(array),
        sample.id,
        season,
        f"ids {', '.join(map(str, foreign))} in {counts[foreign].sum()} pixels",
        f"{min(ids)} to {max(ids)}, or {UNLABELLED}",
        "class ids outside the legend; ids counted from 1, or another legend's",
    )


def _kind_findings(
    counts: NDArray[Any], legend: str, store: bool
) -> Iterator[tuple[str, str, str]]:
    """Value, limit and message of every rule that the counts (256, kinds) break."""
    limits = load_limits()
    fewest = limits.kind_pixels_store if store else limits.kind_pixels_scene
    names = {row.id: row.name for row in load_legend(legend)}
    for rule in load_kind_rules():
        pixels = counts[rule.id].sum()
        if rule.legend != legend or pixels < fewest:
            continue
        share = counts[rule.id, KINDS.index(rule.kind)] / pixels
        most = rule.most_store if store else rule.most_scene
        if share > most:
            yield (
                f"{share:.0%} of {pixels:.0f} pixels look like {rule.kind}",
                f"{most:.0%}",
                f"class {rule.id} ({names[rule.id]}) looks like {rule.kind}: wrong class id",
            )


def _examine_joint(sample: Sample, evidence: Evidence) -> None:
    """OSM land use against the expert labels of the same tile, and against what is recorded."""
    osm, expert = sample.pixels["label"][0], sample.pixels["label_dw"][0]
    counts = np.bincount(
        (osm.astype(np.int64) * 256 + expert).ravel(), minlength=256 * 256
    ).reshape(256, 256)
    classes = load_crosswalk().shape
    joint = counts[: classes[0], : classes[1]]
    evidence.add_pool((CHECK, sample.group.name, "label", _JOINT), joint)
    recorded = sample.records.get("agreement")
    if recorded is None or not joint.sum():
        return
    evidence.examined[CHECK] += 1
    agreement = float(joint[load_crosswalk()].sum() / joint.sum())
    limit = load_limits().agreement_difference
    if not abs(agreement - float(recorded)) <= limit:
        evidence.findings.append(
            Finding(
                CHECK,
                sample.group.label("label"),
                sample.id,
                None,
                f"agreement with Dynamic World {agreement:.4f}",
                f"{float(recorded):.4f} as recorded, within {limit:g}",
                "class ids of label or label_dw have changed since the agreement was measured",
            )
        )


def _contradicted(joint: NDArray[Any]) -> Iterator[tuple[str, str, str]]:
    """OSM classes that the expert labels contradict, or would suit better with ids exchanged."""
    limits = load_limits()
    names = [row.name for row in load_legend("osm_landuse")]
    crosswalk = load_crosswalk().astype(np.float64)
    # suits[i, j]: pixels stored as i that would be admitted if they were j
    suits = joint @ crosswalk.T
    pixels = joint.sum(axis=1)
    enough = [i for i in range(len(names)) if pixels[i] >= limits.kind_pixels_store]
    for i in enough:
        share = suits[i, i] / pixels[i]
        if share < limits.admitted_share_store:
            yield (
                f"{share:.0%} of {pixels[i]:.0f} pixels have an admissible expert class",
                f"{limits.admitted_share_store:.0%}",
                f"class {i} ({names[i]}) contradicts the expert labels: wrong class id",
            )
    for i, j in combinations(enough, 2):
        better = suits[i, j] - suits[i, i], suits[j, i] - suits[j, j]
        share = sum(better) / (pixels[i] + pixels[j])
        if min(better) > 0 and share > limits.exchange_gain_store:
            yield (
                f"{share:.0%} more pixels agree with the expert labels if exchanged",
                f"{limits.exchange_gain_store:.0%}",
                f"classes {i} ({names[i]}) and {j} ({names[j]}) seem to be exchanged",
            )


def _joint_counts(label: NDArray[Any], kinds: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Pixels by (label value, kind)."""
    values = label.astype(np.int64) * count + kinds
    return np.bincount(values.ravel(), minlength=256 * count).reshape(256, count)


def _fine(band: NDArray[Any], size: int) -> NDArray[np.float32]:
    factor = size // len(band)
    return np.asarray(band.repeat(factor, 0).repeat(factor, 1), np.float32)


def _ratio(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised difference; 0 where both are 0."""
    return (one - other) / np.maximum(one + other, 1)
