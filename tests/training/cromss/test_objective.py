"""The loss of a run follows the run's settings: in training all of them, in validation none."""

import pytest
import torch

from pipeline.settings.pretrain import PretrainRun
from tests.benchmarks.bench_loss import make_batch
from training.cromss.losses import CromssLoss, segmentation_loss
from training.cromss.objective import RunLoss
from training.loading.batch import NetworkBatch

EPOCH = 13
SELECTION = {"ratio": 0.3, "ramp_epochs": 40, "ramp_kind": "linear"}
SMOOTHING = {"prior_weight": 0.1, "uniform_weight": 0.02}
UNUSUAL = {"consistency": "mse", "consistency_weight": 0.7}


@pytest.fixture(scope="module")
def step():
    s1, s2, labels, prior = make_batch(2, 24, "cpu")
    batch = NetworkBatch(torch.arange(2), {}, labels, prior, None)
    return {"s1": s1, "s2": s2}, batch


def run_of(**changes):
    return PretrainRun(selection=SELECTION, smoothing=SMOOTHING, **UNUSUAL, **changes)


def test_training_takes_every_setting_of_the_run(step):
    logits, batch = step
    found = RunLoss(run_of(), training=True)(logits, batch, EPOCH)
    expected = CromssLoss(9, **SELECTION, **SMOOTHING, **UNUSUAL)(
        logits["s1"], logits["s2"], batch.labels_BHW, batch.prior_BCHW, EPOCH
    )
    torch.testing.assert_close(found.total, expected.total, rtol=0, atol=0)
    assert found.parts["loss"] is found.total
    for name, part in found.parts.items():
        if name != "loss":
            torch.testing.assert_close(part, getattr(expected, name), rtol=0, atol=0)
    for (modality, kind), weights in found.weights.items():
        assert torch.equal(weights, getattr(expected, f"{kind}_weights_{modality}_BHW"))
    assert len(found.weights) == 4 and len(found.parts) == 7
    usual = RunLoss(PretrainRun(), training=True)(logits, batch, EPOCH)
    assert not torch.equal(usual.total, found.total)


def test_validation_takes_labels_as_they_are_and_all_alike(step):
    logits, batch = step
    first, last = (RunLoss(run_of(), training=False)(logits, batch, e) for e in (0, 199))
    assert torch.equal(first.total, last.total)
    plain = sum(segmentation_loss(logits[name], batch.labels_BHW) for name in ("s1", "s2"))
    agreement = first.parts["consistency_s1"] + first.parts["consistency_s2"]
    torch.testing.assert_close(first.total, plain + 0.7 * agreement)
    assert all(torch.equal(one, torch.ones_like(one)) for one in first.weights.values())


@pytest.mark.parametrize("kind", ["none", "spatiotemporal"])
def test_one_modality_has_a_loss_and_nothing_else(step, kind):
    logits, batch = step
    run = PretrainRun(model="single_s2", smoothing={**SMOOTHING, "kind": kind})
    found = RunLoss(run, training=True)({"s2": logits["s2"]}, batch, EPOCH)
    shares = (0.1, 0.02) if kind != "none" else (0.0, 0.0)
    expected = segmentation_loss(logits["s2"], batch.labels_BHW, batch.prior_BCHW, *shares)
    torch.testing.assert_close(found.total, expected, rtol=0, atol=0)
    assert list(found.parts) == ["loss"] and found.weights == {}
