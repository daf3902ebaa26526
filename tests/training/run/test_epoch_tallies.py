"""Numbers of an epoch: means over samples, by modality and class; scores; how weights separate."""

import math
from types import SimpleNamespace

import pytest
import torch

from training.loading.batch import NetworkBatch
from training.run.epoch_tallies import TrainingTallies, ValidationTallies

CPU = torch.device("cpu")
BOTH = ("s1", "s2")
PARTS = ("loss", "segmentation_s1", "segmentation_s2")


def objective(loss, weight=0.5):
    """What is told of a batch: the loss, one more for each modality, and weights alike anywhere."""
    parts = {name: torch.tensor(loss + place) for place, name in enumerate(PARTS)}
    weights = {
        (modality, kind): torch.full((1, 2, 2), weight + 0.1 * BOTH.index(modality))
        for modality in BOTH
        for kind in ("segmentation", "consistency")
    }
    return SimpleNamespace(parts=parts, weights=weights)


def batch(samples, labels):
    labels_BHW = torch.tensor(labels, dtype=torch.uint8).view(1, 2, 2)
    return NetworkBatch(torch.arange(samples), {}, labels_BHW, None, None)


def told(tallies):
    """Values by (split, modality, class, metric)."""
    return {tuple(row[1:5]): row.value for row in tallies.measurements(7)}


def test_means_are_over_samples_and_weights_over_labelled_pixels_of_the_steps_asked():
    tallies = TrainingTallies(PARTS, BOTH, CPU)
    tallies.add(objective(1.0, 0.2), batch(4, [0, 0, 1, 255]), with_weights=True)
    tallies.add(objective(3.0, 0.8), batch(1, [1, 1, 1, 1]), with_weights=False)
    found = told(tallies)
    assert found["train", "all", "all", "loss"] == pytest.approx((4 * 1.0 + 1 * 3.0) / 5)
    assert found["train", "s1", "all", "segmentation"] == pytest.approx(2.4)
    assert found["train", "s2", "all", "segmentation"] == pytest.approx(3.4)
    for kind in ("segmentation", "consistency"):
        assert found["train", "s1", "Water", f"{kind}_weight"] == pytest.approx(0.2)
        assert found["train", "s2", "Trees", f"{kind}_weight"] == pytest.approx(0.3)
        assert math.isnan(found["train", "s1", "Crops", f"{kind}_weight"])


def test_one_modality_has_no_weights():
    tallies = TrainingTallies(PARTS[:2], ("s1",), CPU)
    tallies.add(objective(1.0), batch(1, [0, 0, 0, 0]), with_weights=False)
    assert {key[3] for key in told(tallies)} == {"loss", "segmentation"}


def test_scores_and_separation_are_those_of_their_kind_of_label():
    tallies = ValidationTallies(PARTS, BOTH, ("validation", "truth"), CPU)
    tallies.add_loss(objective(2.0), samples=3)
    tallies.add_loss(objective(5.0), samples=1)
    noisy = torch.tensor([0, 0, 1, 1]).view(1, 2, 2)
    truth = torch.tensor([0, 1, 1, 1]).view(1, 2, 2)
    as_truth = torch.nn.functional.one_hot(truth, 9).permute(0, 3, 1, 2).float()
    for split, labels in (("validation", noisy), ("truth", truth)):
        tallies.score(split, {"s1": as_truth, "s2": as_truth.flip(1)}, labels)
    good, bad = torch.tensor([0.9, 0.1, 0.8, 0.7]), torch.tensor([0.1, 0.9, 0.2, 0.3])
    weights = {
        (modality, kind): values.view(1, 2, 2)
        for modality, values in (("s1", good), ("s2", bad))
        for kind in ("segmentation", "consistency")
    }
    tallies.separate(weights, noisy, truth)
    found = told(tallies)
    assert found["validation", "all", "all", "loss"] == pytest.approx((3 * 2.0 + 5.0) / 4)
    assert found["truth", "s1", "all", "oa"] == 1.0
    assert found["validation", "s1", "all", "oa"] == 0.75
    assert found["validation", "s2", "all", "oa"] == 0.0
    assert found["validation", "s1", "Water", "recall"] == 0.5
    assert found["validation", "s1", "Water", "precision"] == 1.0
    assert found["validation", "s1", "Water", "iou"] == 0.5
    for kind in ("segmentation", "consistency"):
        assert found["truth", "s1", "all", f"{kind}_weight_auroc"] == 1.0
        assert found["truth", "s2", "all", f"{kind}_weight_auroc"] == 0.0
        assert found["truth", "s1", "Water", f"{kind}_weight_auroc"] == 1.0
        assert math.isnan(found["truth", "s1", "Trees", f"{kind}_weight_auroc"])
