import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from tests.benchmarks.bench_loss import forward_backward, largest_error, make_batch
from tests.benchmarks.released_loss import released_step
from tests.training.released import FLOAT32_LIMIT, FLOAT64_LIMIT, assert_close, scalars, vectors
from training.cromss import selection
from training.cromss.losses import (
    CromssLoss,
    consistency,
    cross_entropy,
    segmentation_loss,
    soft_dice,
)
from training.cromss.smoothing import NO_LABEL, one_hot, smooth_labels, smoothing_prior

NUM_CLASSES = 9


def leaves(*tensors):
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("target", ["hard", "soft"])
@pytest.mark.parametrize(("term", "name"), [(cross_entropy, "wce"), (soft_dice, "wdice")])
def test_segmentation_terms_and_gradients_equal_the_released_ones(term, name, target):
    released = vectors("losses")
    (logits,) = leaves(released["z1"])
    prior = released["prior"] if target == "soft" else None
    weights = (0.15, 0.05) if target == "soft" else (0.0, 0.0)
    target_BCHW = smooth_labels(released["y"], NUM_CLASSES, prior, *weights)
    loss = term(logits, target_BCHW, released["wl1"])
    loss.backward()
    assert abs(loss.item() - scalars("losses")[f"{name}_{target}"]) < FLOAT64_LIMIT
    assert_close(logits.grad, released[f"{name}_{target}_grad"], FLOAT64_LIMIT)


