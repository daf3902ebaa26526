"""``nol.index.parquet``: one row per sample with everything but pixels, as GeoParquet.

Filters, maps and quality checks need no Zarr with it, and GeoPandas, DuckDB or QGIS open it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file
from pipeline.ledger import SeasonRecord
from pipeline.legend import UNLABELLED, load_legend
from pipeline.outcomes import Outcomes

_UTC_MILLISECONDS = pa.timestamp("ms", tz="UTC")

_SEASONAL = [
    ("s2_id", pa.string()),
    ("s1_id", pa.string()),
    ("dw_id", pa.string()),
    ("s2_time", _UTC_MILLISECONDS),
    ("s1_time", _UTC_MILLISECONDS),
    ("cloud_cover", pa.float64()),
    ("mgrs_tile", pa.string()),
    ("processing_baseline", pa.string()),
    ("s1_orbit_pass", pa.string()),
    ("s1_relative_orbit", pa.int16()),
    ("season_reason", pa.string()),
]
"""Columns that hold a list of four, one value per season."""

_UNLABELLED_COLUMN = "pixels_unlabelled"


@dataclass(frozen=True)
class SampleRows:
    """What the index says about the samples of one shard.

    Attributes:
        places: Rows of the table of locations, as it is.
        outcomes: Rows of the shard's ledger.
        label_counts: (samples, 256) pixels of each label value, all seasons together.
    """

    places: pa.Table
    outcomes: Outcomes
    label_counts: NDArray[np.int64]


class IndexWriter:
    """Appends the samples of one shard after another."""

    def __init__(self, file: Any, place_schema: pa.Schema) -> None:
        self._schema = _index_schema(place_schema)
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def append(self, rows: SampleRows) -> None:
        """Add one row per sample."""
        columns = {name: rows.places[name] for name in rows.places.column_names}
        samples = rows.places["sample"].to_pylist()
        seasons = [rows.outcomes.of(sample) for sample in samples]
        columns |= {
            "valid": [rows.outcomes.kept(sample) for sample in samples],
            "reason": [rows.outcomes.reason(sample).value for sample in samples],
        }
        columns |= {
            name: [[_value(record, name) for record in records] for records in seasons]
            for name, _ in _SEASONAL
        }
        columns |= dict(zip(class_columns(), rows.label_counts.T[_class_values()], strict=True))
        self._writer.write_table(pa.Table.from_pydict(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


@contextmanager
def write_index(path: Path, place_schema: pa.Schema) -> Iterator[IndexWriter]:
    """Write the index, whole or not at all.

    Args:
        path: Parquet file.
        place_schema: Of the table of locations, GeoParquet metadata included.
    """
    with atomic_file(path) as file:
        writer = IndexWriter(file, place_schema)
        try:
            yield writer
        finally:
            # Also after an error, while the file is still open: pyarrow would do it later.
            writer.close()


def class_columns() -> list[str]:
    """Names of the columns that count pixels by class, all seasons together."""
    classes = load_legend("dynamic_world")
    return [f"pixels_{row.flag_meaning}" for row in classes] + [_UNLABELLED_COLUMN]


def _class_values() -> list[int]:
    return [row.id for row in load_legend("dynamic_world")] + [UNLABELLED]


def _index_schema(place_schema: pa.Schema) -> pa.Schema:
    fields: list[Any] = list(place_schema)
    fields += [pa.field("valid", pa.bool_()), pa.field("reason", pa.string())]
    fields += [pa.field(name, pa.list_(kind)) for name, kind in _SEASONAL]
    fields += [pa.field(name, pa.int64()) for name in class_columns()]
    geo = {b"geo": (place_schema.metadata or {})[b"geo"]}
    return pa.schema(fields, metadata=geo)


def _value(record: SeasonRecord, column: str) -> Any:
    if column == "season_reason":
        return record.reason.value
    value = getattr(record, column)
    missing = column in ("s2_time", "s1_time") and not value
    return None if missing or value != value else value
