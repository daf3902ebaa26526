"""What became of every (location, season): the vocabulary and the table that records it."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic_file import atomic_file
from pipeline.errors import PipelineError


class Status(StrEnum):
    """Where one (location, season) stands."""

    SELECTED = "selected"
    """Scenes were chosen, pixels not fetched yet."""
    REJECTED = "rejected"
    """The archive was asked and holds nothing fit; asking again would change nothing."""
    FAILED = "failed"
    """We could not find out; the next run tries again."""
    DONE = "done"
    """Pixels are in the store."""


class Reason(StrEnum):
    """Why a (location, season) was rejected or failed; empty otherwise."""

    NONE = ""
    NO_S2 = "no_s2"
    """Rejected: no Sentinel-2 scene covers the patch in the window."""
    CLOUD = "cloud"
    """Rejected: Sentinel-2 scenes cover it, all too cloudy."""
    NO_DW = "no_dw"
    """Rejected: no Dynamic World label for the clear scenes."""
    NO_S1 = "no_s1"
    """Rejected: no dual-polarised IW Sentinel-1 scene covers the patch in the window."""
    NODATA = "nodata"
    """Rejected: pixels without data inside the patch, or too few labelled ones."""
    IMPLAUSIBLE_S1 = "implausible_s1"
    """Rejected: backscatter outside the plausible range (border noise)."""
    GONE = "gone"
    """Rejected: the archive no longer has the chosen scene."""
    LEFT_OUT = "left_out"
    """Rejected: named in ``locations.leave_out``."""
    OTHER_CRS = "other_crs"
    """Rejected: clear Sentinel-2 scenes touch the tile, none of them in its CRS."""
    FLAT_S2 = "flat_s2"
    """Rejected: hardly any different values in Sentinel-2."""
    FLAT_S1 = "flat_s1"
    """Rejected: hardly any different values in Sentinel-1."""
    OTHER_SEASON = "other_season"
    """Rejected: this season is fine, another one of the location is not."""
    QUOTA = "quota"
    """Failed: throttled until patience ran out."""
    TIMEOUT = "timeout"
    """Failed: no answer in time."""
    SERVER_ERROR = "server_error"
    """Failed: errors or garbage from the server until patience ran out."""
    BUDGET = "budget"
    """Failed: the run's request or compute budget was used up."""


@dataclass(frozen=True)
class SeasonRecord:
    """One row of the ledger: one (location, season).

    Attributes:
        sample: Fixed index of the location in the candidate list and in the store.
        location_id: Zero-padded text.
        season: 0 to 3, ascending in time.
        window_start: First day searched, UTC.
        window_end: Day after the last one searched, UTC (half-open).
        status: See `Status`.
        reason: See `Reason`.
        s2_id: Sentinel-2 system:index, also that of its Dynamic World twin; empty if none.
        s1_id: Sentinel-1 system:index; empty if none.
        dw_id: Dynamic World system:index; empty if none.
        s2_time: Sensing start, UTC milliseconds since 1970; 0 if none.
        s1_time: The same of Sentinel-1.
        cloud_cover: CLOUDY_PIXEL_PERCENTAGE of the Sentinel-2 scene; None if none, because rows
            are compared and NaN is not equal to itself.
        mgrs_tile: Sentinel-2 tile, e.g. ``33UUP``.
        processing_baseline: Of the Sentinel-2 scene, e.g. ``02.09``.
        s1_orbit_pass: ``ASCENDING`` or ``DESCENDING``.
        s1_relative_orbit: Relative orbit number; 0 if none.
    """

    sample: int
    location_id: str
    season: int
    window_start: dt.date
    window_end: dt.date
    status: Status
    reason: Reason = Reason.NONE
    s2_id: str = ""
    s1_id: str = ""
    dw_id: str = ""
    s2_time: int = 0
    s1_time: int = 0
    cloud_cover: float | None = None
    mgrs_tile: str = ""
    processing_baseline: str = ""
    s1_orbit_pass: str = ""
    s1_relative_orbit: int = 0


_UTC_MILLISECONDS = pa.timestamp("ms", tz="UTC")