@pytest.mark.parametrize("kind", ["ce", "kl", "mse"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_consistency_and_gradients_equal_the_released_ones(kind, dtype):
    released = vectors("losses")
    limit = FLOAT64_LIMIT if dtype == torch.float64 else FLOAT32_LIMIT
    z1, z2 = leaves(released["z1"].to(dtype), released["z2"].to(dtype))
    loss = consistency(z1, z2, released["wp2"].to(dtype), kind)
    loss = loss + consistency(z2, z1, released["wp1"].to(dtype), kind)
    loss.backward()
    assert abs(loss.item() - scalars("losses")[f"con_{kind}_masked/loss"]) < limit
    assert_close(z1.grad, released[f"con_{kind}_masked_g1"], limit)
    assert_close(z2.grad, released[f"con_{kind}_masked_g2"], limit)


@pytest.mark.parametrize(
    ("name", "prior_weight", "uniform_weight"), [("loss_ls", 0.15, 0.05), ("mm_uls", 0.0, 0.2)]
)
def test_loss_without_selection_equals_the_released_one(name, prior_weight, uniform_weight):
    released = vectors("losses")
    z1, z2 = leaves(released["z1"], released["z2"])
    criterion = CromssLoss(
        NUM_CLASSES,
        selection=False,
        consistency="ce",
        prior_weight=prior_weight,
        uniform_weight=uniform_weight,
    )
    parts = criterion(z1, z2, released["y"], released["prior"], 0)
    parts.total.backward()
    # The released code adds these up in float32.
    for ours, key in (
        (parts.total, "loss"),
        (parts.segmentation_s1, "tr_segloss_1"),
        (parts.segmentation_s2, "tr_segloss_2"),
        (parts.consistency, "tr_conloss"),
    ):
        assert abs(ours.item() - scalars("losses")[f"{name}/{key}"]) < FLOAT64_LIMIT
    assert_close(z1.grad, released[f"{name}_g1"], FLOAT64_LIMIT)
    assert_close(z2.grad, released[f"{name}_g2"], FLOAT64_LIMIT)


def test_segmentation_loss_of_one_modality_is_its_share_of_the_whole():
    released = vectors("losses")
    loss = segmentation_loss(released["z1"], released["y"], released["prior"], 0.15, 0.05)
    assert abs(loss.item() - scalars("losses")["loss_ls/tr_segloss_1"]) < FLOAT64_LIMIT


@pytest.mark.parametrize("ramp_kind", ["exponential", "linear"])
@pytest.mark.parametrize("epoch", [0, 40, 79, 200])
def test_whole_loss_combines_weights_and_terms(ramp_kind, epoch):
    z1, z2, labels, prior = make_batch(2, 48, "cpu")
    criterion = CromssLoss(NUM_CLASSES, ratio=0.3, ramp_kind=ramp_kind, consistency_weight=0.7)
    parts = criterion(z1, z2, labels, prior, epoch)
    beta = selection.ramp(epoch, 80, ramp_kind)
    target = smooth_labels(labels, NUM_CLASSES, prior)
    label = [selection.label_confidence(z, labels) for z in (z1, z2)]
    entropy = [selection.entropy_confidence(z) for z in (z1, z2)]
    total, agreement = torch.zeros(()), torch.zeros(())
    for own, other, name, teacher_name in ((0, 1, "s1", "s2"), (1, 0, "s2", "s1")):
        student, teacher = (z1, z2)[own], (z1, z2)[other]
        w = selection.segmentation_weights(
            selection.cross_modal_enhancement(label[own], label[other]),
            labels,
            1 - beta * 0.7,
            NUM_CLASSES,
        )
        v = selection.consistency_weights(
            selection.cross_modal_enhancement(entropy[other], entropy[own]), beta
        )
        segmentation = cross_entropy(student, target, w) + soft_dice(student, target, w)
        distance = consistency(student, teacher, v)
        total, agreement = total + segmentation + 0.7 * distance, agreement + distance
        for part, expected in (
            (f"segmentation_{name}", segmentation),
            (f"consistency_{name}", distance),
            (f"segmentation_weights_{name}_BHW", w),
            (f"consistency_weights_{teacher_name}_BHW", v),
        ):
            torch.testing.assert_close(getattr(parts, part), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts.total, total, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts.consistency, agreement, rtol=1e-6, atol=1e-6)
    assert (parts.ramp, parts.ratio) == (pytest.approx(beta), pytest.approx(1 - beta * 0.7))


def test_whole_loss_equals_the_released_form():
    batch = make_batch(2, 96, "cpu")
    criterion = CromssLoss(NUM_CLASSES, consistency="ce", compat="released")
    ours = forward_backward(lambda *inputs: criterion(*inputs).total, *batch)
    assert largest_error(ours, forward_backward(released_step, *batch)) < 1e-5


def test_kl_and_ce_consistency_have_the_same_gradient_and_none_for_the_teacher():
    z1, z2, _, _ = make_batch(1, 32, "cpu")
    weights = torch.rand(1, 32, 32)
    gradients = []
    for kind in ("kl", "ce"):
        student, teacher = leaves(z1, z2)
        consistency(student, teacher, weights, kind).backward()
        assert teacher.grad is None
        gradients.append(student.grad)
    torch.testing.assert_close(*gradients)


def test_an_unknown_consistency_is_named():
    z = torch.zeros(1, NUM_CLASSES, 2, 2)
    with pytest.raises(ValueError, match="'l1'"):
        consistency(z, z, torch.ones(1, 2, 2), "l1")


magnitudes = st.sampled_from([0.0, 1.0, 30.0, 120.0, 6e4, 1e20, 3e38])


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**31),
    magnitudes,
    magnitudes,
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    st.sampled_from(["kl", "ce", "mse"]),
    st.sampled_from(["all classes", "one class", "some labels", "no label"]),
    st.sampled_from([(2, 8, 8), (1, 1, 1)]),
    st.sampled_from([0, 40, 80]),
    st.sampled_from([None, "released"]),
)
def test_loss_and_gradients_are_finite_for_any_finite_logits(
    seed, magnitude1, magnitude2, dtype, kind, labelling, shape, epoch, compat
):
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = shape
    limit = torch.finfo(dtype).max
    logits = []
    for magnitude in (magnitude1, magnitude2):
        signs = torch.randn(batch, NUM_CLASSES, height, width, generator=generator).clamp(-1, 1)
        logits.append((signs.double() * magnitude).clamp(-limit, limit).to(dtype))
    labels = torch.randint(0, NUM_CLASSES, shape, generator=generator).to(torch.uint8)
    if labelling == "one class":
        labels = torch.full_like(labels, 4)
    elif labelling == "some labels":
        labels = torch.where(labels > 4, NO_LABEL, labels)
    elif labelling == "no label":
        labels = torch.full_like(labels, NO_LABEL)
    prior = smoothing_prior(labels[:, None], torch.zeros(batch, dtype=torch.int64), NUM_CLASSES)
    z1, z2 = leaves(*logits)
    parts = CromssLoss(NUM_CLASSES, consistency=kind, compat=compat)(z1, z2, labels, prior, epoch)
    parts.total.backward()
    assert all(torch.isfinite(part).all() for part in parts)
    for z in (z1, z2):
        assert torch.isfinite(z.grad).all()
        assert z.grad.dtype == dtype


