"""A small store from which something can be learnt, and settings small enough for one core."""

from pathlib import Path

import dask
import numpy as np
import pytest
import torch
import yaml
import zarr

from pipeline.season_pixels import SeasonPixels
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings, validate_settings
from pipeline.statistics import store_statistics
from pipeline.store.create import create_store, replace_attributes
from pipeline.store.metadata import with_empty_files
from pipeline.store.shards import write_shard
from tests.training.learnable_tiles import write_tile_store
from training.run.plan import RunPlan, plan_run

PATCH = 48
SAMPLES = 24
VALIDATION = 6
EMPTY = 3
"""One sample that the archive had nothing for."""

CLASSES = 4
"""Classes that occur; 4 to 8 do not."""


torch.set_num_threads(1)


def learnable_pixels(sample: int, season: int, size: int = PATCH) -> SeasonPixels:
    """Rectangles of four classes, each with its own reflectance and backscatter, and noise."""
    place = np.random.default_rng([sample])
    label = np.full((size, size), place.integers(CLASSES), np.uint8)
    for _ in range(4):
        row, column = place.integers(0, size - 18, 2) // 6 * 6
        label[row : row + 18, column : column + 18] = place.integers(CLASSES)
    noise = np.random.default_rng([sample, season])

    def reflectance(bands: int, step: int) -> np.ndarray:
        ground = label[::step, ::step].astype(np.int64)
        signal = [800 + 700 * (ground + band) % 3000 for band in range(bands)]
        grain = noise.normal(0, 60, (bands, *ground.shape))
        return np.clip(np.array(signal) + grain, 1, 10_000).astype(np.uint16)

    backscatter = np.array([-2200 + 500 * label.astype(int), -1200 - 400 * label.astype(int)])
    speckle = noise.normal(0, 80, backscatter.shape)
    return SeasonPixels(
        s2_10m=reflectance(4, 1),
        s2_20m=reflectance(6, 2),
        s2_60m=reflectance(3, 6),
        s1=(backscatter + speckle).astype(np.int16),
        label=label,
    )


def write_store(
    path: Path, pixels=learnable_pixels, samples=SAMPLES, validation=VALIDATION, empty=(EMPTY,)
) -> Path:
    """A finished store: the last samples are for validation, some slots are empty."""
    settings = validate_settings({"grid": {"pixels": PATCH}, "store": {"shard_size": 8}})
    create_store(path, settings, samples)
    kept = [sample for sample in range(samples) if sample not in empty]
    for shard in range(-(-samples // 8)):
        here = [sample for sample in kept if sample // 8 == shard]
        write_shard(path, shard, {(k, t): pixels(k, t) for k in here for t in range(SEASONS)})
    finish_store(path, kept, samples, validation)
    return path


def finish_store(path: Path, kept: list[int], samples: int, validation: int) -> None:
    """Write the values per sample and the statistics, as the last steps of a build do."""
    group = zarr.open_group(path, mode="r+")
    split = ["train"] * (samples - validation) + ["validation"] * validation
    group["id"][:] = np.array([f"{k:07d}" for k in range(samples)], dtype=object)
    group["split"][:] = np.array(split, dtype=object)
    with_empty_files(group["valid"])[:] = np.isin(np.arange(samples), kept)
    with dask.config.set(scheduler="synchronous"):
        replace_attributes(path, {"statistics": store_statistics(path)})


@pytest.fixture(scope="session")
def tile_store(tmp_path_factory) -> Path:
    """The store of `tests.training.learnable_tiles`; to be looked at and never changed."""
    return write_tile_store(tmp_path_factory.mktemp("tiles") / "tiles.zarr")


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "nol.zarr")


TINY = {
    "encoder": "tu-mobilenetv3_small_050",
    "crop": 32,
    "batch_size": 4,
    "epochs": 3,
    "learning_rate": 0.003,
    "selection": {"ramp_epochs": 2},
}
"""The smallest encoder with five stages that has no random layer."""


def tiny_settings(workers=0, log_every=1, panel_samples=0, **changes) -> Settings:
    """Settings with one run, `tiny`; changes go to the run, others are of the hardware."""
    pretrain = {
        "accelerator": "cpu",
        "deterministic": True,
        "workers": workers,
        "log_every": log_every,
        "panel_samples": panel_samples,
        "panels_every": 100,
    }
    hardware = {key: changes.pop(key) for key in list(changes) if key in _HARDWARE}
    runs = {"tiny": TINY | changes}
    return validate_settings({"seed": 3, "pretrain": pretrain | hardware | {"runs": runs}})


_HARDWARE = (
    *("accelerator", "devices", "precision", "compile", "shuffle"),
    *("clean_store", "truth_store", "wandb_project"),
)


def tiny_plan(store: Path, output: Path, **changes) -> RunPlan:
    """A run that is ready to start; the settings lie beside it for the command line."""
    settings = tiny_settings(**changes)
    output.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(settings.model_dump(mode="json"))
    (output / "settings.yaml").write_text(text)
    return plan_run(settings.pretrain, "tiny", settings.seed, store, output)


@pytest.fixture
def tiles(tmp_path):
    """Three tiles of 50 pixels with a cube of 13 bands; the second one is not valid."""
    rng = np.random.default_rng(0)
    root = zarr.create_group(tmp_path / "dw.zarr", attributes={"layout": "noldo-tiles-1"})
    group = root.create_group("test", attributes={"layout": "noldo-tiles-1"})
    shapes = {
        "s2": (rng.integers(1, 4000, (3, 13, 50, 50), np.uint16), ["sample", "band_s2", "y", "x"]),
        "s1": (rng.integers(-3000, 0, (3, 2, 50, 50), np.int16), ["sample", "band_s1", "y", "x"]),
        "label": (rng.integers(0, 9, (3, 50, 50), np.uint8), ["sample", "y", "x"]),
        "valid": (np.array([True, False, True]), ["sample"]),
    }
    for name, (values, dimensions) in shapes.items():
        whole = values.shape[1:]
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=(1, *whole),
            dimension_names=dimensions, attributes={"flag_values": list(range(9))},
        )  # fmt: skip
        array[:] = values
    return tmp_path / "dw.zarr", {name: values for name, (values, _) in shapes.items()}
