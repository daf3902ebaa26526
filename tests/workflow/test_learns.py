"""From nothing to an encoder that has learnt something of the simulated Earth, in one command."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from pipeline.legend import UNLABELLED
from tests.workflow.conftest import TINY, Workflow
from training.loading.samples import NUM_CLASSES
from training.scores.metrics import ConfusionMatrix

LAST_EPOCHS = 5

CONFIGURATION = TINY | {
    "name": "learns",
    "grid": {"pixels": 72},
    "locations": TINY["locations"] | {"count": 44, "validation_share": 0.3},
    "store": {"shard_size": 16},
    "pretrain": {
        "accelerator": "cpu",
        "workers": 0,
        "panel_samples": 0,
        "runs": {
            "quick": {
                "model": "single_s2",
                "encoder": "tu-mobilenetv3_small_050",
                "selection": {"enabled": False},
                "crop": 64,
                "batch_size": 8,
                "epochs": 18,
                "learning_rate": 0.003,
            }
        },
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, simulated_earth):
    """A workflow after `snakemake pretrain_quick`."""
    service = {"earthengine": {"service": simulated_earth}}
    workflow = Workflow(tmp_path_factory.mktemp("learns"), CONFIGURATION | service)
    workflow.build("pretrain_quick")
    return workflow


def figures(workflow, split, metric):
    """A number of every epoch."""
    rows = pd.read_parquet(workflow.folder / "runs" / "quick" / "metrics.parquet")
    chosen = rows[(rows["split"] == split) & (rows["metric"] == metric) & (rows["class"] == "all")]
    return chosen.sort_values("epoch")["value"].to_numpy()


def miou_of_the_majority(store):
    """Noisy mIoU of whoever says the most frequent training label everywhere."""
    dataset = xr.open_zarr(store, mask_and_scale=False)
    valid, split = dataset["valid"].to_numpy(), dataset["split"].to_numpy()
    labels = {
        name: dataset["label"].to_numpy()[valid & (split == name)]
        for name in ("train", "validation")
    }
    known = labels["train"][labels["train"] != UNLABELLED]
    majority = int(np.bincount(known, minlength=NUM_CLASSES).argmax())
    matrix = ConfusionMatrix(NUM_CLASSES)
    truth = torch.from_numpy(labels["validation"])
    matrix.update(torch.full_like(truth, majority).long(), truth)
    return matrix.scores().miou


@pytest.mark.slow
def test_training_loss_falls(trained):
    loss = figures(trained, "train", "loss")
    assert len(loss) == 18
    assert loss[-LAST_EPOCHS:].mean() < 0.75 * loss[0]


@pytest.mark.slow
def test_unseen_noisy_labels_are_predicted_far_better_than_by_the_majority(trained):
    miou = figures(trained, "validation", "miou")
    assert miou[-LAST_EPOCHS:].mean() > 1.6 * miou_of_the_majority(trained.store)
