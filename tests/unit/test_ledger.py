import dataclasses
import datetime as dt
import random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import PipelineError
from pipeline.ledger import (
    Reason,
    SeasonRecord,
    Status,
    describe,
    read_records,
    write_records,
)


def record(sample, season, status=Status.SELECTED, reason=Reason.NONE, **scene):
    start = dt.date(2020, 12, 6)
    return SeasonRecord(
        sample, f"{sample:07d}", season, start, start + dt.timedelta(30), status, reason, **scene
    )


SCENES = {
    "s2_id": "20210103T102221_20210103T102228_T31UES",
    "s1_id": "S1B_IW_GRDH_1SDV_20210104T175541_20210104T175606_034252_00BA3A_5F51",
    "dw_id": "20210103T102221_20210103T102228_T31UES",
    "s2_time": 1609669341123,
    "s1_time": 1609782941000,
    "cloud_cover": 16.4516,
    "mgrs_tile": "31UES",
    "processing_baseline": "02.09",
    "s1_orbit_pass": "ASCENDING",
    "s1_relative_orbit": 55,
}


def test_records_come_back_in_order_and_unchanged(tmp_path):
    rows = [
        record(0, 0, **SCENES),
        record(0, 1, Status.REJECTED, Reason.CLOUD),
        record(3, 0, Status.FAILED, Reason.QUOTA),
        record(3, 1, Status.DONE, **SCENES),
    ]
    write_records(tmp_path / "7.parquet", [rows[2], rows[0], rows[3], rows[1]])
    back = read_records(tmp_path / "7.parquet")
    assert [repr(row) for row in back] == [repr(row) for row in rows]  # NaN != NaN


def test_same_records_same_bytes_in_whatever_order(tmp_path):
    rows = [record(sample, season, **SCENES) for sample in range(5) for season in range(4)]
    write_records(tmp_path / "a.parquet", rows, "hash")
    random.Random(1).shuffle(rows)
    write_records(tmp_path / "b.parquet", rows, "hash")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_columns_are_typed_for_other_readers(tmp_path):
    rows = [record(0, 0, **SCENES), record(0, 1, Status.REJECTED, Reason.NO_S2)]
    write_records(tmp_path / "0.parquet", rows)
    table = pd.read_parquet(tmp_path / "0.parquet")
    assert list(table.columns) == [field.name for field in dataclasses.fields(SeasonRecord)]
    assert table["s2_time"][0] == pd.Timestamp("2021-01-03T10:22:21.123Z")
    assert pd.isna(table["s2_time"][1])
    assert pd.isna(table["cloud_cover"][1])


def test_no_records_are_a_ledger_too(tmp_path):
    write_records(tmp_path / "0.parquet", [])
    assert read_records(tmp_path / "0.parquet") == []
    assert describe([]) == "nothing"


def test_a_ledger_of_another_dataset_is_refused(tmp_path):
    write_records(tmp_path / "0.parquet", [record(0, 0)], "0123456789abcdef")
    assert len(read_records(tmp_path / "0.parquet", "0123456789abcdef")) == 1
    with pytest.raises(PipelineError, match=r"belongs to dataset 0123456789abcdef.*fedcba"):
        read_records(tmp_path / "0.parquet", "fedcba")


def test_what_is_no_ledger_is_one_clear_line(tmp_path):
    with pytest.raises(PipelineError, match="does not exist"):
        read_records(tmp_path / "none.parquet")
    (tmp_path / "garbage.parquet").write_bytes(b"PAR1 garbage PAR1")
    with pytest.raises(PipelineError, match="is not a ledger"):
        read_records(tmp_path / "garbage.parquet")
    pq.write_table(pa.table({"sample": [1]}), tmp_path / "other.parquet")
    with pytest.raises(PipelineError, match="is not a ledger"):
        read_records(tmp_path / "other.parquet")
    table = pa.Table.from_pandas(
        pd.DataFrame([dataclasses.asdict(record(0, 0)) | {"status": "invented"}])
    )
    table = table.set_column(10, "s2_time", pa.array([None], pa.timestamp("ms", tz="UTC")))
    table = table.set_column(11, "s1_time", pa.array([None], pa.timestamp("ms", tz="UTC")))
    pq.write_table(table, tmp_path / "invented.parquet")
    with pytest.raises(PipelineError, match="invented"):
        read_records(tmp_path / "invented.parquet")


def test_the_summary_counts_seasons_by_reason():
    rows = [
        *(record(0, season) for season in range(4)),
        record(1, 0, Status.REJECTED, Reason.CLOUD),
        *(record(1, season, Status.REJECTED, Reason.OTHER_SEASON) for season in (1, 2, 3)),
        record(2, 0, Status.FAILED, Reason.QUOTA),
    ]
    assert describe(rows) == "selected 4, rejected 4 (cloud 1, other_season 3), failed 1 (quota 1)"
