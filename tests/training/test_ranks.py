"""Several processes: gradients of the joint batch, samples and augmentation of their own."""

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from pipeline.settings.pretrain import PretrainRun
from tests.training.conftest import TINY
from training.cromss.networks import build_network, logits_by_modality
from training.cromss.objective import RunLoss
from training.loading.augment import Geometry
from training.loading.batch import BatchPreparation
from training.loading.loader import EpochSampler, make_loader
from training.loading.samples import NolDataset
from training.run.preflight import contracts_of, usable_attributes

EPOCH = 1
RUN = PretrainRun.model_validate(TINY | {"selection": {"ramp_epochs": 2, "scope": "global"}})


def gradients(store, rank, ranks, group):
    """Of the first batch of an epoch, in float64, with the running statistics of the norms."""
    torch.manual_seed(0)
    network = build_network(RUN).double().eval()
    model = DistributedDataParallel(network) if ranks > 1 else network
    dataset = NolDataset(store, "train", seed=2)
    size = 8 // ranks
    sampler = EpochSampler(len(dataset), size, seed=2, rank=rank, ranks=ranks)
    sampler.set_epoch(EPOCH)
    stored = next(iter(make_loader(dataset, sampler, size, workers=0)))
    contracts = contracts_of(RUN, usable_attributes(store, RUN))
    batch = BatchPreparation(contracts, RUN, seed=2).training_batch(stored)
    images = {name: image_BCHW.double() for name, image_BCHW in batch.images.items()}
    if ranks > 1:
        logits_s1, logits_s2 = model(images["s1"], images["s2"])
        logits = {"s1": logits_s1, "s2": logits_s2}
    else:
        logits = logits_by_modality(network, images)
    objective = RunLoss(RUN, training=True, group=group)(logits, batch, EPOCH)
    objective.total.backward()
    found = torch.cat([weight.grad.flatten() for weight in network.parameters()])
    return float(objective.total.detach()), found, stored.sample_B


def work(rank, store, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    torch.save(gradients(store, rank, 2, dist.group.WORLD), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_gradients_of_the_joint_batch(store, tmp_path):
    mp.spawn(work, args=(store, tmp_path), nprocs=2)
    loss, expected, samples = gradients(store, 0, 1, None)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert sorted(torch.cat([share[2] for share in shares]).tolist()) == sorted(samples.tolist())
    for rank_loss, found, _ in shares:
        assert abs(rank_loss - loss) < 1e-6
        assert float((found - expected).abs().max()) < 1e-6 * float(expected.abs().max())


def test_ranks_draw_samples_and_augmentation_of_their_own():
    count, size = 40, 4
    for epoch in range(3):
        placed = []
        for rank in range(2):
            sampler = EpochSampler(count, size, seed=1, rank=rank, ranks=2)
            sampler.set_epoch(epoch)
            placed.append(np.array([draw.position for draw in sampler]))
        assert not set(placed[0]) & set(placed[1])
        first, second = (
            Geometry.draw(torch.from_numpy(places), (48, 48), 32, seed=1, epoch=epoch)
            for places in placed
        )
        alike = (first.grid_BSS2 == second.grid_BSS2).flatten(1).all(1)
        assert not alike.any()
