import datetime as dt

import pytest

from pipeline.errors import PipelineError
from pipeline.ledger import SeasonRecord, Status, read_notes, read_records, write_records
from pipeline.store.commit import damaged_files, read_commit, write_commit

RECORDS = [
    SeasonRecord(
        sample,
        f"{sample:03d}",
        season,
        dt.date(2021, 1, 1),
        dt.date(2021, 2, 1),
        Status.DONE if sample else Status.REJECTED,
        cloud_cover=1.0,
    )
    for sample in range(2)
    for season in range(4)
]


@pytest.fixture
def committed(tmp_path):
    store = tmp_path / "nol.zarr"
    (store / "a").mkdir(parents=True)
    (store / "a" / "0").write_bytes(b"pixels")
    sha256 = "4a5347c59e77b8d0ad0e3dd4ed1f9b1c0b3cb6b0a6f5a7e7d6f6b5f0a9c1d2e3"
    write_commit(tmp_path / "0.parquet", RECORDS, store, {"a/0": sha256}, "hash")
    return tmp_path / "0.parquet"


def test_rows_and_files_read_back(committed):
    commit = read_commit(committed, "hash")
    assert commit.records == RECORDS and read_records(committed, "hash") == RECORDS
    assert commit.samples == [0, 1] and commit.kept_samples == [1]
    assert commit.files["a/0"].size == 6
    assert "code_version" in read_notes(committed)


def test_damage_shows_by_size_at_once_and_by_hash_when_thorough(committed, tmp_path):
    store, commit = tmp_path / "nol.zarr", read_commit(committed, "hash")
    assert damaged_files(store, commit, thorough=False) == []
    assert damaged_files(store, commit, thorough=True) == [store / "a/0"]
    (store / "a" / "0").write_bytes(b"pixel")
    assert damaged_files(store, commit, thorough=False) == [store / "a/0"]
    (store / "a" / "0").unlink()
    assert damaged_files(store, commit, thorough=False) == [store / "a/0"]


def test_a_commit_of_another_dataset_or_without_files_is_refused(committed, tmp_path):
    with pytest.raises(PipelineError, match="belongs to dataset hash"):
        read_commit(committed, "other")
    write_records(tmp_path / "1.parquet", RECORDS, "hash")
    with pytest.raises(PipelineError, match="does not say which files"):
        read_commit(tmp_path / "1.parquet", "hash")
    (tmp_path / "2.parquet").write_bytes(b"PAR1")
    with pytest.raises(PipelineError, match="not a ledger"):
        read_commit(tmp_path / "2.parquet", "hash")