@pytest.mark.parametrize("term", [cross_entropy, soft_dice])
def test_weights_that_are_all_zero_give_a_finite_loss_and_no_gradient(term):
    (logits,) = leaves(torch.randn(2, NUM_CLASSES, 4, 4))
    target = one_hot(torch.zeros(2, 4, 4, dtype=torch.int64), NUM_CLASSES).float()
    loss = term(logits, target, torch.zeros(2, 4, 4))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_unlabelled_pixels_do_not_change_the_segmentation():
    z1, z2, labels, prior = make_batch(2, 32, "cpu")
    criterion = CromssLoss(NUM_CLASSES)
    labels[:, :, 16:] = NO_LABEL
    whole = criterion(z1, z2, labels, prior, 40)
    half = criterion(*(tensor[..., :16].contiguous() for tensor in (z1, z2, labels, prior)), 40)
    torch.testing.assert_close(whole.segmentation_s1, half.segmentation_s1)
    torch.testing.assert_close(whole.segmentation_s2, half.segmentation_s2)


@pytest.mark.parametrize("compat", [None, "released"])
def test_no_part_of_the_step_reads_a_value_back_to_the_host(compat):
    """A fake accelerator has no values: reading one, or a shape that depends on one, raises."""
    with FakeTensorMode():
        z1, z2 = (torch.randn(2, NUM_CLASSES, 32, 32, device="cuda") for _ in range(2))
        seasonal = torch.zeros(2, 4, 32, 32, dtype=torch.uint8, device="cuda")
        season = torch.zeros(2, dtype=torch.int64, device="cuda")
        prior = smoothing_prior(seasonal, season, NUM_CLASSES)
        parts = CromssLoss(NUM_CLASSES, compat=compat)(z1, z2, seasonal[:, 0], prior, 3)
        assert {part.device.type for part in parts} == {"cuda"}
        with pytest.raises(DataDependentOutputException):
            parts.total.item()


def test_one_graph_serves_every_epoch():
    """A graph for the first epoch, one for all others; no graph break (fullgraph)."""
    graphs = []

    def counting_backend(graph, _inputs):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    criterion = CromssLoss(NUM_CLASSES)
    compiled = torch.compile(criterion, fullgraph=True, backend=counting_backend)
    batch = make_batch(1, 32, "cpu")
    for epoch in range(12):
        torch.testing.assert_close(compiled(*batch, epoch).total, criterion(*batch, epoch).total)
    assert len(graphs) <= 2


@pytest.mark.slow
def test_compilation_changes_nothing_beyond_rounding():
    torch._dynamo.reset()
    criterion = CromssLoss(NUM_CLASSES)
    compiled = torch.compile(criterion, fullgraph=True)
    z1, z2, labels, prior = make_batch(2, 64, "cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inputs = (z1, z2, labels.to(torch.uint8), prior)
        eager = forward_backward(lambda *batch: criterion(*batch).total, *inputs)
        fused = forward_backward(lambda *batch: compiled(*batch).total, *inputs)
    assert largest_error(fused, eager) < 1e-5
