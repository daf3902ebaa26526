"""The index of a store: one row per sample with everything but pixels, as GeoParquet.

All stores have the same first columns, `CORE_FIELDS`; what else a store knows follows them.
``python -m pipeline.store.sample_index`` makes the index of any finished store from its arrays of
one value per sample; that of ``nol.zarr`` is made with label counts while the store is finished
(`pipeline.store.index`).
"""

import argparse
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import zarr
from numpy.typing import NDArray
from pyproj import CRS

from pipeline.atomic_file import atomic_file
from pipeline.errors import run_step
from pipeline.grid import PatchGrid, crs_transformer
from pipeline.store.chunk_files import require_record_files
from pipeline.store.damage import told_if_damaged
from pipeline.store.groups import group_names, require_arrays, store_attributes
from pipeline.store.layout import NO_TIME, holds_pixels

_UTC_MILLISECONDS = pa.timestamp("ms", tz="UTC")

SCENE_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
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
)
"""Columns that hold a list: one value per season, or a single one; null if the store has none."""

CORE_FIELDS: tuple[pa.Field, ...] = (
    pa.field("group", pa.string()),
    pa.field("sample", pa.int64()),
    pa.field("id", pa.string()),
    pa.field("split", pa.string()),
    pa.field("valid", pa.bool_()),
    pa.field("reason", pa.string()),
    pa.field("lon", pa.float64()),
    pa.field("lat", pa.float64()),
    pa.field("epsg", pa.int32()),
    pa.field("left", pa.float64()),
    pa.field("top", pa.float64()),
    pa.field("height", pa.int32()),
    pa.field("width", pa.int32()),
    pa.field("x_step", pa.float64()),
    pa.field("y_step", pa.float64()),
    *(pa.field(name, pa.list_(kind)) for name, kind in SCENE_FIELDS),
    pa.field("dataset_hash", pa.string()),
    pa.field("code_version", pa.string()),
    pa.field("geometry", pa.binary()),
)
"""Columns of every index, in this order; ``geometry`` is the footprint in longitude, latitude."""

COLUMN_DESCRIPTIONS: dict[str, str] = {
    "group": "group of the store that holds the sample; empty for the store itself",
    "sample": "index along `sample` in that group",
    "id": "name of the sample, unique in its group",
    "split": "train, validation or test",
    "valid": "whether the sample is complete; the pixels of others are empty",
    "reason": "why the sample is not valid; empty if it is",
    "lon": "longitude of the centre, degrees east",
    "lat": "latitude of the centre, degrees north",
    "epsg": "EPSG code of the grid; 0 if the source names none",
    "left": "easting of the left edge, in units of the CRS (metres)",
    "top": "northing of the upper edge, in units of the CRS (metres)",
    "height": "rows of the 10 m grid",
    "width": "columns of the 10 m grid",
    "x_step": "width of a pixel, in units of the CRS",
    "y_step": "height of a pixel, in units of the CRS, negative southward",
    "s2_id": "Sentinel-2 scene: system:index in COPERNICUS/S2_HARMONIZED",
    "s1_id": "Sentinel-1 scene: system:index in COPERNICUS/S1_GRD",
    "dw_id": "Dynamic World label: system:index in GOOGLE/DYNAMICWORLD/V1",
    "s2_time": "Sentinel-2 sensing start, UTC",
    "s1_time": "Sentinel-1 sensing start, UTC",
    "cloud_cover": "cloud cover of the Sentinel-2 scene, percent",
    "mgrs_tile": "tile of the Sentinel-2 scene",
    "processing_baseline": "processing baseline of the Sentinel-2 scene",
    "s1_orbit_pass": "ASCENDING or DESCENDING",
    "s1_relative_orbit": "relative orbit of Sentinel-1",
    "dataset_hash": "what tells this dataset from others: a hash of the settings that define it",
    "code_version": "version of the software that wrote the sample's pixels",
    "geometry": "footprint, WKB, longitude and latitude (OGC:CRS84)",
    "location_id": "name in the table of locations",
    "shard": "shard of the store that holds the sample",
    "season_reason": "what became of each season",
    "label_sha256": "SHA-256 of the file of the label",
}
"""What the columns hold; those named like an array of the store are described there."""

