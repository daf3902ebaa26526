"""Probes classify features as an independent computation does."""

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.settings.evaluate import ProbeSettings
from pipeline.store.layout import RecordArray
from pipeline.store.tile_layout import TILE_RECORDS, TileGroup, reflectance_array
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles
from tests.training.learnable_tiles import EMPTY, UNLABELLED, tile, write_tile_store
from training.downstream.features import pooled_features, stage_features
from training.downstream.scene_tiles import SceneTiles
from training.downstream.tile_batch import TileInputs
from training.loading.inputs import InputContract
from training.probe import linear_probe, nearest_neighbours, probe_rows

CLASSES = 3
SCENE_CLASS = RecordArray(
    "scene_class", "uint8", 255, attributes={"flag_meanings": "forest river industrial"}
)


@pytest.fixture(scope="module")
def clouds():
    """Features of three classes around three points, with columns of very different size."""
    draw = np.random.default_rng(0)
    labels = np.arange(90) % CLASSES
    centres = draw.normal(size=(CLASSES, 6))
    features = centres[labels] + draw.normal(0, 0.3, (90, 6))
    features[:, 5] = 7.0
    features *= np.array([1, 1e-3, 1e3, 1, 1, 1])
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def test_the_linear_probe_is_at_the_minimum(clouds):
    """Its answers are those of plain gradient descent on the same convex function."""
    features, labels = clouds
    found = linear_probe(features[:60], labels[:60], features[60:], CLASSES, 1e-2)
    scaled = features[:60].double()
    mean, std = scaled.mean(0), scaled.std(0, correction=0)
    std[std < 1e-6] = 1
    scaled = (scaled - mean) / std
    weights = torch.zeros(7, CLASSES, dtype=torch.float64, requires_grad=True)
    rows = torch.cat([scaled, torch.ones(60, 1)], 1)
    for _ in range(3000):
        loss = torch.nn.functional.cross_entropy(rows @ weights, labels[:60])
        loss = loss + 0.5e-2 * weights[:6].square().sum()
        (gradient,) = torch.autograd.grad(loss, weights)
        weights = (weights - 0.5 * gradient).detach().requires_grad_()
    test = (features[60:].double() - mean) / std
    expected = (torch.cat([test, torch.ones(30, 1)], 1) @ weights).argmax(1)
    assert torch.equal(found, expected)
    assert (found == labels[60:]).double().mean() > 0.9


def test_neighbours_vote(clouds):
    features, labels = clouds
    found = nearest_neighbours(features[:60], labels[:60], features[60:], CLASSES, 5)
    assert (found == labels[60:]).double().mean() > 0.9
    itself = nearest_neighbours(features, labels, features, CLASSES, 1)
    assert torch.equal(itself, labels)


def test_scores_without_meaning_are_at_chance():
    draw = torch.Generator().manual_seed(1)
    features = torch.randn(400, 8, generator=draw)
    labels = torch.randint(0, 4, (400,), generator=draw).numpy()
    rows = probe_rows(
        features[:200], labels[:200], features[200:], labels[200:], 4, ProbeSettings()
    )
    assert [row["classifier"] for row in rows] == ["linear", "knn5"]
    assert all(0.15 < row["oa"] < 0.35 for row in rows)


def test_features_that_are_no_numbers_are_refused():
    features = torch.full((4, 2), float("nan"))
    with pytest.raises(PipelineError, match="NaN or infinite"):
        probe_rows(features, np.zeros(4, int), features, np.zeros(4, int), 2, ProbeSettings())


class Means(torch.nn.Module):
    """An encoder of two stages, the image and an empty one before them."""

    def forward(self, image_BCHW):
        half = torch.nn.functional.avg_pool2d(image_BCHW, 2)
        return [image_BCHW, image_BCHW[:, :0], half, torch.nn.functional.avg_pool2d(half, 2)]


def scene_store(path):
    def pixels(sample):
        values = np.full((13, 16, 16), 500 + 900 * (sample % CLASSES), np.uint16)
        values[:, :2] += np.uint16(sample)
        return {"s2": values}

    records = (*TILE_RECORDS, SCENE_CLASS)
    group = TileGroup(8, 16, (reflectance_array(),), records, shard_size=8)
    attributes = {"title": "", "source": "", "simulated": True, "dataset_hash": "0"}
    create_tile_store(path, {"train": group}, attributes)
    write_tiles(path, "train", 0, {sample: pixels(sample) for sample in range(8) if sample != 5})
    classes = [sample % CLASSES if sample != 6 else 255 for sample in range(8)]
    finish_tiles(path, "train", {"scene_class": classes}, [sample != 5 for sample in range(8)])
    return path


def contract():
    bands = ("B2", "B3", "B4")
    return InputContract("s2", bands, "reflectance x 10000", "clip2std", (2000.0,) * 3, (1e3,) * 3)


def test_tiles_without_data_or_class_are_left_out(tmp_path):
    tiles = SceneTiles(scene_store(tmp_path / "scenes.zarr"), "train", "s2", "scene_class")
    assert tiles.samples.tolist() == [0, 1, 2, 3, 4, 7]
    assert tiles.labels_N.tolist() == [0, 1, 2, 0, 1, 1]
    assert tiles.classes == ("forest", "river", "industrial")
    features = pooled_features(
        Means(), TileInputs(contract()), tiles.batches(4), torch.device("cpu")
    )
    assert features.shape == (6, 3)
    expected = (500 + 900 * np.array([0, 1, 2, 0, 1, 1]) + np.array([0, 1, 2, 3, 4, 7]) / 8) / 4000
    np.testing.assert_allclose(features[:, 0], expected, rtol=1e-5)


def test_every_stage_is_described(tmp_path):
    tiles = SceneTiles(scene_store(tmp_path / "scenes.zarr"), "train", "s2", "scene_class")
    stages = stage_features(
        Means(), TileInputs(contract()), tiles.batches(4), torch.device("cpu"), pixels_per_image=20
    )
    assert [(images.shape, pixels.shape) for images, pixels in stages] == [
        ((6, 3), (120, 3)),
        ((6, 3), (96, 3)),
    ]


def test_a_store_without_classes_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="has no other in its group"):
        SceneTiles(scene_store(tmp_path / "scenes.zarr"), "train", "s2", "other")


def test_the_class_of_most_pixels_stands_for_a_tile_without_one(tmp_path):
    store = write_tile_store(tmp_path / "tiles.zarr")
    tiles = SceneTiles(store, "test", "s1", "label")
    assert not {EMPTY, UNLABELLED} & set(tiles.samples.tolist())
    for sample, found in zip(tiles.samples, tiles.labels_N, strict=True):
        label = tile("test", int(sample))["label"]
        shares = [(label == number).sum() for number in range(9)]
        assert shares[found] == max(shares)
    assert len(tiles.classes) == 9
