"""The valid samples of a store as STAC items, and as rows of stac-geoparquet."""

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.atomic_file import atomic_file
from pipeline.metadata.coverage import index_batches, timestamp
from pipeline.metadata.sources import Source, latest_possible_year
from pipeline.metadata.stac import (
    COLLECTION_FILE,
    SAR_PROPERTIES,
    STAC_VERSION,
    ZARR_TYPE,
    collection_id,
    extension_uris,
    store_href,
)
from pipeline.metadata.store_facts import StoreFacts
from pipeline.store.sample_index import geo_metadata

_log = logging.getLogger(__name__)

SENTINEL2_BEGINS = dt.datetime(2015, 6, 27, tzinfo=dt.UTC)
"""First acquisitions of Sentinel-2A: Earth Engine's catalogue, COPERNICUS/S2_HARMONIZED."""

_UTC = pa.timestamp("ms", tz="UTC")
_TEXTS = pa.list_(pa.string())
_LINK = pa.struct([("href", pa.string()), ("rel", pa.string()), ("type", pa.string())])
_ASSET = pa.struct(
    [("href", pa.string()), ("type", pa.string()), ("title", pa.string()), ("roles", _TEXTS)]
)
_PROPERTIES: dict[str, pa.DataType] = {
    "title": pa.string(),
    "datetime": _UTC,
    "start_datetime": _UTC,
    "end_datetime": _UTC,
    "gsd": pa.float64(),
    "instruments": _TEXTS,
    "proj:code": pa.string(),
    "proj:shape": pa.list_(pa.int64()),
    "proj:transform": pa.list_(pa.float64()),
    "proj:bbox": pa.list_(pa.float64()),
    "eo:cloud_cover": pa.float64(),
    "sar:instrument_mode": pa.string(),
    "sar:frequency_band": pa.string(),
    "sar:center_frequency": pa.float64(),
    "sar:polarizations": _TEXTS,
    "sar:product_type": pa.string(),
    "processing:software": pa.struct([("noldo", pa.string())]),
    "noldo:simulated": pa.bool_(),
    "noldo:group": pa.string(),
    "noldo:sample": pa.int64(),
    "noldo:split": pa.string(),
    "noldo:s2_id": _TEXTS,
    "noldo:s1_id": _TEXTS,
    "noldo:dw_id": _TEXTS,
    "noldo:processing_baseline": _TEXTS,
    "noldo:s1_orbit_pass": _TEXTS,
    "noldo:s1_relative_orbit": pa.list_(pa.int64()),
    "noldo:dataset_hash": pa.string(),
}
_SCHEMA = pa.schema(
    [
        ("type", pa.string()),
        ("stac_version", pa.string()),
        ("stac_extensions", _TEXTS),
        ("id", pa.string()),
        ("geometry", pa.binary()),
        ("bbox", pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])),
        ("links", pa.list_(_LINK)),
        ("assets", pa.struct([("zarr", _ASSET)])),
        ("collection", pa.string()),
        *_PROPERTIES.items(),
    ]
)
_SCENES = ("s2_id", "s1_id", "dw_id", "processing_baseline", "s1_orbit_pass", "s1_relative_orbit")
_TIMES = ("datetime", "start_datetime", "end_datetime")


