"""Chunks read straight from shards equal what zarr-python reads."""

import pickle

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, ZstdCodec

from pipeline.errors import PipelineError
from pipeline.store import shard_source
from pipeline.store.create import create_store
from pipeline.store.layout import PIXEL_ARRAYS
from pipeline.store.shard_reader import ShardedArray, ZarrArray, open_chunks
from pipeline.store.shards import write_shard


@pytest.fixture
def store(tmp_path, small_settings, shard_pixels):
    """Ten samples in shards of four; 1 and 6 are empty, the last shard has no file."""
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 10)
    write_shard(path, 0, shard_pixels(0, 2, 3))
    write_shard(path, 1, shard_pixels(4, 5, 7))
    return path


def chunk(reader, sample, season=0):
    out = np.empty(reader.item_shape, reader.dtype)
    reader.read_into(out, sample, season)
    return out


@pytest.mark.parametrize("array", PIXEL_ARRAYS, ids=lambda array: array.name)
def test_every_chunk_equals_zarr_python(store, array):
    reader = open_chunks(store / array.name)
    truth = zarr.open_array(store / array.name, mode="r")
    assert isinstance(reader, ShardedArray)
    assert reader.shape == truth.shape
    for sample in range(10):
        for season in range(4):
            expected = truth[sample, season] if array.seasons_per_chunk == 1 else truth[sample]
            np.testing.assert_array_equal(chunk(reader, sample, season), expected)


def test_empty_samples_read_as_nodata(store):
    label = open_chunks(store / "label")
    assert (chunk(label, 1) == 255).all()
    assert (chunk(label, 9) == 255).all()
    assert (chunk(open_chunks(store / "s1"), 6, 2) == -32768).all()


def test_more_shards_than_files_may_be_open(store, monkeypatch):
    monkeypatch.setattr(shard_source, "_OPEN_FILES", 1)
    reader = open_chunks(store / "s1")
    truth = zarr.open_array(store / "s1", mode="r")
    for sample in (0, 5, 2, 7, 0):
        np.testing.assert_array_equal(chunk(reader, sample, 3), truth[sample, 3])


def test_survives_pickling_after_a_read(store):
    reader = open_chunks(store / "s2_20m")
    before = chunk(reader, 2, 1)
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(chunk(copy, 2, 1), before)


def test_reads_again_after_closing(store):
    reader = open_chunks(store / "label")
    before = chunk(reader, 2)
    reader.close()
    np.testing.assert_array_equal(chunk(reader, 2), before)


def damage(path, position, content):
    with path.open("r+b") as file:
        file.seek(position, 0 if position >= 0 else 2)
        file.write(content)


def test_damaged_index_is_named(store):
    damage(store / "s1/c/0/0/0/0/0", -10, b"\x01\x02\x03")
    with pytest.raises(PipelineError, match=r"the index of .*s1/c/0/0/0/0/0 is damaged"):
        chunk(open_chunks(store / "s1"), 0)


def test_file_cut_short_is_named(store):
    path = store / "label/c/1/0/0/0"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(PipelineError, match="is damaged"):
        chunk(open_chunks(store / "label"), 4)


def test_damaged_chunk_names_the_sample(store):
    damage(store / "label/c/0/0/0/0", 0, b"\x00" * 40)
    with pytest.raises(PipelineError, match="sample 0 of .*label is damaged"):
        chunk(open_chunks(store / "label"), 0)


def test_missing_array_is_named(store):
    with pytest.raises(PipelineError, match="no array 's3'"):
        open_chunks(store / "s3")


@pytest.mark.parametrize(
    "codecs, kind",
    [
        ({"compressors": None}, ShardedArray),
        ({"compressors": [ZstdCodec(level=1)]}, ShardedArray),
        ({"compressors": [BloscCodec(cname="lz4")]}, ShardedArray),
        ({"compressors": [GzipCodec()]}, ZarrArray),
        ({"serializer": BytesCodec(endian="big")}, ZarrArray),
        ({"shards": None}, ZarrArray),
        ({"chunks": (1, 2, 8)}, ZarrArray),
    ],
)
def test_other_forms_read_the_same(tmp_path, codecs, kind):
    values = np.random.default_rng(0).integers(0, 4000, (6, 4, 8), np.uint16)
    form = {"chunks": (1, 1, 8), "shards": (3, 4, 8)} | codecs
    array = zarr.create_array(tmp_path / "a", shape=values.shape, dtype="uint16", **form)
    array[:] = values
    reader = open_chunks(tmp_path / "a")
    assert isinstance(reader, kind)
    season = 2
    expected = values[4, season] if len(reader.item_shape) == 1 else values[4]
    np.testing.assert_array_equal(chunk(reader, 4, season), expected)