ROWS_PER_BATCH = 2048
"""Rows in memory at a time, and in one row group of a file."""

_log = logging.getLogger(__name__)


def geo_metadata() -> dict[bytes, bytes]:
    """GeoParquet 1.1.0 file metadata (https://geoparquet.org/releases/v1.1.0/)."""
    column = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Polygon"],
        "crs": CRS("OGC:CRS84").to_json_dict(),
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {b"geo": json.dumps(geo).encode()}


def index_store(
    store: Path, index: Path, known: Mapping[str, Mapping[str, Sequence[Any]]] | None = None
) -> int:
    """Write the index of a finished store; a batch of rows is in memory at a time.

    Args:
        store: Folder of the store.
        index: GeoParquet file to write.
        known: By group, columns that the store does not hold, or holds less well: one value per
            sample.

    Returns:
        The number of rows.

    Raises:
        PipelineError: There is no store of ours at the path, or it lacks an array, or one of them
            is damaged or has lost a file.
    """
    attributes = store_attributes(store, ("dataset_hash", "code_version"))
    known = known or {}
    names = group_names(store, attributes)
    groups = [_Group(store, name, attributes, known.get(name, {})) for name in names]
    extras: dict[str, pa.DataType] = {}
    for group in groups:
        extras |= {name: kind for name, kind in group.extras.items() if name not in extras}
    schema = pa.schema([*CORE_FIELDS, *extras.items()], metadata=geo_metadata())
    with atomic_file(index) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in groups:
            for batch in group.batches(schema):
                writer.write_table(batch)
    return sum(group.count for group in groups)


def footprint_wkb(
    epsg: int, left: float, top: float, steps: tuple[float, float], shape: tuple[int, int]
) -> bytes | None:
    """The outline of a grid in longitude and latitude, as WKB; None for one of unknown place.

    Args:
        epsg: Of the grid's CRS.
        left: Left edge, in units of the CRS.
        top: Upper edge.
        steps: Width and (negative) height of a pixel.
        shape: Rows and columns.
    """
    if not epsg or not np.isfinite([left, top, *steps]).all():
        return None
    if steps[0] == -steps[1] and epsg != 4326:
        return bytes(PatchGrid(epsg, left, top, *shape, steps[0]).footprint.wkb)
    # a grid that somebody else has made
    outline = shapely.box(left, top + shape[0] * steps[1], left + shape[1] * steps[0], top)
    to_lonlat = crs_transformer(epsg, 4326)
    lonlat = shapely.transform(outline, lambda xy: np.column_stack(to_lonlat.transform(*xy.T)))
    return bytes(lonlat.wkb)


