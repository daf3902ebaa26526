"""Completes a store of four seasons: records, which samples are valid, and the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipeline.importers.offset import OFFSET, UNKNOWN
from pipeline.importers.rasters import centre_lonlat
from pipeline.importers.report import Outcome, Row
from pipeline.importers.scenes import mgrs_tile
from pipeline.importers.seasonal_store import SeasonalStore, empty_columns, write_columns
from pipeline.importers.shard_part import REFUSED, read_facts
from pipeline.settings.dataset import SEASONS
from pipeline.store.layout import NO_TIME, VALID

PARTS = ("s2", "s1", "label")
_NAMES = {"s2": "Sentinel-2", "s1": "Sentinel-1", "label": "labels"}
_DAY_MS = 86_400_000

Facts = Mapping[str, Mapping[str, Any]]
"""What is known of one sample, by part."""


def finish_seasonal(
    store: SeasonalStore, work: Path, ids: Sequence[str]
) -> tuple[list[Row], list[str]]:
    """Write the arrays without pixels from what the commits say, and report.

    Labels count as required once any are there.

    Args:
        store: All its shards are written.
        work: Folder of the import.
        ids: Of the samples, in the order of the store, as the names of the files have them.

    Returns:
        One row a sample, and remarks for the summary.
    """
    shards = range(-(-len(ids) // store.shard_size))
    labelled = any(read_facts(work, "", "label", shard) for shard in shards)
    parts = PARTS if labelled else PARTS[:-1]
    columns = empty_columns(len(ids))
    offsets: Counter[int] = Counter()
    rows = []
    for shard in shards:
        known = {part: read_facts(work, "", part, shard) for part in parts}
        first = shard * store.shard_size
        for sample in range(first, min(first + store.shard_size, len(ids))):
            facts = {part: known[part][sample] for part in parts if sample in known[part]}
            reason = _reason(facts, parts, store.harmonised)
            columns["id"][sample] = ids[sample]
            _fill(columns, sample, facts)
            columns["reason"][sample] = reason
            columns[VALID.name][sample] = not reason
            offsets.update(_offsets(facts))
            rows.append(_row(str(columns["id"][sample]), facts, reason))
    write_columns(store.path, columns)
    return rows, [_remark(offsets, store.harmonised)]


def _reason(facts: Facts, parts: Sequence[str], harmonised: bool) -> str:
    """Why a sample is not valid; empty if it is."""
    for part in parts:
        if part not in facts:
            return f"no {_NAMES[part]}"
        if REFUSED in facts[part]:
            return f"{_NAMES[part]} refused"
        seasons = sum(bool(scene) for scene in facts[part]["scenes"])
        if seasons < SEASONS:
            return f"{_NAMES[part]} in {seasons} of {SEASONS} seasons"
    if len({known["id"] for known in facts.values() if "id" in known}) > 1:
        return "its parts are of different samples"
    if harmonised and UNKNOWN in facts["s2"]["offsets"]:
        return "radiometric offset unknown"
    return ""


def _fill(columns: dict[str, NDArray[Any]], sample: int, facts: Facts) -> None:
    present = {part: known for part, known in facts.items() if REFUSED not in known}
    for name, known in present.items():
        for column in columns.keys() & known.keys():
            columns[column][sample] = known[column]
        scenes = "dw_id" if name == "label" else f"{name}_id"
        columns[scenes][sample] = known["scenes"]
        if name != "label":
            columns[f"{name}_time"][sample] = [time or NO_TIME for time in known["times"]]
    if "s2" in present:
        seen = present["s2"]
        columns["id"][sample] = seen.get("id", columns["id"][sample])
        columns["s2_offset"][sample] = seen["offsets"]
        columns["mgrs_tile"][sample] = [mgrs_tile(scene) for scene in seen["scenes"]]
        columns["lon"][sample], columns["lat"][sample] = centre_lonlat(seen)
        columns["split"][sample] = seen.get("split", "train")


def _row(name: str, facts: Facts, reason: str) -> Row:
    refusals = [known[REFUSED] for known in facts.values() if REFUSED in known]
    notes = [note for known in facts.values() for note in known.get("notes", [])]
    offsets = facts.get("s2", {}).get("offsets", [])
    if len({offset for offset in offsets if offset != UNKNOWN}) > 1:
        notes.append(f"mixed radiometric offsets {offsets}")
    if gap := _largest_gap_days(facts):
        notes.append(f"Sentinel-1 and Sentinel-2 up to {gap} days apart")
    if not reason:
        outcome = Outcome.IMPORTED
    else:
        nothing = all(REFUSED in known for known in facts.values())
        outcome = Outcome.REFUSED if nothing else Outcome.INCOMPLETE
    return Row("sample", "", name, outcome, reason, "; ".join([*refusals, *notes]))


def _largest_gap_days(facts: Facts) -> int:
    times = [facts.get(part, {}).get("times", []) for part in ("s2", "s1")]
    gaps = [abs(s2 - s1) for s2, s1 in zip(*times, strict=False) if s2 and s1]
    return round(max(gaps, default=0) / _DAY_MS)


def _offsets(facts: Facts) -> list[int]:
    """The offsets of the scenes that are there."""
    seen = facts.get("s2", {})
    pairs = zip(seen.get("offsets", []), seen.get("scenes", []), strict=True)
    return [offset for offset, scene in pairs if scene]


def _remark(offsets: Counter[int], harmonised: bool) -> str:
    done = "removed" if harmonised else "kept"
    return (
        f"Sentinel-2 scenes without radiometric offset {offsets[0]}, with +{OFFSET} "
        f"{offsets[OFFSET]} ({done}), unknown {offsets[UNKNOWN]} (kept as they are)"
    )
