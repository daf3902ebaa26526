"""Where, when and how much: what the valid samples of an index cover, read batch by batch."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from pipeline.errors import PipelineError
from pipeline.store.sample_index import CORE_FIELDS, ROWS_PER_BATCH

_READ = (
    *("group", "split", "valid", "reason", "epsg"),
    *("s2_time", "s1_time", "cloud_cover", "geometry"),
)

Box = tuple[float, float, float, float]


@dataclass
class Coverage:
    """What the valid samples of a store cover.

    Attributes:
        candidates: Samples, valid or not.
        valid: Samples that are complete.
        splits: Valid samples by split.
        groups: Valid samples by group of the store.
        epsg: Valid samples by EPSG code.
        box: West, south, east, north in degrees; None if no place is known.
        first: Earliest acquisition, None if no time is known.
        last: Latest acquisition.
        cloud: Least and largest cloud cover of a scene, percent; None if unknown.
        largest_gap: Between Sentinel-2 and Sentinel-1 of one sample and date; None if unknown.
        reasons: Samples that are not valid, by reason.
    """

    candidates: int = 0
    valid: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    epsg: Counter[int] = field(default_factory=Counter)
    box: Box | None = None
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    cloud: tuple[float, float] | None = None
    largest_gap: dt.timedelta | None = None
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, rows: pa.Table) -> None:
        """Count more rows of an index."""
        self.candidates += len(rows)
        self.reasons.update(rows.filter(pc.invert(rows["valid"]))["reason"].to_pylist())
        rows = rows.filter(rows["valid"])
        self.valid += len(rows)
        if not len(rows):
            return
        for name, counter in (("split", self.splits), ("group", self.groups), ("epsg", self.epsg)):
            counter.update(rows[name].to_pylist())
        self._widen_box(rows["geometry"])
        for name in ("s2_time", "s1_time"):
            self._widen_time(rows[name])
        gap = pc.max(pc.abs(_gaps_ms(rows["s2_time"], rows["s1_time"]))).as_py()
        if gap is not None:
            self.largest_gap = max(
                dt.timedelta(milliseconds=gap), self.largest_gap or dt.timedelta()
            )
        least, largest = _extremes(rows["cloud_cover"])
        if least is not None:
            known = self.cloud or (least, largest)
            self.cloud = (min(known[0], least), max(known[1], largest))

    def _widen_box(self, geometry: pa.ChunkedArray) -> None:
        bounds = shapely.total_bounds(shapely.from_wkb(geometry.to_numpy()))
        if np.isnan(bounds).any():
            return
        west, south, east, north = map(float, bounds)
        if self.box is not None:
            west, south = min(west, self.box[0]), min(south, self.box[1])
            east, north = max(east, self.box[2]), max(north, self.box[3])
        self.box = (west, south, east, north)

    def _widen_time(self, times: pa.ChunkedArray) -> None:
        first, last = _extremes(times)
        if first is not None:
            self.first = min(first, self.first or first)
            self.last = max(last, self.last or last)


def index_batches(index: Path, columns: tuple[str, ...] | None = None) -> Iterator[pa.Table]:
    """The rows of an index, a few thousand at a time.

    Args:
        index: GeoParquet file of `pipeline.store.sample_index`.
        columns: Which to read; by default all.

    Raises:
        PipelineError: It is missing, or no index of this version.
    """
    if not index.is_file():
        raise PipelineError(f"{index} does not exist; run `python -m pipeline.store.sample_index`")
    with pq.ParquetFile(index) as file:
        missing = {one.name for one in CORE_FIELDS} - set(file.schema_arrow.names)
        if missing:
            raise PipelineError(
                f"{index} has no column {min(missing)}; it is older than this software: delete it "
                "and build again"
            )
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=columns and list(columns)):
            yield pa.Table.from_batches([batch])


def read_coverage(index: Path) -> Coverage:
    """What the samples of an index cover.

    Raises:
        PipelineError: It is missing, or no index of this version.
    """
    coverage = Coverage()
    for rows in index_batches(index, _READ):
        coverage.add(rows)
    return coverage


def timestamp(moment: dt.datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second; None stays None."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _gaps_ms(first: pa.ChunkedArray, second: pa.ChunkedArray) -> Any:
    """Milliseconds from one to the other, of every pair of two columns of lists."""
    both = [pc.list_flatten(times).cast(pa.int64()) for times in (first, second)]
    return (
        pc.subtract(both[1], both[0]) if len(both[0]) == len(both[1]) else pa.nulls(1, pa.int64())
    )


def _extremes(lists: pa.ChunkedArray) -> tuple[Any, Any]:
    """Least and largest value in a column of lists; None where there is none."""
    found = pc.min_max(pc.list_flatten(lists))
    return found["min"].as_py(), found["max"].as_py()