class _Group:
    """The arrays of one value per sample of one group, read a batch at a time."""

    def __init__(
        self,
        store: Path,
        name: str,
        attributes: Mapping[str, Any],
        known: Mapping[str, Sequence[Any]],
    ) -> None:
        arrays: dict[str, Any] = dict(zarr.open_group(store / name, mode="r").arrays())
        self._arrays = {
            key: array
            for key, array in arrays.items()
            if array.metadata.dimension_names[0] == "sample" and not _is_pixels(array)
        }
        self._path = store / name
        require_arrays(self._path, self._arrays)
        self._name = name
        self._attributes = attributes
        self._known = known
        self._pixels = _finest_shape(arrays)
        self.count: int = self._arrays["valid"].shape[0]

    @property
    def extras(self) -> dict[str, pa.DataType]:
        """Columns beyond the core, with their types."""
        core = {field.name for field in CORE_FIELDS}
        kinds = {
            name: _column_type(array) for name, array in self._arrays.items() if name not in core
        }
        given = {
            name: pa.array(values).type for name, values in self._known.items() if name not in core
        }
        return kinds | given

    def batches(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """All rows, in order of sample."""
        for start in range(0, self.count, ROWS_PER_BATCH):
            stop = min(start + ROWS_PER_BATCH, self.count)
            yield self._batch(schema, start, stop)
            _log.info("indexed %d of %d samples %s", stop, self.count, self._name)

    def _batch(self, schema: pa.Schema, start: int, stop: int) -> pa.Table:
        rows = stop - start
        columns: dict[str, Any] = {
            name: _column(array, self._read(name, start, stop), schema.field(name).type)
            for name, array in self._arrays.items()
        }
        height, width = self._pixels
        columns |= {
            "group": [self._name] * rows,
            "sample": range(start, stop),
            "height": [height] * rows,
            "width": [width] * rows,
            "dataset_hash": [self._attributes["dataset_hash"]] * rows,
            "code_version": [self._attributes["code_version"]] * rows,
        }
        columns.setdefault("reason", [""] * rows)
        columns.setdefault("x_step", [10.0] * rows)
        columns.setdefault("y_step", [-10.0] * rows)
        columns |= {name: values[start:stop] for name, values in self._known.items()}
        columns["geometry"] = self._footprints(columns, rows)
        arrays = [
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.nulls(rows, field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        array = self._arrays[name]
        key = (slice(start, stop), *(slice(None) for _ in array.shape[1:]))
        require_record_files(self._path / name, array.shape, array.chunks, key)
        with told_if_damaged(self._path / name):
            return np.asarray(array[key])

    def _footprints(self, columns: Mapping[str, Any], rows: int) -> list[bytes | None]:
        names = ("epsg", "left", "top", "x_step", "y_step")
        places = [np.asarray(columns[name], np.float64) for name in names]
        return [
            footprint_wkb(int(epsg), left, top, (x_step, y_step), self._pixels)
            for epsg, left, top, x_step, y_step in zip(*places, strict=True)
        ]


def _is_pixels(array: Any) -> bool:
    return holds_pixels(array.metadata.dimension_names)


def _finest_shape(arrays: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and columns of the finest array of pixels."""
    height, width = max(array.shape[-2:] for array in arrays.values() if _is_pixels(array))
    return int(height), int(width)


def _column_type(array: Any) -> pa.DataType:
    kind = _value_type(array)
    return pa.list_(kind) if array.ndim > 1 else kind


def _value_type(array: Any) -> pa.DataType:
    units = str(array.attrs.get("units", ""))
    if units.startswith("milliseconds since"):
        return _UTC_MILLISECONDS
    if units.startswith("days since"):
        return pa.date32()
    if array.dtype.kind in "TUO":
        return pa.string()
    return pa.from_numpy_dtype(array.dtype)


def _column(array: Any, values: NDArray[Any], kind: pa.DataType) -> Any:
    """Stored values as a column: times that are missing, and NaN in scenes, become null."""
    inner = kind.value_type if pa.types.is_list(kind) else kind
    flat = _values(array, values.reshape(-1), inner)
    if not pa.types.is_list(kind):
        return flat
    length = values.shape[1] if values.ndim > 1 else 1
    offsets = pa.array(np.arange(0, len(flat) + 1, length), pa.int32())
    return pa.ListArray.from_arrays(offsets, flat)


def _values(array: Any, flat: NDArray[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(flat.astype("datetime64[ms]"), pa.timestamp("ms")).cast(kind)
    if pa.types.is_date(kind):
        return pa.array(np.where(flat == NO_TIME, np.datetime64("NaT"), _days(flat)), kind)
    if pa.types.is_string(kind):
        return pa.array(flat.tolist(), kind)
    if array.name.rsplit("/", 1)[-1] == "cloud_cover":
        # stored as float32, given by the archive with up to four decimals
        return pa.array(np.round(flat.astype(np.float64), 4), kind, from_pandas=True)
    return pa.array(flat, kind)


def _days(flat: NDArray[Any]) -> NDArray[Any]:
    known = np.where(flat == NO_TIME, 0, flat)
    return known.astype("datetime64[D]")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the index of a store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.store.sample_index")
    parser.add_argument("--store", type=Path, required=True, help="finished store")
    parser.add_argument("--index", type=Path, required=True, help="index to write (GeoParquet)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    count = index_store(options.store, options.index)
    print(f"{options.index}: {count} samples")


if __name__ == "__main__":
    run_step(main)
