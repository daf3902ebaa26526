"""The datamodule in torchgeo's own trainer: every stage, scaled as the store says."""

import numpy as np
import pytest
import torch
import zarr
from lightning.pytorch import Trainer

from pipeline.errors import PipelineError
from pipeline.store.create import read_attributes
from tests.placed_store import SAMPLES, write_placed_store
from tests.training.learnable_tiles import SIZE, write_tile_store

pytest.importorskip("torchgeo")

from torchgeo.datamodules import MisconfigurationException  # noqa: E402
from torchgeo.datasets import DatasetNotFoundError  # noqa: E402
from torchgeo.trainers import SemanticSegmentationTask  # noqa: E402

from training.torchgeo_datamodule import NoldoDataModule, band_statistics  # noqa: E402
from training.torchgeo_dataset import NoldoDataset  # noqa: E402

BANDS = ("B4", "B3", "B2", "VV", "VH")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_placed_store(tmp_path_factory.mktemp("datamodule") / "nol.zarr")


@pytest.fixture(scope="module")
def tile_store(tmp_path_factory):
    return write_tile_store(tmp_path_factory.mktemp("datamodule") / "tiles.zarr")


def trainer() -> Trainer:
    return Trainer(
        accelerator="cpu", fast_dev_run=True, enable_progress_bar=False, enable_model_summary=False
    )


def segmentation() -> SemanticSegmentationTask:
    return SemanticSegmentationTask(
        backbone="tu-mobilenetv3_small_050", in_channels=5, num_classes=9, ignore_index=255
    )


def test_all_stages_run_in_torchgeos_trainer(tile_store):
    data = NoldoDataModule(root=tile_store, batch_size=2, patch_size=32, bands=BANDS)
    task, run = segmentation(), trainer()
    # With the logger of a trial run, validation draws a sample through `plot`.
    run.fit(task, datamodule=data)
    run.validate(task, datamodule=data)
    scores = run.test(task, datamodule=data, verbose=False)[0]
    assert 0 <= scores["test_MulticlassAccuracy"] <= 1
    (logits,) = run.predict(task, datamodule=data)
    assert logits.shape == (2, 9, 32, 32)


def test_a_store_without_test_samples_says_so_in_torchgeos_words(store):
    data = NoldoDataModule(root=store, batch_size=2, patch_size=32, bands=BANDS)
    task, run = segmentation(), trainer()
    run.fit(task, datamodule=data)
    with pytest.raises(MisconfigurationException, match="test_dataset"):
        run.test(task, datamodule=data)


def test_tiles_for_validation_are_held_out_once_and_for_all(tile_store):
    def drawn():
        data = NoldoDataModule(root=tile_store, patch_size=32, val_split_pct=0.3)
        data.setup("fit")
        return data.train_dataset.indices, data.val_dataset.indices

    train, validation = drawn()
    assert len(validation) == 3 and not set(train) & set(validation)
    assert sorted([*train, *validation]) == list(range(10))
    assert drawn() == (train, validation)


def test_a_place_with_all_its_seasons_is_on_one_side(tmp_path):
    """Seasons of a place are alike; one of them in validation would be as good as trained on."""
    store = write_placed_store(tmp_path / "nol.zarr")
    zarr.open_group(store, mode="r+")["split"][:] = np.array(["train"] * SAMPLES, dtype=object)
    data = NoldoDataModule(root=store, patch_size=32, val_split_pct=0.3)
    data.setup("fit")
    places = NoldoDataset(store).ids
    train, validation = (
        {places[item] for item in part.indices} for part in (data.train_dataset, data.val_dataset)
    )
    assert train and validation and not train & validation
    assert len(data.train_dataset) + len(data.val_dataset) == len(places)


def test_the_stores_own_validation_split_is_used(store):
    data = NoldoDataModule(root=store, patch_size=48)
    data.setup("validate")
    assert data.val_dataset.ids == ["0001"] * 4
    assert data.predict_dataset is None


def test_scaling_is_that_of_the_training_samples(store, tile_store):
    numbers = band_statistics(NoldoDataset(store))
    stored = read_attributes(store)["statistics"]["bands"]["train"]["all"]
    assert numbers["B8"] == (stored["B8"]["mean"], stored["B8"]["std"])
    tiles = NoldoDataset(tile_store)
    values = torch.stack([tiles[k]["image"] for k in range(len(tiles))])
    mean, std = band_statistics(tiles)["VH"]
    assert mean == pytest.approx(values[:, 1].mean().item(), rel=1e-4)
    assert std == pytest.approx(values[:, 1].std(correction=0).item(), rel=1e-4)


def test_image_and_mask_move_together_and_no_label_is_made_up(store):
    data = NoldoDataModule(root=store, patch_size=32, bands=("B8",))
    data.setup("fit")
    torch.manual_seed(0)
    mask = torch.randint(0, 9, (8, 48, 48))
    mask[:, 20:28] = 255
    image = mask[:, None].float() * data.std.item() + data.mean.item()
    for augmentation, size in ((data.train_aug, 32), (data.aug, 32)):
        batch = augmentation({"image": image.clone(), "mask": mask.clone()})
        assert batch["mask"].shape[-2:] == (size, size) and batch["mask"].dtype == mask.dtype
        torch.testing.assert_close(batch["image"][:, 0].round().long(), batch["mask"].squeeze(1))
        assert set(batch["mask"].unique().tolist()) <= {*range(9), 255}


def test_mistakes_are_told(store, tile_store, tmp_path):
    with pytest.raises(PipelineError, match="patch_size 64 is larger than the 46 x 46 .*choose 32"):
        NoldoDataModule(root=tile_store, patch_size=64).setup("fit")
    with pytest.raises(DatasetNotFoundError):
        NoldoDataModule(root=tmp_path).setup("fit")
    assert SIZE == 46


def test_workers_are_spawned_and_read(store):
    """Forked ones would hang at a store in object storage."""
    module = NoldoDataModule(root=store, batch_size=2, patch_size=32, num_workers=1)
    module.setup("fit")
    loader = module.train_dataloader()
    assert loader.multiprocessing_context.get_start_method() == "spawn"
    assert next(iter(loader))["image"].shape[0] == 2
