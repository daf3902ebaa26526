"""Records and coordinates that lost a file are never taken for empty ones."""

import numpy as np
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.store.chunk_files import chunk_places
from pipeline.store.create import create_store
from pipeline.store.damage import LostFile
from pipeline.store.groups import read_records, write_records
from pipeline.store.layout import NO_TIME
from pipeline.store.object_path import store_path
from pipeline.store.reader import open_encoded, open_store
from tests.earlier_store import begin_earlier

COUNT = 70_000
"""Two chunks of records."""


@pytest.fixture
def store(tmp_path, small_settings):
    create_store(tmp_path / "nol.zarr", small_settings, COUNT)
    return tmp_path / "nol.zarr"


def test_places_are_those_of_the_files_that_are_asked_for():
    key = (slice(3, 9), slice(None), 7)
    assert list(chunk_places((12, 2, 8), (4, 2, 8), key)) == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    assert list(chunk_places((12, 8), (4, 4), (np.array([11, 1]), 5))) == [(0, 1), (2, 1)]


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_a_lost_file_is_told_by_the_values_in_it_and_by_no_others(store, content):
    write_records(store, "epsg", np.zeros(COUNT, np.int32))
    file = store / "epsg/c/1"
    file.write_bytes(b"") if content is not None else file.unlink()
    url = store_path(store.as_uri())
    for opened in (open_store(store), open_store(url)):
        assert opened["epsg"][65_535].item() == 0
        with pytest.raises(LostFile, match="epsg/c/1 is missing or empty; copy the store as a"):
            opened["epsg"][65_536].item()
        with pytest.raises(LostFile, match="epsg/c/1 is missing or empty"):
            opened["epsg"].load()
    assert not read_records(store, "epsg", slice(0, 65_536)).any()
    for rows in (slice(None), 65_536, slice(60_000, 65_540)):
        with pytest.raises(LostFile, match="epsg/c/1 is missing or empty"):
            read_records(store, "epsg", rows)


def test_a_lost_file_of_values_by_season_is_told(store):
    (store / "s2_time/c/0/0").unlink()
    stored = open_encoded(store)["s2_time"]
    with pytest.raises(LostFile, match="s2_time/c/0/0 is missing"):
        stored[5, 1].load()
    assert (stored[65_536:] == NO_TIME).all()
    with pytest.raises(LostFile, match="s2_time/c/0/0 is missing"):
        open_store(store)


@pytest.mark.parametrize("name", ["band_10m", "y"])
def test_a_lost_coordinate_is_told(store, name):
    (store / name / "c/0").unlink()
    with pytest.raises(LostFile, match=f"{name}/c/0 is missing or empty"):
        open_store(store)
    with pytest.raises(LostFile, match=f"{name}/c/0 is missing or empty"):
        read_records(store, name)


def test_empty_records_of_an_earlier_store_have_no_files_and_are_empty(store):
    begin_earlier(store)
    assert not list(store.glob("valid/c"))
    opened = open_store(store)
    assert not opened["valid"].any() and (opened["id"][[0, 69_999]] == "").all()
    assert not read_records(store, "valid").any()


def test_no_flipped_bit_of_records_changes_a_value(store):
    values = np.arange(COUNT) % 7 == 0
    write_records(store, "valid", values)
    file = store / "valid/c/1"
    content = file.read_bytes()
    told = 0
    for bit in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            found = read_records(store, "valid", slice(65_536, None))
        except PipelineError as error:
            assert "valid/c" in str(error) or "the array 'valid' in" in str(error)
            told += 1
        else:
            np.testing.assert_array_equal(found, values[65_536:])
    assert told > 0.9 * len(range(0, 8 * len(content), 3))
    file.write_bytes(flipped)
    with pytest.raises((ValueError, RuntimeError)):
        zarr.open_array(store / "valid", mode="r")[65_536:]
