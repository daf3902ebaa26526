"""The land-cover legends: ids as stored, names, colours, and the numbers others use for them."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

UNLABELLED = 255
"""Id of a pixel without a label, in every legend."""


@dataclass(frozen=True)
class LandCoverClass:
    """One row of ``classes.csv``.

    Attributes:
        legend: ``dynamic_world`` or ``osm_landuse``.
        id: As stored, from 0.
        name: As printed.
        color: ``#RRGGBB`` of the legend's own palette.
        paper_id: Number in the CromSS paper (Table I), from 1.
        released_id: Number in the files of the NoLDO-S12 release, from 1; differs from
            ``paper_id`` for OSM land use, whose files follow the rows of the server's legend.
        source: Where name and colour come from.
    """

    legend: str
    id: int
    name: str
    color: str
    paper_id: int
    released_id: int
    source: str

    @property
    def flag_meaning(self) -> str:
        """The name as one word of a CF ``flag_meanings`` attribute."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


@cache
def load_legend(name: str) -> tuple[LandCoverClass, ...]:
    """The classes of ``dynamic_world`` or ``osm_landuse``, in the order of their ids.

    Raises:
        KeyError: There is no such legend.
    """
    table = files("pipeline").joinpath("classes.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines())
    found = [_land_cover_class(row) for row in rows if row["legend"] == name]
    if not found:
        raise KeyError(f"no legend {name!r} in classes.csv")
    return tuple(sorted(found, key=lambda row: row.id))


def _land_cover_class(row: dict[str, str]) -> LandCoverClass:
    return LandCoverClass(
        legend=row["legend"],
        id=int(row["id"]),
        name=row["name"],
        color=row["color"],
        paper_id=int(row["paper_id"]),
        released_id=int(row["released_id"]),
        source=row["source"],
    )
