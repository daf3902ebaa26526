"""Completes a group of imported tiles: its records, which tiles are valid, and the report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.importers.offset import UNKNOWN
from pipeline.importers.rasters import centre_lonlat
from pipeline.importers.report import Outcome, Row
from pipeline.importers.shard_part import REFUSED, read_facts
from pipeline.store.tile_layout import TileGroup

_PLACE = ("epsg", "left", "top", "x_step", "y_step", "centre")

_SAME_PLACE_PIXELS = 0.5
"""Corners this close are the same; the rest is rounding."""

Facts = Mapping[str, Mapping[str, Any]]
"""What is known of one tile, by part."""


def group_records(
    work: Path,
    name: str,
    group: TileGroup,
    ids: Sequence[str],
    optional: Sequence[str],
    strict: bool,
) -> tuple[dict[str, list[Any]], list[Row]]:
    """What the commits of a group say of its tiles.

    Args:
        work: Folder of the import.
        name: Of the group.
        group: All its shards are written.
        ids: Of the tiles, in the order of the store.
        optional: Arrays without which a tile is complete all the same.
        strict: Whether a tile whose radiometric offset is unknown is incomplete.

    Returns:
        Its records by name, and one row of the report a tile.
    """
    parts = [array.name for array in group.arrays if array.name not in optional]
    records: dict[str, list[Any]] = {
        record.name: [record.fill] * len(ids) for record in group.records
    }
    rows = []
    for shard in group.shards:
        known = {array.name: read_facts(work, name, array.name, shard) for array in group.arrays}
        for sample in group.samples_of(shard):
            facts = {part: found[sample] for part, found in known.items() if sample in found}
            reason = _reason(facts, parts, group.size, strict)
            merged = _merged(facts) | {"id": ids[sample], "reason": reason}
            for record in records.keys() & merged.keys():
                records[record][sample] = merged[record]
            records["split"][sample] = records["split"][sample] or name
            rows.append(_row(name, ids[sample], facts, reason))
    return records, rows


def _reason(facts: Facts, parts: Sequence[str], size: int, strict: bool) -> str:
    """Why a tile is not valid; empty if it is."""
    for part in parts:
        if part not in facts:
            return f"no {part}"
        if REFUSED in facts[part]:
            return f"{part} refused"
    if strict and facts["s2"].get("s2_offset") == UNKNOWN:
        return "radiometric offset unknown"
    apart = max(_shifts(facts).values(), default=0.0) >= size
    return "its parts lie in different places" if apart else ""


def _merged(facts: Facts) -> dict[str, Any]:
    """All that is known of a tile: Sentinel-2 speaks first, and of the place whoever knows it."""
    ordered = sorted(facts, key=lambda part: part != "s2")
    merged: dict[str, Any] = {}
    for part in ordered:
        merged = {k: v for k, v in facts[part].items() if k not in _PLACE} | merged
    placed = next((facts[part] for part in ordered if facts[part].get("epsg")), None)
    if placed is not None:
        merged |= {name: placed[name] for name in _PLACE}
        merged["lon"], merged["lat"] = centre_lonlat(placed)
    return merged


def _row(group: str, name: str, facts: Facts, reason: str) -> Row:
    texts = [known[REFUSED] for known in facts.values() if REFUSED in known]
    notes = [note for known in facts.values() for note in known.get("notes", [])]
    detail = "; ".join([*texts, *dict.fromkeys([*notes, *_displacements(facts)])])
    if not reason:
        return Row("sample", group, name, Outcome.IMPORTED, "", detail)
    nothing = all(REFUSED in known for known in facts.values())
    outcome = Outcome.REFUSED if nothing else Outcome.INCOMPLETE
    return Row("sample", group, name, outcome, reason, detail)


def _shifts(facts: Facts) -> dict[str, float]:
    """How far each part is recorded from Sentinel-2, in pixels; infinite in another CRS."""
    base = facts.get("s2", {})
    shifts: dict[str, float] = {}
    for part, known in facts.items():
        if not (base.get("epsg") and known.get("epsg")):
            continue
        right = (known["left"] - base["left"]) / base["x_step"]
        down = (known["top"] - base["top"]) / base["y_step"]
        same = known["epsg"] == base["epsg"]
        shifts[part] = max(abs(right), abs(down)) if same else math.inf
    return shifts


def _displacements(facts: Facts) -> list[str]:
    return [
        f"{part} is recorded {shift:.1f} pixels from s2"
        if shift < math.inf
        else f"{part} is recorded in another CRS than s2"
        for part, shift in _shifts(facts).items()
        if shift > _SAME_PLACE_PIXELS
    ]
