"""The table of locations: GeoParquet, one row for each, sorted by sample.

Snakemake asks for the number of locations each time it reads the workflow, and every job of a shard
reads its own rows. So counting is cheap, and reading a shard touches one row group and no geometry.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from pipeline.atomic_file import atomic_file
from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.inputs import bring
from pipeline.locations.location import Location
from pipeline.settings.tree import Settings

ROWS_PER_GROUP = 4096
"""Few enough to read in milliseconds, many enough to keep the footer of a long table small."""

_DATES = ("date_0", "date_1", "date_2", "date_3")

_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": ["MultiPolygon", "Polygon"],
            "crs": CRS("OGC:CRS84").to_json_dict(),
        }
    },
}
"""GeoParquet 1.1.0 file metadata (https://geoparquet.org/releases/v1.1.0/)."""

SCHEMA = pa.schema(
    [
        ("sample", pa.int64()),
        ("location_id", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("epsg", pa.int32()),
        ("left", pa.float64()),
        ("top", pa.float64()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        *((name, pa.date32()) for name in _DATES),
        ("split", pa.string()),
        ("shard", pa.int32()),
        ("geometry", pa.binary()),
    ],
    metadata={"geo": json.dumps(_GEO)},
)
"""Columns of the table; geometry is the patch's footprint in longitude and latitude."""

_READ_COLUMNS = [name for name in SCHEMA.names if name != "geometry"]


_DATASET_KEY = b"noldo:dataset"


def write_locations(path: Path, locations: Iterable[Location], dataset: str = "") -> int:
    """Write the table, whole or not at all, without holding all locations in memory.

    The same locations give the same bytes.

    Args:
        path: Parquet file.
        locations: In order of sample.
        dataset: `Settings.dataset_hash` of the dataset they belong to, kept in the file.

    Returns:
        The number of locations written.

    Raises:
        OSError: The file cannot be written.
    """
    remaining = iter(locations)
    written = 0
    schema = SCHEMA.with_metadata({**SCHEMA.metadata, _DATASET_KEY: dataset.encode()})
    with atomic_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        while batch := list(itertools.islice(remaining, ROWS_PER_GROUP)):
            rows = [_row(location) for location in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            written += len(batch)
    return written


def read_locations(path: Path) -> Iterator[Location]:
    """Read all locations, in order of sample, a few thousand at a time.

    Raises:
        PipelineError: The file is missing or is not such a table.
    """
    with _explained(path):
        for batch in pq.ParquetFile(path).iter_batches(ROWS_PER_GROUP, columns=_READ_COLUMNS):
            yield from map(_location, batch.to_pylist())


def list_of_dataset(path: Path) -> str:
    """The dataset hash that a table was written with; empty if it has none or is no table."""
    try:
        return (pq.read_schema(path).metadata or {}).get(_DATASET_KEY, b"").decode()
    except pa.ArrowException:
        return ""


def read_shard(path: Path, shard: int) -> list[Location]:
    """Read the locations of one shard, in order of sample; none if there is no such shard.

    Samples may have gaps: a row of the user's table that was dropped has no location.

    Raises:
        PipelineError: The file is missing or is not such a table.
    """
    with _explained(path):
        rows = pq.read_table(path, columns=_READ_COLUMNS, filters=[("shard", "==", shard)])
        return [_location(row) for row in rows.to_pylist()]


def shard_count(count: int, shard_size: int) -> int:
    """Number of shards that so many locations are cut into; the last one may be smaller."""
    return -(-count // shard_size)


def location_count(settings: Settings) -> int:
    """How many locations the settings ask for, rows of a table that may be dropped included.

    Raises:
        PipelineError: No number is given to a sampler that draws, or the table is missing,
            unreadable or has fewer rows than asked for.
    """
    options = settings.locations
    if options.sampler not in ("points", "ssl4eo"):
        if options.count is None:
            raise PipelineError(f"locations.count must be given for the sampler {options.sampler}")
        return options.count
    # Snakemake counts at every start; only those who have a table wait for what reads it
    from pipeline.locations.points import count_points
    from pipeline.locations.ssl4eo import count_ssl4eo

    path = table_path(settings)
    available = count_ssl4eo(path) if options.sampler == "ssl4eo" else count_points(path)
    if options.count is not None and options.count > available:
        raise PipelineError(
            f"locations.count = {options.count}, but {path} has {available} places; "
            "null takes them all"
        )
    return available if options.count is None else options.count


def table_path(settings: Settings) -> Path:
    """The table that the samplers points and ssl4eo read, fetched if it is in object storage.

    Raises:
        PipelineError: None is set.
    """
    if settings.locations.table is None:
        sampler = settings.locations.sampler
        raise PipelineError(f"locations.table must be given for the sampler {sampler}")
    return bring(settings.locations.table, settings.folder / "inputs")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; run the step locations first")
    try:
        yield
    except (pa.ArrowException, KeyError) as error:
        raise PipelineError(
            f"{path} is not a table of locations ({error}); delete it and run the step again"
        ) from None


def _row(location: Location) -> dict[str, Any]:
    grid = location.grid
    return {
        "sample": location.sample,
        "location_id": location.location_id,
        "lon": location.lon,
        "lat": location.lat,
        "epsg": grid.epsg,
        "left": grid.left,
        "top": grid.top,
        "height": grid.height,
        "width": grid.width,
        **dict(zip(_DATES, location.dates, strict=True)),
        "split": location.split,
        "shard": location.shard,
        "geometry": shapely.to_wkb(grid.footprint),
    }


def _location(row: dict[str, Any]) -> Location:
    return Location(
        sample=row["sample"],
        location_id=row["location_id"],
        lon=row["lon"],
        lat=row["lat"],
        grid=PatchGrid(row["epsg"], row["left"], row["top"], row["height"], row["width"]),
        dates=(row["date_0"], row["date_1"], row["date_2"], row["date_3"]),
        split=row["split"],
        shard=row["shard"],
    )
