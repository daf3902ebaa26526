"""``nol.index.parquet``: one row per sample with everything but pixels, as GeoParquet.

Filters, maps and quality checks need no Zarr with it, and GeoPandas, DuckDB or QGIS open it. Its
first columns are those of every index (`pipeline.store.sample_index`).
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
from pipeline.store.sample_index import CORE_FIELDS, SCENE_FIELDS, geo_metadata

_SEASONAL = (*(name for name, _ in SCENE_FIELDS), "season_reason")
"""Columns that hold a list of four, one value per season."""

_UNLABELLED_COLUMN = "pixels_unlabelled"
_PIXEL_SIZE_M = 10.0


@dataclass(frozen=True)
class SampleRows:
    """What the index says about the samples of one shard.

    Attributes:
        places: Rows of the table of locations, as it is.
        outcomes: Rows of the shard's ledger.
        label_counts: (samples, 256) pixels of each label value, all seasons together.
        code_version: Of the software that wrote the shard.
    """

    places: pa.Table
    outcomes: Outcomes
    label_counts: NDArray[np.int64]
    code_version: str


class IndexWriter:
    """Appends the samples of one shard after another."""

    def __init__(self, file: Any, place_schema: pa.Schema, dataset_hash: str) -> None:
        self._schema = _index_schema(place_schema)
        self._dataset_hash = dataset_hash
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def append(self, rows: SampleRows) -> None:
        """Add one row per sample."""
        columns = {name: rows.places[name] for name in rows.places.column_names}
        samples = rows.places["sample"].to_pylist()
        seasons = [rows.outcomes.of(sample) for sample in samples]
        columns |= {
            "group": [""] * len(samples),
            "id": rows.places["location_id"],
            "x_step": [_PIXEL_SIZE_M] * len(samples),
            "y_step": [-_PIXEL_SIZE_M] * len(samples),
            "dataset_hash": [self._dataset_hash] * len(samples),
            "code_version": [rows.code_version] * len(samples),
            "valid": [rows.outcomes.kept(sample) for sample in samples],
            "reason": [rows.outcomes.reason(sample).value for sample in samples],
        }
        columns |= {
            name: [[_value(record, name) for record in records] for records in seasons]
            for name in _SEASONAL
        }
        columns |= dict(zip(class_columns(), rows.label_counts.T[_class_values()], strict=True))
        self._writer.write_table(pa.Table.from_pydict(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


@contextmanager
def write_index(path: Path, place_schema: pa.Schema, dataset_hash: str) -> Iterator[IndexWriter]:
    """Write the index, whole or not at all.

    Args:
        path: Parquet file.
        place_schema: Of the table of locations.
        dataset_hash: `Settings.dataset_hash`.
    """
    with atomic_file(path) as file:
        writer = IndexWriter(file, place_schema, dataset_hash)
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
    fields: list[Any] = list(CORE_FIELDS)
    core = {field.name for field in fields}
    fields += [field for field in place_schema if field.name not in core]
    fields += [pa.field("season_reason", pa.list_(pa.string()))]
    fields += [pa.field(name, pa.int64()) for name in class_columns()]
    return pa.schema(fields, metadata=geo_metadata())


def _value(record: SeasonRecord, column: str) -> Any:
    if column == "season_reason":
        return record.reason.value
    value = getattr(record, column)
    missing = column in ("s2_time", "s1_time") and not value
    return None if missing or value != value else value