class ItemMaker:
    """Makes the items of one store."""

    def __init__(self, dataset: str, store: StoreFacts, sources: tuple[Source, ...]) -> None:
        self.collection = collection_id(dataset, store)
        self._store = store
        self._radar = "s1" in store.pixel_arrays
        year = latest_possible_year(sources)
        self._published = dt.datetime(year or 2100, 12, 31, 23, 59, 59, tzinfo=dt.UTC)

    def items(self, index: Path) -> Iterator[list[dict[str, Any]]]:
        """The items of the valid samples, a batch at a time.

        Raises:
            PipelineError: The index is missing or of an older version.
        """
        for rows in index_batches(index):
            yield [self._item(row) for row in rows.filter(rows["valid"]).to_pylist()]

    def _item(self, row: dict[str, Any]) -> dict[str, Any]:
        geometry = shapely.from_wkb(row["geometry"]) if row["geometry"] else None
        item = {
            "type": "Feature",
            "stac_version": STAC_VERSION,
            "stac_extensions": self._extensions(),
            "id": "-".join(filter(None, [row["group"], row["id"]])),
            "geometry": shapely.geometry.mapping(geometry) if geometry else None,
            "properties": self._properties(row),
            "links": [
                {"href": f"./{COLLECTION_FILE}", "rel": "collection", "type": "application/json"}
            ],
            "assets": {"zarr": self._asset(row)},
            "collection": self.collection,
        }
        return item | ({"bbox": bounding_box(geometry)} if geometry else {})

    def _extensions(self) -> list[str]:
        names = ["projection/v2.0.0", "eo/v1.1.0", "processing/v1.0.0"]
        return extension_uris((*names, *(["sar/v1.0.0"] if self._radar else [])))

    def _properties(self, row: dict[str, Any]) -> dict[str, Any]:
        moments = [time for name in ("s2_time", "s1_time") for time in row[name] or [] if time]
        first = min(moments, default=SENTINEL2_BEGINS)
        last = max(moments, default=self._published)
        clouds = [cloud for cloud in row["cloud_cover"] or [] if cloud is not None]
        optional = {"eo:cloud_cover": max(clouds)} if clouds else {}
        title = f"{'SIMULATED ' if self._store.simulated else ''}{row['split']} {row['id']}"
        return {
            "title": title,
            "datetime": None,
            "start_datetime": timestamp(first),
            "end_datetime": timestamp(last),
            "gsd": 10.0,
            "instruments": ["msi", *(["c-sar"] if self._radar else [])],
            **_projection(row),
            **optional,
            **(SAR_PROPERTIES if self._radar else {}),
            "processing:software": {"noldo": row["code_version"]},
            "noldo:simulated": self._store.simulated,
            **{f"noldo:{name}": row[name] for name in ("group", "sample", "split")},
            **{f"noldo:{name}": row[name] for name in _SCENES if any(row[name] or [])},
            "noldo:dataset_hash": row["dataset_hash"],
        }

    def _asset(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "href": "/".join(filter(None, [store_href(self._store), row["group"]])),
            "type": ZARR_TYPE,
            "title": f"index {row['sample']} along the dimension sample",
            "roles": ["data"],
        }


def write_items(path: Path, maker: ItemMaker, index: Path) -> int:
    """Write the items of a store as stac-geoparquet; a batch is in memory at a time.

    Returns:
        How many there are.

    Raises:
        PipelineError: The index is missing or of an older version.
    """
    count = 0
    notes = b'{"version": "1.1.0"}'
    schema = _SCHEMA.with_metadata(geo_metadata() | {b"stac-geoparquet": notes})
    with atomic_file(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for items in maker.items(index):
            rows = [_row(item) for item in items]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
            _log.info("%d items", count)
    return count


def bounding_box(geometry: BaseGeometry) -> list[float]:
    """West, south, east, north; across the antimeridian west is larger (RFC 7946, 5.2)."""
    west, south, east, north = geometry.bounds
    if east - west > 180.0:
        parts = [part.bounds for part in getattr(geometry, "geoms", [geometry])]
        west = min(bounds[0] for bounds in parts if bounds[0] > 0.0)
        east = max(bounds[2] for bounds in parts if bounds[2] < 0.0)
    return [west, south, east, north]


def _projection(row: dict[str, Any]) -> dict[str, Any]:
    """The grid, if the source says where it lies."""
    if not row["epsg"] or row["left"] is None or row["left"] != row["left"]:
        return {}
    left, top, x_step, y_step = (row[name] for name in ("left", "top", "x_step", "y_step"))
    bottom, right = top + row["height"] * y_step, left + row["width"] * x_step
    return {
        "proj:code": f"EPSG:{row['epsg']}",
        "proj:shape": [row["height"], row["width"]],
        "proj:transform": [x_step, 0.0, left, 0.0, y_step, top],
        "proj:bbox": [left, bottom, right, top],
    }


def _row(item: dict[str, Any]) -> dict[str, Any]:
    """An item as a row: properties at the top, geometry as WKB, the box as a struct."""
    geometry, box = item["geometry"], item.get("bbox")
    row = item | item["properties"]
    row |= {name: _moment(item["properties"][name]) for name in _TIMES}
    row["geometry"] = shapely.geometry.shape(geometry).wkb if geometry else None
    row["bbox"] = dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) if box else None
    return row


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
