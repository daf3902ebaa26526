"""The table that lists every tile with its figures and why it was kept or dropped."""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.atomic_file import write_atomically
from pipeline.osm_landuse.agreement import Verdict


@dataclass(frozen=True)
class TileRow:
    """One tile.

    Attributes:
        tile_id: The tile.
        published_split: Split of its Dynamic World label.
        split: ``train`` or ``test``; empty when dropped.
        verdict: Why it is kept or dropped.
        osm_share: Share of its pixels with an OSM label.
        joint_share: Share of its pixels labelled in OSM and Dynamic World.
        agreement: Share of the joint pixels that agree; NaN without any.
        unknown_share: Share of its picture in no legend colour.
        unknown_colours: Colours in no legend row that fill a solid block, ``#rrggbb``, by space.
        fetched_at: When its picture was fetched, UTC, ISO 8601.
        picture_sha256: Of its picture.
        note: A reviewer's reason, if there is one.
    """

    tile_id: str
    published_split: str
    split: str
    verdict: Verdict
    osm_share: float
    joint_share: float
    agreement: float
    unknown_share: float
    unknown_colours: str
    fetched_at: str
    picture_sha256: str
    note: str


def write_tile_table(path: Path, rows: Iterable[TileRow]) -> None:
    """Write the table as CSV, sorted by tile; shares with four decimals, NaN as empty."""
    names = [field.name for field in fields(TileRow)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in sorted(rows, key=lambda row: row.tile_id):
        writer.writerow([_as_text(getattr(row, name)) for name in names])
    write_atomically(path, text.getvalue().encode())


def _as_text(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return str(value)
