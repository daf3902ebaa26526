"""Samples a second of two training processes against one, each on its own cores.

    python -m tests.benchmarks.bench_ddp [--threads 1] [--rounds 5]

Each round first lets one process train alone while the other waits, then both together with
gradients averaged over gloo. The limit holds where there is a free core for every thread.
"""

import argparse
import os
import sys
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from pipeline.settings.pretrain import PretrainRun
from tests.benchmarks.training_steps import EPOCH, Trainee, preparation, seconds, stored_batch

LIMIT = 1.7
RANKS = 2
BATCH = 4
STEPS = 3


def train(trainee: Trainee, prepare, stored) -> None:
    made = prepare.training_batch(stored)
    trainee.step(trainee.loss(trainee.logits(made), made, EPOCH).total)


def rank_main(rank: int, folder: str, threads: int, rounds: int) -> None:
    torch.set_num_threads(threads)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=RANKS
    )
    run = PretrainRun(encoder="resnet18", crop=128)
    prepare, stored = preparation(run), stored_batch(BATCH, "cpu", seed=rank)
    alone = Trainee(run, "cpu")
    together = Trainee(run, "cpu", wrap=DistributedDataParallel)
    found: dict[str, list[float]] = {"alone": [], "together": []}
    for trainee in (alone, together):
        train(trainee, prepare, stored)
    for _ in range(rounds):
        dist.barrier()
        if rank == 0:
            found["alone"].append(seconds(lambda: train(alone, prepare, stored), "cpu", STEPS))
        dist.barrier()
        found["together"].append(seconds(lambda: train(together, prepare, stored), "cpu", STEPS))
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(rank_main, args=(folder, arguments.threads, arguments.rounds), nprocs=RANKS)
        found = torch.load(f"{folder}/found.pt")
    alone, together = min(found["alone"]), min(found["together"])
    ratio = RANKS * alone / together
    cores = len(os.sched_getaffinity(0))
    print(f"mid resnet18, batch {BATCH} a process, {arguments.threads} threads, {cores} cores")
    print(f"  one process    {BATCH / alone:7.2f} samples/s")
    print(f"  two processes  {RANKS * BATCH / together:7.2f} samples/s")
    print(f"  x{ratio:.2f} (limit {LIMIT})")
    if cores < RANKS * arguments.threads:
        print("  too few cores for a verdict")
    elif ratio < LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
