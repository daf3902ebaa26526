import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.released import vectors
from training.cromss.smoothing import NO_LABEL
from training.scores.metrics import ConfusionMatrix


def assert_released(scores, case):
    released = vectors("metrics")
    for ours, mean, name in (
        (scores.per_class.iou, scores.miou, "iou"),
        (scores.per_class.f1, scores.mf1, "f1"),
        (scores.per_class.recall, scores.aa, "recall"),
    ):
        expected = released[f"{case}_{name}"].double()
        torch.testing.assert_close(
            torch.tensor([*ours, mean], dtype=torch.float64), expected, rtol=0, atol=1e-6
        )
    assert abs(scores.oa - released[f"{case}_oa"].item()) < 1e-6


@pytest.mark.parametrize("num_classes", [8, 9, 13])
@pytest.mark.parametrize(("label", "mode"), [("y", "plain"), ("y255", "mask255")])
def test_scores_equal_the_released_ones(num_classes, label, mode):
    released = vectors("metrics")
    prediction = released[f"{num_classes}_logits_argmax"]
    matrix = ConfusionMatrix(num_classes).update(prediction, released[f"{num_classes}_{label}"])
    assert_released(matrix.scores(compat="released"), f"{num_classes}_{mode}_cm")


@pytest.mark.parametrize("num_classes", [8, 9, 13])
def test_batches_and_merged_matrices_count_like_one(num_classes):
    released = vectors("metrics")
    prediction = released[f"{num_classes}_logits_argmax"]
    label = released[f"{num_classes}_y255"]
    whole = ConfusionMatrix(num_classes).update(prediction, label)
    parts = [ConfusionMatrix(num_classes).update(prediction[i], label[i]) for i in range(3)]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert torch.equal(whole.counts, merged.counts)
    assert_released(merged.scores(compat="released"), f"{num_classes}_twobatch")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**31), st.booleans())
def test_counts_follow_the_definition(num_classes, seed, as_bytes):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randint(0, num_classes, (50,), generator=generator)
    label = torch.randint(0, num_classes + 1, (50,), generator=generator)
    label = torch.where(label == num_classes, NO_LABEL, label)
    if as_bytes:
        prediction, label = prediction.to(torch.uint8), label.to(torch.uint8)
    counts = ConfusionMatrix(num_classes).update(prediction, label).counts
    for true in range(num_classes):
        for said in range(num_classes):
            expected = int(((label == true) & (prediction == said)).sum())
            assert counts[true, said] == expected


def test_an_absent_class_is_left_out_of_the_means():
    label = torch.tensor([0, 0, 1, 1])
    prediction = torch.tensor([0, 0, 1, 0])
    scores = ConfusionMatrix(3).update(prediction, label).scores()
    assert math.isnan(scores.per_class.iou[2])
    assert scores.miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores.aa == pytest.approx((1 + 1 / 2) / 2)
    assert scores.mf1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores.oa == pytest.approx(3 / 4)
    released = ConfusionMatrix(3).update(prediction, label).scores(compat="released")
    assert released.miou == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_a_class_that_is_only_predicted_counts_against_iou_but_not_accuracy():
    scores = ConfusionMatrix(2).update(torch.tensor([0, 1]), torch.tensor([0, 0])).scores()
    assert scores.per_class.iou == (0.5, 0.0)
    assert scores.miou == 0.25
    assert scores.aa == 0.5


def test_precision_is_of_what_is_predicted_and_recall_of_what_is_labelled():
    label, prediction = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 1])
    found = ConfusionMatrix(2).update(prediction, label).scores().per_class
    assert found.precision == pytest.approx((1, 1 / 3))
    assert found.recall == pytest.approx((1 / 3, 1))
    assert found.f1 == pytest.approx((1 / 2, 1 / 2))


def test_nothing_to_score_is_not_a_number():
    scores = ConfusionMatrix(2).update(torch.zeros(4), torch.full((4,), NO_LABEL)).scores()
    assert all(math.isnan(value) for value in (scores.oa, scores.aa, scores.miou, scores.mf1))


def test_counts_stay_exact_beyond_float32():
    matrix = ConfusionMatrix(2)
    matrix.counts[0, 0] = 2**40
    matrix.update(torch.tensor([0]), torch.tensor([0]))
    assert matrix.counts[0, 0] == 2**40 + 1


def test_matrices_of_other_classes_do_not_merge():
    with pytest.raises(ValueError, match="3 classes into 2"):
        ConfusionMatrix(2).merge(ConfusionMatrix(3))
