"""The figures of a run as one tidy table: a row for every number of every epoch."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError

ALL = "all"
"""Class or modality of a number that is not about a single one."""


class Measurement(NamedTuple):
    """One number.

    Attributes:
        epoch: From 0.
        split: "train"; "validation" against noisy labels, "truth" against true ones; "clean".
        modality: "s1", "s2" or "all".
        land_cover: Name of a class, or "all"; the column is called ``class``.
        metric: E.g. "miou".
        value: NaN where there is nothing to measure.
    """

    epoch: int
    split: str
    modality: str
    land_cover: str
    metric: str
    value: float

    @property
    def key(self) -> str:
        """Name for loggers, e.g. ``validation/s2/miou`` or ``train/s1/Water/weight``."""
        parts = (self.split, self.modality, self.land_cover, self.metric)
        return "/".join(part for part in parts if part != ALL)


class MetricTable:
    """Rows of all epochs so far, kept in a Parquet file.

    Args:
        path: Of the file; what it holds is read if it exists.
        first_epoch: Rows of this epoch and later ones are dropped: a run that goes on from an older
            checkpoint measures them again.

    Raises:
        PipelineError: The file is no such table.
    """

    def __init__(self, path: Path, first_epoch: int = 0) -> None:
        self._path = path
        self._rows: list[Measurement] = []
        if path.exists():
            self._rows = [row for row in read_metrics(path) if row.epoch < first_epoch]

    def add(self, rows: Iterable[Measurement]) -> None:
        """Add rows and write the file anew, whole or not at all."""
        self._rows.extend(rows)
        content = io.BytesIO()
        self.frame().to_parquet(content, index=False)
        write_atomically(self._path, content.getvalue())

    def frame(self) -> pd.DataFrame:
        """Columns epoch, split, modality, class, metric, value."""
        frame = pd.DataFrame(self._rows, columns=list(Measurement._fields))
        return frame.rename(columns={"land_cover": "class"})


def read_metrics(path: Path) -> list[Measurement]:
    """Read a table of metrics.

    Raises:
        PipelineError: The file is no such table.
    """
    try:
        frame = pd.read_parquet(path).rename(columns={"class": "land_cover"})
        ordered = frame[list(Measurement._fields)]
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(
            f"{path} is not a table of metrics ({type(error).__name__}); move it away"
        ) from None
    return [Measurement(*row) for row in ordered.itertuples(index=False, name=None)]
