"""Stores of tiles: what is written is what plain xarray reads, and nothing shows half done."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr

from pipeline.errors import PipelineError
from pipeline.season_pixels import S1_NODATA
from pipeline.sensors import cube_bands
from pipeline.store.create import read_attributes
from pipeline.store.description import common_attributes
from pipeline.store.layout import RecordArray
from pipeline.store.metadata import read_codecs
from pipeline.store.reader import open_store
from pipeline.store.shard_reader import open_chunks
from pipeline.store.tile_layout import (
    TILE_LAYOUT,
    TILE_RECORDS,
    TileGroup,
    backscatter_array,
    label_array,
    reflectance_array,
)
from pipeline.store.tiles import (
    create_tile_store,
    finish_tiles,
    grow_tile_store,
    read_tile_group,
    tile_shard_files,
    write_tiles,
)
from tests.earlier_store import begin_earlier

SIZE = 6
LABEL = label_array("label", "dynamic_world", "Dynamic World class")
ARRAYS = (reflectance_array(), backscatter_array(), LABEL)
ATTRIBUTES = common_attributes("dw", TILE_LAYOUT) | {
    "title": "tiles",
    "source": "test",
    "simulated": True,
    "dataset_hash": "0123456789abcdef",
}


def tile(sample, size=SIZE):
    rng = np.random.default_rng(sample)
    return {
        "s2": rng.integers(1, 10_000, (13, size, size), np.uint16),
        "s1": rng.integers(-2500, 500, (2, size, size), np.int16),
        "label": rng.integers(0, 9, (size, size), np.uint8),
    }


def groups(**changes):
    one = {"count": 5, "size": SIZE, "arrays": ARRAYS, "shard_size": 2} | changes
    return {"train": TileGroup(**one), "test": TileGroup(**one | {"count": 1, "size": SIZE + 2})}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "dw.zarr"
    create_tile_store(path, groups(), ATTRIBUTES)
    return path


def test_plain_xarray_reads_back_what_was_written(store):
    written = {2: tile(2), 3: tile(3)}
    write_tiles(store, "train", 1, written)
    dataset = xr.open_zarr(store, group="train", mask_and_scale=False)
    for sample, pixels in written.items():
        for name, values in pixels.items():
            np.testing.assert_array_equal(dataset[name][sample].values, values)
    assert (dataset["label"][4] == 255).all()
    assert (dataset["s1"][0] == S1_NODATA).all()


def test_metadata_is_consolidated_for_the_store_and_for_each_group(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xr.open_zarr(store, group="train", consolidated=True).sizes["sample"] == 5
        assert xr.open_zarr(store / "test", consolidated=True).sizes["sample"] == 1


def test_decoded_backscatter_is_in_decibel_and_nodata_is_nan(store):
    pixels = tile(0)
    pixels["s1"][0, 0, 0] = S1_NODATA
    write_tiles(store, "train", 0, {0: pixels})
    s1 = xr.open_zarr(store, group="train")["s1"][0].values
    assert np.isnan(s1[0, 0, 0])
    np.testing.assert_allclose(s1[1], pixels["s1"][1] / 100, atol=1e-4)


def test_axes_are_named_and_described(store):
    train = xr.open_zarr(store, group="train")
    assert train["s2"].dims == ("sample", "band_s2", "y", "x")
    assert list(train["band_s2"].values) == [band.name for band in cube_bands("sentinel-2")]
    assert list(train["band_s1"].values) == ["VV", "VH"]
    assert train["x"].values[0] == 5.0
    assert train["y"].values[0] == -5.0
    assert train["label"].attrs["flag_meanings"].split()[0] == "water"
    assert xr.open_zarr(store, group="test").sizes["y"] == SIZE + 2


def test_a_band_subset_keeps_its_order(tmp_path):
    few = TileGroup(1, SIZE, (reflectance_array(["B4", "B8A"]),))
    create_tile_store(tmp_path / "few.zarr", {"all": few}, ATTRIBUTES)
    dataset = xr.open_zarr(tmp_path / "few.zarr", group="all")
    assert list(dataset["band_s2"].values) == ["B4", "B8A"]
    assert [band["name"] for band in dataset.attrs["bands"]["s2"]] == ["B4", "B8A"]


def test_the_reader_of_this_package_opens_a_group(store):
    dataset = open_store(store, "train")
    assert dataset["s1"].dtype == np.float32
    assert dataset["label"].dtype == np.uint8


def test_records_come_with_valid_last(store):
    finish_tiles(store, "train", {"id": list("abcde"), "lon": np.arange(5.0)}, [True] * 4 + [False])
    dataset = xr.open_zarr(store, group="train")
    assert dataset["id"].values.tolist() == list("abcde")
    assert dataset["valid"].values.tolist() == [True] * 4 + [False]
    assert np.isnan(dataset["lat"].values).all()
    assert np.isnat(dataset["label_date"].values).all()


def test_nothing_is_valid_before_the_group_is_finished(store):
    write_tiles(store, "train", 0, {0: tile(0)})
    assert not xr.open_zarr(store, group="train")["valid"].values.any()


def test_further_records_of_a_source(tmp_path):
    agreement = RecordArray("agreement", "float32", np.nan)
    group = TileGroup(2, SIZE, ARRAYS, (*TILE_RECORDS, agreement))
    create_tile_store(tmp_path / "a.zarr", {"train": group}, ATTRIBUTES)
    finish_tiles(tmp_path / "a.zarr", "train", {"agreement": [0.5, np.nan]}, [True, False])
    values = xr.open_zarr(tmp_path / "a.zarr", group="train")["agreement"].values
    np.testing.assert_array_equal(values, np.array([0.5, np.nan], np.float32))


@pytest.mark.parametrize(
    ("records", "words"),
    [({"id": ["a"]}, "1 values of id for 5 samples"), ({"mood": [""] * 5}, "no record mood")],
)
def test_records_that_do_not_fit_are_refused(store, records, words):
    with pytest.raises(ValueError, match=words):
        finish_tiles(store, "train", records, [True] * 5)


@pytest.mark.parametrize(
    ("sample", "change", "words"),
    [
        (2, {}, "sample 2 is not among 0 to 1"),
        (0, {"label": np.zeros((SIZE, SIZE), np.int16)}, "label of sample 0 is int16"),
        (0, {"s1": np.zeros((2, SIZE, SIZE + 1), np.int16)}, "s1 of sample 0"),
        (0, {"label_dw": np.zeros((SIZE, SIZE), np.uint8)}, "the store"),
    ],
)
def test_pixels_that_do_not_fit_are_refused_and_leave_no_file(store, sample, change, words):
    with pytest.raises(ValueError, match=words):
        write_tiles(store, "train", 0, {sample: tile(0) | change})
    files = tile_shard_files(store, "train", 0, ARRAYS)
    assert not any(file.exists() for file in files)
    assert not list(store.rglob("*.partial"))


def test_an_empty_shard_leaves_its_files(store):
    hashes = write_tiles(store, "train", 2, {})
    files = tile_shard_files(store, "train", 2, ARRAYS)
    assert [store / key for key in hashes] == files
    assert all(file.is_file() for file in files)
    assert (xr.open_zarr(store, group="train", mask_and_scale=False)["s2"][4] == 0).all()


def test_same_pixels_same_bytes_in_whatever_order(store):
    one = write_tiles(store, "train", 0, {0: tile(0), 1: tile(1)})
    assert write_tiles(store, "train", 0, {1: tile(1), 0: tile(0)}) == one


def test_creating_twice_changes_nothing(store):
    write_tiles(store, "train", 0, {0: tile(0)})
    before = {file: file.stat().st_mtime_ns for file in store.rglob("*") if file.is_file()}
    create_tile_store(store, groups(), ATTRIBUTES)
    assert {file: file.stat().st_mtime_ns for file in store.rglob("*") if file.is_file()} == before


def test_a_creation_that_was_cut_short_is_completed(store):
    (store / "zarr.json").unlink()
    create_tile_store(store, groups(), ATTRIBUTES)
    assert json.loads((store / "zarr.json").read_bytes())["attributes"]["groups"] == [
        "train",
        "test",
    ]


@pytest.mark.parametrize(
    ("change", "attributes", "words"),
    [
        ({}, {"dataset_hash": "f" * 16}, "another store"),
        ({"count": 6}, {}, "has room for 5 train tiles of 6 pixels, now there are 6"),
    ],
)
def test_another_store_is_not_touched(store, change, attributes, words):
    with pytest.raises(PipelineError, match=words):
        create_tile_store(store, groups(**change), ATTRIBUTES | attributes)


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(PipelineError, match="not a store of ours"):
        create_tile_store(tmp_path, groups(), ATTRIBUTES)


def test_the_shape_can_be_read_back(store):
    group = read_tile_group(store, "train")
    assert (group.count, group.size, group.shard_size) == (5, SIZE, 2)
    assert [array.name for array in group.arrays] == ["s2", "s1", "label"]
    with pytest.raises(PipelineError, match="no group validation"):
        read_tile_group(store, "validation")


def test_an_earlier_store_that_grows_keeps_the_codecs_of_its_chunks(store):
    begin_earlier(store)
    before = write_tiles(store, "train", 0, {0: tile(0)})
    grow_tile_store(store, groups(count=9), ATTRIBUTES)
    assert write_tiles(store, "train", 0, {0: tile(0)}) == before
    write_tiles(store, "train", 4, {8: tile(8)})
    plain = xr.open_zarr(store, group="train", mask_and_scale=False)
    for name in ("s2", "s1", "label"):
        for sample in (0, 8):
            pixels = np.empty(tile(sample)[name].shape, tile(sample)[name].dtype)
            open_chunks(store / "train" / name).read_into(pixels, sample)
            np.testing.assert_array_equal(pixels, tile(sample)[name])
            np.testing.assert_array_equal(plain[name][sample].values, pixels)
        assert "crc32c" not in str(read_codecs(store / "train" / name))


def test_a_flipped_bit_of_a_tile_is_told_by_name_and_by_zarr_alone(store):
    write_tiles(store, "test", 0, {0: tile(0, SIZE + 2)})
    file = store / "test/s2/c/0/0/0/0"
    content = bytearray(file.read_bytes())
    content[100] ^= 4
    file.write_bytes(content)
    with pytest.raises(PipelineError, match="sample 0 of .*test/s2 is damaged .*checksum does not"):
        open_chunks(store / "test/s2").read_into(np.empty((13, 8, 8), np.uint16), 0)
    with pytest.raises(PipelineError, match="the array 's2' in .*test is damaged"):
        open_store(store, "test")["s2"][0].load()
    with pytest.raises(ValueError, match="checksum do not match"):
        xr.open_zarr(store, group="test")["s2"][0].load()


def test_a_store_grows_and_keeps_what_it_holds(store):
    finish_tiles(store, "train", {"id": list("abcde")}, [True] * 5)
    larger = groups(count=9)
    grow_tile_store(store, larger, ATTRIBUTES | {"labels_hash": "new"})
    grown = xr.open_zarr(store, group="train", chunks=None, mask_and_scale=False)
    assert grown.sizes["sample"] == 9
    assert grown["id"].values.tolist() == [*"abcde", "", "", "", ""]
    assert grown["valid"].values.tolist() == [True] * 5 + [False] * 4
    assert read_attributes(store)["labels_hash"] == "new"
    create_tile_store(store, larger, ATTRIBUTES)
    with pytest.raises(PipelineError, match="has room for 9 train tiles .* now there are 5"):
        grow_tile_store(store, groups(), ATTRIBUTES)
    with pytest.raises(PipelineError, match="is another store"):
        grow_tile_store(store, larger, ATTRIBUTES | {"dataset_hash": "b" * 16})
