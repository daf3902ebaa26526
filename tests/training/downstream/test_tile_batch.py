"""Training sees crops that only the draw decides, scoring whole tiles."""

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from tests.training.learnable_tiles import SIZE, tile
from training.downstream.tile_batch import CropRecipe, TileInputs, require_labels, to_device
from training.loading.inputs import InputContract
from training.loading.samples import TileDataset

BANDS = ("B4", "B3")
CONTRACT = InputContract("s2", BANDS, "reflectance x 10000", "standard", (1000.0,) * 2, (10.0,) * 2)


@pytest.fixture(scope="module")
def stored(tile_store):
    return TileDataset(tile_store, "train", ("s2",)).__getitems__([3, 0])


def scaled(sample):
    cube = torch.from_numpy(tile("train", sample)["s2"].astype(np.float32))
    return (cube[[3, 2]] - 1000) / 10


def test_whole_tiles_are_scaled_and_otherwise_as_stored(stored):
    image, labels = TileInputs(CONTRACT).whole(stored)
    assert image.dtype == torch.float32 and image.is_contiguous(memory_format=torch.channels_last)
    for row, sample in enumerate((3, 0)):
        torch.testing.assert_close(image[row], scaled(sample))
        assert np.array_equal(labels[row].numpy(), tile("train", sample)["label"])


def test_crops_are_cut_from_the_tile_with_its_labels(stored):
    recipe = CropRecipe(16, flip_share=0, rotation_share=0, seed=5)
    image, labels = TileInputs(CONTRACT).crops(stored, recipe, epoch=2)
    assert image.shape == (2, 2, 16, 16) and labels.shape == (2, 16, 16)
    whole = torch.from_numpy(tile("train", 3)["label"].astype(np.int64))
    tops_lefts = [
        (top, left)
        for top in range(SIZE - 15)
        for left in range(SIZE - 15)
        if torch.allclose(image[0], scaled(3)[:, top : top + 16, left : left + 16])
    ]
    ((top, left),) = tops_lefts
    assert torch.equal(labels[0].long(), whole[top : top + 16, left : left + 16])


def test_crops_follow_seed_epoch_and_sample_alone(stored):
    inputs = TileInputs(CONTRACT)

    def cut(seed, epoch):
        return inputs.crops(stored, CropRecipe(16, 0.5, 0.2, seed), epoch)[0]

    assert torch.equal(cut(0, 1), cut(0, 1))
    assert not torch.equal(cut(0, 1), cut(1, 1))
    assert not torch.equal(cut(0, 1), cut(0, 2))


@pytest.mark.parametrize("crop", [None, 1000])
def test_without_a_crop_the_whole_tile_is_taken(stored, crop):
    image, _ = TileInputs(CONTRACT).crops(stored, CropRecipe(crop, 0, 0, 0), epoch=0)
    torch.testing.assert_close(image[1], scaled(0))


def test_tiles_need_not_be_square(stored):
    oblong = stored._replace(
        imagery={name: array[..., :30] for name, array in stored.imagery.items()},
        labels_BTHW=stored.labels_BTHW[..., :30],
    )
    image, labels = TileInputs(CONTRACT).whole(oblong)
    assert labels.shape == (2, SIZE, 30)
    torch.testing.assert_close(image[1], scaled(0)[..., :30])
    image, labels = TileInputs(CONTRACT).crops(oblong, CropRecipe(None, 0, 0, 0), epoch=0)
    assert image.shape == (2, 2, 30, 30) and labels.shape == (2, 30, 30)
    tops = [
        top for top in range(SIZE - 29) if torch.equal(image[1], scaled(0)[:, top : top + 30, :30])
    ]
    assert len(tops) == 1


def test_foreign_labels_are_named(stored):
    require_labels(stored, 9)
    foreign = stored._replace(labels_BTHW=torch.full_like(stored.labels_BTHW, 11))
    with pytest.raises(PipelineError, match="has the label 11, the task has the classes 0 to 8"):
        require_labels(foreign, 9)


def test_a_batch_moves_with_all_its_parts(stored):
    moved = to_device(stored, torch.device("meta"))
    parts = [moved.sample_B, moved.season_B, moved.labels_BTHW, *moved.imagery.values()]
    assert all(part.device.type == "meta" for part in parts)
    assert to_device(stored, torch.device("cpu")) is stored
