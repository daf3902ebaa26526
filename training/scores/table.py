"""A table of scores before it is written down: heads, parts, rows, cells."""

from dataclasses import dataclass, field
from typing import Literal

Mark = Literal["best", "second", ""]


@dataclass(frozen=True)
class ScoreCell:
    """One score, in percent.

    Attributes:
        mean: Over the seeds; NaN if there is none.
        std: Over the seeds; NaN if there is one seed, or the value is published without.
        low: Lower end of the bootstrap interval over tiles; NaN without.
        high: Upper end.
        mark: Whether it is the best or second best of its column and modality.
    """

    mean: float = float("nan")
    std: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    mark: Mark = ""


@dataclass(frozen=True)
class TableRow:
    """One line: what it is about, and a cell for every column."""

    labels: tuple[str, ...]
    cells: tuple[ScoreCell, ...]


@dataclass(frozen=True)
class ScoreTable:
    """A table before it is written down.

    Attributes:
        title: Above it.
        label_titles: Heads of the first columns.
        groups: Heads that span several columns, with their number.
        columns: Heads of the columns of cells.
        sections: Title and rows of each part.
        notes: Lines below it.
    """

    title: str
    label_titles: tuple[str, ...]
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    sections: tuple[tuple[str, tuple[TableRow, ...]], ...]
    notes: tuple[str, ...] = field(default=())
