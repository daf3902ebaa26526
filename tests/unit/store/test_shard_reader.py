"""Chunks read straight from shards equal what zarr-python reads."""

import json
import os
import pickle

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ZstdCodec

from pipeline.errors import PipelineError
from pipeline.store import shard_source
from pipeline.store.create import create_store
from pipeline.store.damage import LostFile
from pipeline.store.layout import PIXEL_ARRAYS
from pipeline.store.object_path import store_path
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


@pytest.fixture(params=["disk", "url"])
def place(store, request):
    """The store as a folder, and the same through the client of object storage."""
    return store if request.param == "disk" else store_path(store.as_uri())


@pytest.mark.parametrize("array", PIXEL_ARRAYS, ids=lambda array: array.name)
def test_every_chunk_equals_zarr_python(place, store, array):
    reader = open_chunks(place / array.name)
    truth = zarr.open_array(store / array.name, mode="r")
    assert isinstance(reader, ShardedArray)
    assert reader.shape == truth.shape
    for sample in range(8):
        for season in range(4):
            expected = truth[sample, season] if array.seasons_per_chunk == 1 else truth[sample]
            np.testing.assert_array_equal(chunk(reader, sample, season), expected)


@pytest.mark.parametrize("name", ["s1", "label"])
def test_batches_in_any_order_hold_what_single_reads_do(place, name):
    reader = open_chunks(place / name)
    samples, seasons = np.array([7, 0, 6, 7, 2, 1, 4]), np.array([1, 3, 0, 2, 0, 2, 3])
    batch = np.empty((7, *reader.item_shape), reader.dtype)
    reader.read_batch(batch, samples, seasons)
    for row, (sample, season) in enumerate(zip(samples, seasons, strict=True)):
        np.testing.assert_array_equal(batch[row], chunk(reader, sample, season))
    assert (batch[2] == reader_nodata(place, name)).all()


def reader_nodata(place, name):
    return json.loads((place / name / "zarr.json").read_bytes())["fill_value"]


def test_empty_samples_read_as_nodata(place):
    label = open_chunks(place / "label")
    assert (chunk(label, 1) == 255).all()
    assert (chunk(open_chunks(place / "s1"), 6, 2) == -32768).all()


@pytest.mark.parametrize(
    ("codecs", "file"),
    [
        ({}, "c/1/0/0"),
        ({"compressors": [GzipCodec()]}, "c/1/0/0"),
        ({"shards": None}, "c/4/2/0"),
    ],
)
def test_a_lost_file_is_never_nodata(tmp_path, codecs, file):
    form = {"chunks": (1, 1, 8), "shards": (3, 4, 8)} | codecs
    array = zarr.create_array(tmp_path / "a", shape=(6, 4, 8), dtype="uint16", **form)
    array[:] = 7
    reader = open_chunks(tmp_path / "a")
    (tmp_path / "a" / file).write_bytes(b"")
    assert (chunk(reader, 0, 2) == 7).all()
    with pytest.raises(PipelineError, match=file):
        chunk(reader, 4, 2)
    (tmp_path / "a" / file).unlink()
    with pytest.raises(LostFile, match=f"a/{file} is missing or empty; copy the store as a whole"):
        chunk(open_chunks(tmp_path / "a"), 4, 2)


def test_a_shard_that_comes_later_is_read(place, store, shard_pixels):
    reader = open_chunks(place / "s1")
    with pytest.raises(LostFile, match="s1/c/2/0/0/0/0 is missing"):
        chunk(reader, 9, 1)
    pixels = shard_pixels(9)
    write_shard(store, 2, pixels)
    np.testing.assert_array_equal(chunk(reader, 9, 1), pixels[9, 1].s1)


def test_more_shards_than_files_may_be_open(store, monkeypatch):
    monkeypatch.setattr(shard_source, "_OPEN_FILES", 1)
    reader = open_chunks(store / "s1")
    truth = zarr.open_array(store / "s1", mode="r")
    for sample in (0, 5, 2, 7, 0):
        np.testing.assert_array_equal(chunk(reader, sample, 3), truth[sample, 3])


