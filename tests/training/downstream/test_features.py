"""Features are those of whole images and of single pixels, stage by stage."""

import numpy as np
import pytest
import torch

from tests.training.scene_store import write_scene_store
from training.downstream.features import pooled_features, stage_features
from training.downstream.scene_tiles import SceneTiles
from training.downstream.tile_batch import TileInputs
from training.encoders.table import find_entry
from training.encoders.vit_pyramid import VitShape, build_vit
from training.loading.inputs import InputContract
from training.loading.samples import TileDataset


class Means(torch.nn.Module):
    """An encoder of two stages, the image and an empty one before them."""

    def forward(self, image_BCHW):
        half = torch.nn.functional.avg_pool2d(image_BCHW, 2)
        return [image_BCHW, image_BCHW[:, :0], half, torch.nn.functional.avg_pool2d(half, 2)]


def contract():
    bands = ("B2", "B3", "B4")
    return InputContract("s2", bands, "reflectance x 10000", "clip2std", (2000.0,) * 3, (1e3,) * 3)


def test_pooled_features_are_means_over_the_image(tmp_path):
    tiles = SceneTiles(write_scene_store(tmp_path / "scenes.zarr"), "train", "s2", "scene_class")
    features = pooled_features(
        Means(), TileInputs(contract()), tiles.batches(4), torch.device("cpu")
    )
    assert features.shape == (6, 3)
    expected = (500 + 900 * np.array([0, 1, 2, 0, 1, 1]) + np.array([0, 1, 2, 3, 4, 7]) / 8) / 4000
    np.testing.assert_allclose(features[:, 0], expected, rtol=1e-5)


def test_every_stage_is_described(tmp_path):
    tiles = SceneTiles(write_scene_store(tmp_path / "scenes.zarr"), "train", "s2", "scene_class")
    stages = stage_features(
        Means(), TileInputs(contract()), tiles.batches(4), torch.device("cpu"), pixels_per_image=20
    )
    assert [(images.shape, pixels.shape) for images, pixels in stages] == [
        ((6, 3), (120, 3)),
        ((6, 3), (96, 3)),
    ]


@pytest.mark.parametrize("name", ["scalemae", "satmae", "dofa"])
def test_transformers_describe_tiles_of_any_size(tile_store, name):
    """46 pixels are no multiple of a patch, as 510 are none."""
    entry = find_entry(name, "s2")
    encoder = build_vit(entry, VitShape(width=32, depth=4, heads=2))
    inputs = TileInputs(entry.contract(entry.bands, None))
    data = TileDataset(tile_store, "test", ("s2",))
    batches = [data.__getitems__([0, 1]).imagery]
    stages = stage_features(encoder, inputs, batches, torch.device("cpu"), pixels_per_image=4)
    assert [(images.shape, pixels.shape) for images, pixels in stages] == [((2, 32), (8, 32))] * 4
    assert pooled_features(encoder, inputs, batches, torch.device("cpu")).shape == (2, 32)
