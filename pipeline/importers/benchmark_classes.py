"""Classes of the imported benchmarks: ids as stored, names, numbers in the released files."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class BenchmarkClass:
    """One row of ``importers/classes.csv``.

    Attributes:
        id: As stored, from 0.
        name: As printed.
        released_id: Number in the released files.
    """

    id: int
    name: str
    released_id: int


@cache
def benchmark_classes(dataset: str) -> tuple[BenchmarkClass, ...]:
    """The classes of ``dfc2020`` or ``eurosat``, in the order of their ids."""
    table = files("pipeline.importers").joinpath("classes.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(table.splitlines()) if row["dataset"] == dataset]
    classes = [BenchmarkClass(int(row["id"]), row["name"], int(row["released_id"])) for row in rows]
    return tuple(sorted(classes, key=lambda row: row.id))


def flag_attributes(dataset: str) -> dict[str, Any]:
    """CF ``flag_values`` and ``flag_meanings`` of the classes."""
    classes = benchmark_classes(dataset)
    words = [re.sub(r"[^a-z0-9]+", "_", row.name.lower()) for row in classes]
    return {"flag_values": [row.id for row in classes], "flag_meanings": " ".join(words)}
