"""A small tile store from which something can be learnt, and an evaluation small enough for it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.settings.evaluate import (
    EncoderSettings,
    EvaluateSettings,
    EvaluationKey,
    TaskSettings,
)
from pipeline.store.tile_layout import (
    TileGroup,
    backscatter_array,
    label_array,
    reflectance_array,
)
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles

if TYPE_CHECKING:
    from training.evaluate import EvaluationPlan

SIZE = 46
"""No multiple of any stride."""

TRAIN, TEST = 10, 8
EMPTY = 2
"""One test tile that was never filled."""

UNLABELLED = 4
"""One test tile without any label."""

CLASSES = 4
"""Classes that occur; 4 to 8 do not."""


def tile(group: str, sample: int) -> dict[str, np.ndarray]:
    """Stripes of four classes, each with its own reflectance and backscatter, and noise."""
    draw = np.random.default_rng([sample, group == "test"])
    stripes = draw.integers(0, CLASSES, 3)
    label = np.repeat(stripes, 16)[:SIZE, None].repeat(SIZE, 1).astype(np.uint8)
    if sample % 2:
        label = label.T.copy()
    ground = label.astype(int)
    signal = np.array([800 + 700 * (ground + band) % 3000 for band in range(13)])
    reflectance = np.clip(signal + draw.normal(0, 60, signal.shape), 1, 10_000)
    backscatter = np.array([-2200 + 500 * ground, -1200 - 400 * ground])
    backscatter = backscatter + draw.normal(0, 80, backscatter.shape)
    label[:3] = 255
    if group == "test" and sample == UNLABELLED:
        label[:] = 255
    return {
        "s2": reflectance.astype(np.uint16),
        "s1": backscatter.astype(np.int16),
        "label": label,
    }


def write_tile_store(path: Path) -> Path:
    arrays = (
        reflectance_array(),
        backscatter_array(),
        label_array("label", "dynamic_world", "land cover"),
    )
    counts = {"train": TRAIN, "test": TEST}
    groups = {name: TileGroup(count, SIZE, arrays, shard_size=4) for name, count in counts.items()}
    attributes = {
        "title": "tiles", "source": "tests", "simulated": True, "dataset_hash": "abcdef0123456789",
    }  # fmt: skip
    create_tile_store(path, groups, attributes)
    for name, group in groups.items():
        kept = [k for k in range(group.count) if not (name == "test" and k == EMPTY)]
        for shard in group.shards:
            here = {k: tile(name, k) for k in kept if k in group.samples_of(shard)}
            write_tiles(path, name, shard, here)
        records = {
            "id": [f"{name}{k}" for k in range(group.count)],
            "epsg": [32632] * group.count,
            "left": [500_000.0 + 1000 * k for k in range(group.count)],
            "top": [5_400_000.0] * group.count,
        }
        finish_tiles(path, name, records, [k in kept for k in range(group.count)])
    return path


def small_settings(**changes) -> EvaluateSettings:
    """A tiny task `tiny` and tiny encoders, on the CPU."""
    task = {
        "store": "tiles.zarr", "num_classes": 9, "head": "fpn", "crop": 32, "batch_size": 4,
        "test_batch_size": 4,
    }  # fmt: skip
    chosen = {
        "encoders": {
            "random_s2": EncoderSettings(weights="random", backbone="resnet18"),
            "random_s1": EncoderSettings(weights="random", backbone="resnet18", modality="s1"),
        },
        "tasks_used": ("tiny",),
        "encoders_used": ("random_s2", "random_s1"),
        "ablation": (),
        "epochs": 2,
        "accelerator": "cpu",
        "workers": 0,
        "bootstrap_replicates": 20,
    }
    return EvaluateSettings(
        tasks={"tiny": TaskSettings(**task | changes.pop("task", {}))}, **chosen | changes
    )


def small_plan(
    store: Path, encoder="random_s2", mode="finetuned", fraction=1.0, seed=0, **changes
) -> "EvaluationPlan":
    from training.evaluate import EvaluationPlan  # late: tests of exports need no PyTorch

    settings = small_settings(**changes)
    return EvaluationPlan(
        key=EvaluationKey("tiny", encoder, mode, fraction, seed),
        settings=settings,
        task=settings.tasks["tiny"],
        encoder=settings.encoders[encoder],
        weights="random",
        store=store,
    )
