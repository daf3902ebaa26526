import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.released import FLOAT32_LIMIT, FLOAT64_LIMIT, assert_close, vectors
from training.cromss.selection import (
    consistency_weights,
    cross_modal_enhancement,
    entropy_confidence,
    label_confidence,
    ramp,
    segmentation_weights,
)
from training.cromss.smoothing import NO_LABEL

NUM_CLASSES = 9
KINDS = {"exp": "exponential", "linear": "linear"}
PRECISIONS = [
    ("f64", torch.float64, FLOAT64_LIMIT),
    ("f32", torch.float32, FLOAT32_LIMIT),
]


@pytest.mark.parametrize(("suffix", "dtype", "limit"), PRECISIONS)
def test_confidences_equal_the_released_ones(suffix, dtype, limit):
    released = vectors("confidence")
    logits = [released["z1"].to(dtype), released["z2"].to(dtype)]
    label = [label_confidence(z, released["y"]) for z in logits]
    entropy = [entropy_confidence(z) for z in logits]
    for ours, name in ((label, "label"), (entropy, "ce")):
        assert_close(torch.stack(ours), released[f"{name}_{suffix}"], limit)
        enhanced = [cross_modal_enhancement(*ours), cross_modal_enhancement(*ours[::-1])]
        assert_close(torch.stack(enhanced), released[f"{name}_enh_{suffix}"], limit)


@pytest.mark.parametrize(("suffix", "dtype", "limit"), PRECISIONS)
def test_confidences_of_peaked_and_flat_predictions_equal_the_released_ones(suffix, dtype, limit):
    released = vectors("confidence")
    logits = released["special_z"].to(dtype)
    label = label_confidence(logits, released["special_y"])
    assert_close(label, released[f"special_label_{suffix}"], limit)
    assert_close(entropy_confidence(logits), released[f"special_ce_{suffix}"], limit)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_ramps_equal_the_released_ones(name, kind):
    ours = torch.tensor([ramp(epoch, 80, kind) for epoch in range(201)], dtype=torch.float64)
    assert_close(ours, vectors("selection")[f"rampup_{name}"], 1e-12)


def test_without_ramp_epochs_the_selection_is_complete_at_once():
    assert ramp(0, 0) == ramp(0, 0, "linear") == 1.0


def test_an_unknown_ramp_is_named():
    with pytest.raises(ValueError, match="'none'"):
        ramp(0, 80, "none")


@pytest.mark.parametrize(
    ("name", "case"),
    [
        *[("exp", case) for case in ("normal", "missing", "single", "ties", "zeros")],
        *[("exp", case) for case in ("class_zero", "ones", "const")],
        *[("linear", case) for case in ("normal", "single", "ties")],
    ],
)
def test_segmentation_weights_equal_the_released_masks_at_every_epoch(name, case):
    released = vectors("selection")
    for index, epoch in enumerate(released["epochs"].tolist()):
        ratio = 1 - ramp(epoch, 80, KINDS[name]) * 0.5
        ours = segmentation_weights(
            released[f"conf_{case}"], released[f"y_{case}"], ratio, NUM_CLASSES, "released"
        )
        assert torch.equal(ours, released[f"lblmask_{name}_{case}"][index])


