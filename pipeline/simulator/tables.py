"""The CSV tables of the simulated Earth."""

import csv
from functools import cache
from importlib.resources import files


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of one of this package's CSV files, by column."""
    with files("pipeline.simulator").joinpath(name).open() as table:
        return tuple(csv.DictReader(table))
