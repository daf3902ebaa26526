"""Sums over an epoch."""

import math

import pytest
import torch

from training.run.tally import ClassMeanTally, MeanTally, SeparationTally

CPU = torch.device("cpu")


def test_means_weigh_batches_by_their_size():
    tally = MeanTally(("loss", "ramp"), CPU)
    tally.add({"loss": torch.tensor(1.0), "ramp": torch.tensor(0.5)}, 3)
    tally.add({"loss": torch.tensor(5.0), "ramp": torch.tensor(0.5)}, 1)
    assert tally.means() == {"loss": pytest.approx(2.0), "ramp": pytest.approx(0.5)}
    assert math.isnan(MeanTally(("loss",), CPU).means()["loss"])


def test_means_by_class_leave_out_unlabelled_pixels():
    tally = ClassMeanTally(3, CPU)
    labels = torch.tensor([[[0, 0], [2, 255]]], dtype=torch.uint8)
    tally.add(torch.tensor([[[0.2, 0.4], [0.9, 7.0]]]), labels)
    first, second, third = tally.means()
    assert first == pytest.approx(0.3) and math.isnan(second) and third == pytest.approx(0.9)


def test_separation_is_the_chance_that_a_right_label_weighs_more():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (4, 20, 20), generator=generator)
    truth = torch.randint(0, 3, (4, 20, 20), generator=generator)
    weights = (torch.rand(4, 20, 20, generator=generator) + (labels == truth) * 0.3).clamp(0, 1)
    labels[0, 0], truth[1, 1] = 255, 255
    tally = SeparationTally(3, CPU, bins=4096)
    tally.add(weights[:2], labels[:2], truth[:2])
    tally.add(weights[2:], labels[2:], truth[2:])
    area, areas = tally.areas()
    for found, mine in [(area, labels >= 0), *[(areas[c], labels == c) for c in range(3)]]:
        counted = mine & (labels != 255) & (truth != 255)
        right = weights[counted & (labels == truth)]
        wrong = weights[counted & (labels != truth)]
        gap = right[:, None] - wrong[None, :]
        expected = ((gap > 0).double() + (gap == 0).double() / 2).mean()
        assert found == pytest.approx(float(expected), abs=2e-3)


def test_separation_without_wrong_labels_is_undefined():
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    tally = SeparationTally(2, CPU)
    tally.add(torch.rand(1, 4, 4), labels, labels)
    assert math.isnan(tally.areas()[0])