def test_survives_pickling_after_a_read(place):
    reader = open_chunks(place / "s2_20m")
    before = chunk(reader, 2, 1)
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(chunk(copy, 2, 1), before)


def test_reads_again_after_closing(place):
    reader = open_chunks(place / "label")
    before = chunk(reader, 2)
    reader.close()
    np.testing.assert_array_equal(chunk(reader, 2), before)


def damage(path, position, content):
    with path.open("r+b") as file:
        file.seek(position, 0 if position >= 0 else 2)
        file.write(content)


def test_damaged_index_is_named(place, store):
    damage(store / "s1/c/0/0/0/0/0", -10, b"\x01\x02\x03")
    with pytest.raises(PipelineError, match=r"the index of .*s1/c/0/0/0/0/0 is damaged"):
        chunk(open_chunks(place / "s1"), 0)


def test_file_cut_short_is_named(place, store):
    path = store / "label/c/1/0/0/0"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(PipelineError, match="is damaged"):
        chunk(open_chunks(place / "label"), 4)


def test_shard_that_shrinks_while_it_is_read_is_named(place, store):
    reader = open_chunks(place / "s1")
    chunk(reader, 0)
    os.truncate(store / "s1/c/0/0/0/0/0", 100)
    with pytest.raises(PipelineError, match="s1/c/0/0/0/0/0"):
        chunk(reader, 3, 3)


def test_shard_that_goes_or_changes_while_it_is_read_is_named(store, monkeypatch):
    monkeypatch.setattr(shard_source, "_OPEN_FILES", 1)
    reader = open_chunks(store / "s1")
    file = store / "s1/c/0/0/0/0/0"
    for sample in (0, 5):  # the second shard closes the first
        chunk(reader, sample)
    written_again = file.with_name("again")
    written_again.write_bytes(file.read_bytes())
    written_again.replace(file)
    with pytest.raises(PipelineError, match="s1/c/0/0/0/0/0 was written again"):
        chunk(reader, 0)
    file.unlink()
    with pytest.raises(PipelineError, match=r"no file .*s1/c/0/0/0/0/0 any more"):
        chunk(reader, 0)


def test_an_object_that_changes_while_it_is_read_is_named(store, shard_pixels):
    reader = open_chunks(store_path(store.as_uri()) / "s1")
    chunk(reader, 0)
    write_shard(store, 0, shard_pixels(0, 1, 2, 3))
    with pytest.raises(PipelineError, match="s1/c/0/0/0/0/0 was written again while it was read"):
        chunk(reader, 3)
    reader.close()
    np.testing.assert_array_equal(chunk(reader, 3), shard_pixels(3)[3, 0].s1)


def test_samples_without_their_shard_are_refused(place, store):
    reader = open_chunks(place / "s1")
    reader.require(np.array([0, 5, 7]))
    with pytest.raises(PipelineError, match=r"s1/c/2/0/0/0/0 is missing, one of 1 of 2 shards"):
        reader.require(np.array([0, 9]))
    (store / "s1/c/0/0/0/0/0").unlink()
    with pytest.raises(PipelineError, match="one of 2 of 3 shards"):
        reader.require(np.array([0, 5, 9]))


def test_damaged_index_in_a_batch_is_one_error(place, store):
    damage(store / "s1/c/1/0/0/0/0", -10, b"\x01\x02\x03")
    reader = open_chunks(place / "s1")
    out = np.empty((2, *reader.item_shape), reader.dtype)
    with pytest.raises(PipelineError, match=r"the index of .*s1/c/1/0/0/0/0 is damaged"):
        reader.read_batch(out, np.array([0, 5]), np.array([0, 0]))