@pytest.mark.parametrize("final_ratio", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("epoch", [40, 199])
def test_segmentation_weights_equal_the_released_masks_at_every_ratio(final_ratio, epoch):
    released = vectors("selection")
    ratio = 1 - ramp(epoch, 80) * (1 - final_ratio)
    ours = segmentation_weights(
        released["conf_normal"], released["y_normal"], ratio, NUM_CLASSES, "released"
    )
    assert_close(ours, released[f"lblmask_alpha{final_ratio}_epoch{epoch}"], 1e-7)


def test_segmentation_weights_equal_the_released_mask_in_float64():
    released = vectors("selection")
    ours = segmentation_weights(
        released["conf_normal"].double(),
        released["y_normal"],
        1 - ramp(40, 80) * 0.5,
        NUM_CLASSES,
        "released",
    )
    assert ours.dtype == torch.float64
    assert_close(ours, released["lblmask_f64_epoch40"], FLOAT64_LIMIT)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_consistency_weights_equal_the_released_masks(name, kind):
    released = vectors("selection")
    for index, epoch in enumerate(released["epochs"].tolist()):
        ours = consistency_weights(released["pred_conf"], ramp(epoch, 80, kind))
        assert_close(ours, released[f"predmask_{name}"][index], 1e-7)


def weights_by_sorting(confidence, labels, ratio, compat=None):
    """The definition, class by class."""
    weights = np.zeros_like(confidence)
    for class_id in range(NUM_CLASSES):
        is_class = labels == class_id
        values = np.sort(confidence[is_class])[::-1]
        chosen = int(np.float32(values.size) * np.float32(ratio))
        if values.size and compat is None:
            chosen = max(chosen, 1)
        if chosen:
            threshold = values[chosen - 1]
            soft = np.minimum(confidence[is_class] / threshold, 1) if threshold > 0 else 1
            weights[is_class] = soft
    return weights


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 1.0), st.sampled_from([None, "released"]), st.data())
def test_segmentation_weights_follow_the_definition(seed, ratio, compat, data):
    rng = np.random.default_rng(seed)
    shape = data.draw(st.sampled_from([(1, 1, 1), (2, 5, 7), (3, 32, 32)]))
    # Rounding makes ties, the power makes values near 0 and exact zeros.
    confidence = rng.random(shape, dtype=np.float32) ** data.draw(st.sampled_from([1, 20]))
    confidence = np.round(confidence, data.draw(st.sampled_from([1, 3, 9])))
    present = data.draw(st.sampled_from([[0], [3, NO_LABEL], [*range(NUM_CLASSES), NO_LABEL]]))
    labels = rng.choice(np.array(present, dtype=np.uint8), shape)
    ours = segmentation_weights(
        torch.from_numpy(confidence), torch.from_numpy(labels), ratio, NUM_CLASSES, compat
    )
    np.testing.assert_array_equal(
        ours.numpy(), weights_by_sorting(confidence, labels, ratio, compat)
    )


def test_a_class_too_small_to_select_from_keeps_soft_weights_unless_as_released():
    labels = torch.tensor([[[3, 3, 3]]])
    confidence = torch.tensor([[[0.2, 0.4, 0.1]]])
    kept = segmentation_weights(confidence, labels, 0.3, NUM_CLASSES)
    torch.testing.assert_close(kept, torch.tensor([[[0.5, 1.0, 0.25]]]))
    lost = segmentation_weights(confidence, labels, 0.3, NUM_CLASSES, "released")
    assert torch.equal(lost, torch.zeros(1, 1, 3))


def test_pixels_without_label_have_no_confidence_and_no_weight():
    labels = torch.full((1, 4, 4), NO_LABEL, dtype=torch.uint8)
    logits = torch.randn(1, NUM_CLASSES, 4, 4)
    assert torch.equal(label_confidence(logits, labels), torch.zeros(1, 4, 4))
    weights = segmentation_weights(torch.rand(1, 4, 4), labels, 0.5, NUM_CLASSES)
    assert torch.equal(weights, torch.zeros(1, 4, 4))


finite_logits = st.sampled_from([0.0, 1.0, -1.0, 60.0, 110.0, -1e4, 6e4, 1e30, -3e38, 3e38])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(finite_logits, min_size=1, max_size=NUM_CLASSES),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
)
def test_confidences_are_finite_and_in_range_for_any_finite_logits(values, dtype):
    limit = torch.finfo(dtype).max
    column = torch.tensor(values, dtype=torch.float64).clamp(-limit, limit).to(dtype)
    logits = column.view(1, -1, 1, 1)
    labels = torch.zeros(1, 1, 1, dtype=torch.int64)
    for confidence in (label_confidence(logits, labels), entropy_confidence(logits)):
        assert 0.0 <= float(confidence) <= 1.0


@pytest.mark.parametrize("num_classes", [2, 3, 9])
def test_a_uniform_guess_deserves_no_trust_and_a_sure_one_all(num_classes):
    logits = torch.zeros(1, num_classes, 1, 2)
    logits[0, 0, 0, 1] = 100.0
    confidence = entropy_confidence(logits)
    torch.testing.assert_close(confidence, torch.tensor([[[0.0, 1.0]]]), rtol=0, atol=1e-6)
    assert entropy_confidence(torch.zeros(1, 1, 1, 1)) == 1.0


def test_weights_carry_no_gradient():
    logits = torch.randn(1, NUM_CLASSES, 4, 4, requires_grad=True)
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    assert not label_confidence(logits, labels).requires_grad
    assert not entropy_confidence(logits).requires_grad
