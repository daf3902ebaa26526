"""Tiles with one class each, of a record or of most of their pixels."""

import pytest
import torch

from pipeline.errors import PipelineError
from tests.training.learnable_tiles import EMPTY, UNLABELLED, tile
from tests.training.scene_store import write_scene_store
from training.downstream.scene_tiles import SceneTiles


def test_tiles_without_data_or_class_are_left_out(tmp_path):
    tiles = SceneTiles(write_scene_store(tmp_path / "scenes.zarr"), "train", "s2", "scene_class")
    assert tiles.samples.tolist() == [0, 1, 2, 3, 4, 7]
    assert tiles.labels_N.tolist() == [0, 1, 2, 0, 1, 1]
    assert tiles.classes == ("forest", "river", "industrial")
    batches = [batch["s2"] for batch in tiles.batches(4)]
    assert [len(batch) for batch in batches] == [4, 2]
    assert torch.cat(batches)[:, 0, 5, 0].tolist() == [500, 1400, 2300, 500, 1400, 1400]


def test_a_store_without_classes_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="has no other in its group"):
        SceneTiles(write_scene_store(tmp_path / "scenes.zarr"), "train", "s2", "other")


def test_the_class_of_most_pixels_stands_for_a_tile_without_one(tile_store):
    tiles = SceneTiles(tile_store, "test", "s1", "label")
    assert not {EMPTY, UNLABELLED} & set(tiles.samples.tolist())
    for sample, found in zip(tiles.samples, tiles.labels_N, strict=True):
        label = tile("test", int(sample))["label"]
        shares = [(label == number).sum() for number in range(9)]
        assert shares[found] == max(shares)
    assert len(tiles.classes) == 9
