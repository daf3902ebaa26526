"""Classes come from the labels, and bands in another order are refused."""

import numpy as np
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.legend import load_legend
from pipeline.store.object_path import ObjectPath
from pipeline.store.tile_layout import TileGroup, backscatter_array, reflectance_array
from pipeline.store.tiles import create_tile_store, finish_tiles
from tests.training.learnable_tiles import EMPTY, TEST
from training.downstream.task_tiles import (
    class_colors,
    class_names,
    drawn_tiles,
    is_simulated,
    require_band_order,
    task_store,
    valid_tiles,
)


def test_a_bare_name_lies_beside_the_dataset(tmp_path):
    assert task_store(tmp_path, "dw.zarr") == tmp_path / "dw.zarr"
    assert task_store(tmp_path, f"{tmp_path}/x/dw.zarr") == tmp_path / "x" / "dw.zarr"
    assert task_store(tmp_path, "s3://bucket/dw.zarr") == ObjectPath("s3://bucket/dw.zarr")


def test_names_and_colours_are_those_of_the_labels(tile_store):
    legend = load_legend("dynamic_world")
    names = class_names(tile_store, "test", "label", 9)
    assert names == tuple(row.flag_meaning for row in legend)
    assert class_colors(tile_store, "test", "label", 9) == tuple(row.color for row in legend)
    with pytest.raises(PipelineError, match="have 9 classes, the task says 13; correct num_cl"):
        class_names(tile_store, "test", "label", 13)
    with pytest.raises(PipelineError, match="has no array label_dw in its group 'test'"):
        class_names(tile_store, "test", "label_dw", 9)


def test_labels_without_names_get_numbers_and_greys(tmp_path):
    group = zarr.create_group(tmp_path / "x.zarr").create_group("test")
    group.create_array("label", shape=(1, 2, 2), dtype="uint8")
    assert class_names(tmp_path / "x.zarr", "test", "label", 2) == ("class_0", "class_1")
    assert class_colors(tmp_path / "x.zarr", "test", "label", 2) == ("#282828", "#e6e6e6")
    assert not is_simulated(tmp_path / "x.zarr")


def test_a_share_is_part_of_every_larger_one_and_follows_the_seed():
    samples = np.arange(100, 150)
    shares = [set(drawn_tiles(samples, share, 0).tolist()) for share in (0.001, 0.1, 0.5, 1.0)]
    assert [len(share) for share in shares] == [1, 5, 25, 50]
    assert shares[0] < shares[1] < shares[2] < shares[3] == set(samples.tolist())
    assert set(drawn_tiles(samples, 0.5, 1).tolist()) != shares[2]
    in_order = drawn_tiles(samples, 0.5, 0).tolist()
    assert in_order == sorted(in_order), "as stored: neighbours are read together"


def test_only_complete_tiles_count(tile_store):
    assert valid_tiles(tile_store, "test").tolist() == [k for k in range(TEST) if k != EMPTY]
    with pytest.raises(PipelineError, match="there is no Zarr store at"):
        valid_tiles(tile_store, "validation")


def test_bands_in_another_order_are_refused(tmp_path, tile_store):
    require_band_order(tile_store, "train", "s2")
    bands = [f"B{number}" for number in (2, 3, 4)]
    store = tmp_path / "three.zarr"
    group = TileGroup(1, 8, (reflectance_array(bands), backscatter_array()), shard_size=1)
    create_tile_store(store, {"train": group}, {"title": "", "source": "", "simulated": True})
    finish_tiles(store, "train", {}, [True])
    require_band_order(store, "train", "s1")
    with pytest.raises(PipelineError, match="'train' of .* has the bands B2, B3, B4; write all of"):
        require_band_order(store, "train", "s2")
