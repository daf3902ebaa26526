"""Two gloo processes on the CPU, half a batch each, against one process with the whole batch."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.benchmarks.bench_loss import NUM_CLASSES, make_batch
from training.cromss.losses import CromssLoss
from training.scores.metrics import ConfusionMatrix

EPOCH = 60
RANKS = 2


class TwoConvolutions(nn.Module):
    """The smallest cross-modal network; without batch norm, whose sums are per rank by design."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.s1 = nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 3, padding=1)
        self.s2 = nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 3, padding=1)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2

    def forward(self, s1, s2):
        return self.s1(s1), self.s2(s2)


def unequal_batch():
    """Ranks that differ: another mix of classes, and unlabelled pixels in the second half only."""
    s1, s2, labels, prior = make_batch(4, 48, "cpu")
    labels[2:, :20] = 255
    labels[:2] = labels[:2].clamp_max(5)
    return s1, s2, labels, prior


def step(network, group, share):
    s1, s2, labels, prior = (tensor[share] for tensor in unequal_batch())
    parts = CromssLoss(NUM_CLASSES, group=group)(*network(s1, s2), labels, prior, EPOCH)
    parts.total.backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    matrix = ConfusionMatrix(NUM_CLASSES).update(parts.segmentation_weights_s1_BHW.long(), labels)
    return parts, gradients, matrix


def rank_main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS
    )
    share = slice(2 * rank, 2 * rank + 2)
    for scope, group in (("global", dist.group.WORLD), ("rank", None)):
        network = DistributedDataParallel(TwoConvolutions())
        parts, gradients, matrix = step(network, group, share)
        answer = {"parts": parts._asdict(), "gradients": gradients}
        answer["counts"] = matrix.reduce().counts
        torch.save(answer, f"{folder}/{scope}{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(rank_main, args=(str(folder),), nprocs=RANKS)
    return {
        scope: [torch.load(folder / f"{scope}{rank}.pt") for rank in range(RANKS)]
        for scope in ("global", "rank")
    }


@pytest.fixture(scope="module")
def whole():
    return step(TwoConvolutions(), None, slice(None))


def test_global_weights_are_those_of_the_joint_batch(answers, whole):
    parts = whole[0]._asdict()
    for name in [name for name in parts if name.endswith("_BHW")]:
        joined = torch.cat([answer["parts"][name] for answer in answers["global"]])
        assert torch.equal(joined, parts[name]), name


def test_global_losses_and_gradients_are_those_of_the_joint_batch(answers, whole):
    parts, gradients, _ = whole
    for answer in answers["global"]:
        for name in ("total", "segmentation_s1", "segmentation_s2", "consistency"):
            torch.testing.assert_close(answer["parts"][name], getattr(parts, name))
        torch.testing.assert_close(answer["gradients"], gradients)


def test_per_rank_weights_are_those_of_each_half(answers, whole):
    name = "segmentation_weights_s1_BHW"
    for rank, answer in enumerate(answers["rank"]):
        half = step(TwoConvolutions(), None, slice(2 * rank, 2 * rank + 2))[0]
        assert torch.equal(answer["parts"][name], getattr(half, name))
    joined = torch.cat([answer["parts"][name] for answer in answers["rank"]])
    assert not torch.equal(joined, getattr(whole[0], name))


def test_confusion_counts_are_summed_over_ranks(answers, whole):
    for answer in answers["global"]:
        assert int(answer["counts"].sum()) == int(whole[2].counts.sum())
        assert torch.equal(answer["counts"], whole[2].counts)