_SCHEMA = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("location_id", pa.string(), nullable=False),
        pa.field("season", pa.int8(), nullable=False),
        pa.field("window_start", pa.date32(), nullable=False),
        pa.field("window_end", pa.date32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("s2_id", pa.string(), nullable=False),
        pa.field("s1_id", pa.string(), nullable=False),
        pa.field("dw_id", pa.string(), nullable=False),
        pa.field("s2_time", _UTC_MILLISECONDS),
        pa.field("s1_time", _UTC_MILLISECONDS),
        pa.field("cloud_cover", pa.float64()),
        pa.field("mgrs_tile", pa.string(), nullable=False),
        pa.field("processing_baseline", pa.string(), nullable=False),
        pa.field("s1_orbit_pass", pa.string(), nullable=False),
        pa.field("s1_relative_orbit", pa.int16(), nullable=False),
    ]
)
"""Columns of a ledger file; times and cloud cover are null where there is no scene."""

_DATASET_KEY = b"noldo:dataset"
_NOTE_PREFIX = "noldo:note:"


def write_records(
    path: Path,
    records: Sequence[SeasonRecord],
    dataset: str = "",
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a ledger file whole or not at all: same records, same bytes, in whatever order given.

    Args:
        path: Parquet file.
        records: Rows; written in the order of sample and season.
        dataset: `Settings.dataset_hash` of the dataset they belong to, kept in the file.
        notes: Texts to keep in the file beside the rows, by name.
    """
    texts = {_NOTE_PREFIX + name: text for name, text in sorted((notes or {}).items())}
    metadata = {_DATASET_KEY: dataset.encode()} | texts
    ordered = sorted(records, key=lambda record: (record.sample, record.season))
    rows = [_to_row(record) for record in ordered]
    table = pa.Table.from_pylist(rows, _SCHEMA.with_metadata(metadata))
    with atomic_file(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_records(path: Path, dataset: str | None = None) -> list[SeasonRecord]:
    """Read a ledger file, in the order of sample and season.

    Args:
        path: Parquet file of `write_records`.
        dataset: If given, what the file must have been written with.

    Raises:
        PipelineError: It does not exist, is no ledger, or belongs to another dataset.
    """
    try:
        table = pq.read_table(path, partitioning=None)
        rows = table.select(_SCHEMA.names).cast(_SCHEMA).to_pylist()
        records = [_from_row(row) for row in rows]
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run the step that makes it") from None
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise PipelineError(f"{path} is not a ledger of this version: {error}") from None
    written_for = (table.schema.metadata or {}).get(_DATASET_KEY, b"").decode()
    if dataset is not None and written_for != dataset:
        raise PipelineError(
            f"{path} belongs to dataset {written_for or '(none)'}, the settings make {dataset}; "
            "choose another name, or remove it"
        )
    return records


def read_notes(path: Path) -> dict[str, str]:
    """Read the texts that `write_records` kept beside the rows, by name.

    Raises:
        PipelineError: The file does not exist or is no Parquet file.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run the step that makes it") from None
    except pa.ArrowException as error:
        raise PipelineError(f"{path} is not a ledger of this version: {error}") from None
    texts = {key.decode(): text.decode() for key, text in metadata.items()}
    return {
        key.removeprefix(_NOTE_PREFIX): text
        for key, text in texts.items()
        if key.startswith(_NOTE_PREFIX)
    }


def describe(records: Sequence[SeasonRecord]) -> str:
    """The summary as one line, e.g. ``selected 240, rejected 16 (cloud 4, other_season 12)``."""
    counts = Counter((record.status, record.reason) for record in records)
    parts = []
    for status in Status:
        reasons = {reason: counts[status, reason] for reason in Reason if counts[status, reason]}
        details = ", ".join(f"{reason} {count}" for reason, count in reasons.items() if reason)
        if reasons:
            parts.append(f"{status} {sum(reasons.values())}" + (f" ({details})" if details else ""))
    return ", ".join(parts) or "nothing"


def _to_row(record: SeasonRecord) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in fields(record)}
    row["status"], row["reason"] = record.status.value, record.reason.value
    row["s2_time"], row["s1_time"] = record.s2_time or None, record.s1_time or None
    return row


def _from_row(row: dict[str, Any]) -> SeasonRecord:
    return SeasonRecord(
        **{
            **row,
            "status": Status(row["status"]),
            "reason": Reason(row["reason"]),
            "s2_time": _milliseconds(row["s2_time"]),
            "s1_time": _milliseconds(row["s1_time"]),
        }
    )


def _milliseconds(time: dt.datetime | None) -> int:
    if time is None:
        return 0
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