def test_damaged_chunk_names_the_sample(store):
    damage(store / "label/c/0/0/0/0", 0, b"\x00" * 40)
    with pytest.raises(PipelineError, match="sample 0 of .*label is damaged"):
        chunk(open_chunks(store / "label"), 0)


def chunk_bytes(array, shard=0):
    """Start and length of the first chunk of a shard."""
    (file,) = (path for path in (array / "c" / str(shard)).rglob("*") if path.is_file())
    chunks = {"label": 4}.get(array.name, 16)
    index = np.frombuffer(file.read_bytes()[-16 * chunks - 4 : -4], "<u8")
    return file, int(index[0]), int(index[1])


@pytest.mark.parametrize("array", PIXEL_ARRAYS, ids=lambda array: array.name)
def test_no_flipped_bit_of_a_chunk_passes_whoever_reads_it(place, store, array):
    file, start, length = chunk_bytes(store / array.name)
    content = file.read_bytes()
    reader = open_chunks(place / array.name)
    good = chunk(reader, 0)
    rng = np.random.default_rng(0)
    for bit in [0, 8 * length - 1, *rng.integers(0, 8 * length, 40).tolist()]:
        flipped = bytearray(content)
        flipped[start + bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        reader.close()
        with pytest.raises(PipelineError, match=f"sample 0 of .*{array.name} is damaged .*checksu"):
            chunk(reader, 0)
    with pytest.raises(ValueError, match="checksum do not match"):
        zarr.open_array(store / array.name, mode="r")[0]
    with pytest.raises(ValueError, match="checksum do not match"):
        xr.open_zarr(store)[array.name][0].load()
    file.write_bytes(content)
    reader.close()
    np.testing.assert_array_equal(chunk(reader, 0), good)


def test_missing_array_is_named(place):
    with pytest.raises(PipelineError, match="no array 's3'"):
        open_chunks(place / "s3")


def test_damaged_chunks_of_foreign_forms_are_one_line(tmp_path):
    array = zarr.create_array(tmp_path / "a", shape=(2, 8), dtype="uint16", chunks=(1, 8))
    array[:] = 7
    (tmp_path / "a/c/1/0").write_bytes(b"rubbish")
    with pytest.raises(
        PipelineError, match="the array 'a' in .* is damaged .*build the store again"
    ):
        chunk(open_chunks(tmp_path / "a"), 1)


def test_old_codec_beside_the_one_in_use(tmp_path, small_settings, shard_pixels):
    """A store may be begun with other levels and compressors of Blosc; chunks name their own."""
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 8)
    write_shard(path, 0, shard_pixels(0))
    values = zarr.open_array(path / "s1", mode="r")[0]
    document = json.loads((path / "s1/zarr.json").read_text())
    options = document["codecs"][0]["configuration"]["codecs"][1]["configuration"]
    assert (options["cname"], options["shuffle"]) == ("lz4hc", "shuffle")
    options |= {"cname": "zstd", "clevel": 5, "shuffle": "bitshuffle"}
    (path / "s1/zarr.json").write_text(json.dumps(document))
    np.testing.assert_array_equal(zarr.open_array(path / "s1", mode="r")[0], values)
    np.testing.assert_array_equal(chunk(open_chunks(path / "s1"), 0, 2), values[2])


@pytest.mark.parametrize(
    "codecs, kind",
    [
        ({"compressors": None}, ShardedArray),
        ({"compressors": [ZstdCodec(level=1)]}, ShardedArray),
        ({"compressors": [BloscCodec(cname="lz4")]}, ShardedArray),
        ({"compressors": [BloscCodec(cname="lz4"), Crc32cCodec()]}, ShardedArray),
        ({"compressors": [ZstdCodec(level=1), Crc32cCodec()]}, ShardedArray),
        ({"compressors": [Crc32cCodec()]}, ShardedArray),
        ({"compressors": [Crc32cCodec(), ZstdCodec(level=1)]}, ZarrArray),
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
