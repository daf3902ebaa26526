"""Train a segmentation network on the tiles of one group, and score it on those of another.

There is no choice by a score anywhere: the learning rate follows the calendar and the weights of
the last epoch are scored, once. Runs on any number of processes (Lightning Fabric).
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from pipeline.errors import PipelineError
from training.cromss.losses import segmentation_loss
from training.downstream.tile_batch import CropRecipe, TileInputs, require_labels, to_device
from training.loading.loader import EpochSampler, make_loader
from training.loading.samples import TileDataset
from training.scores.metrics import ConfusionMatrix

_LEAST_BATCH = 2
"""Heads with pooled branches normalise over the batch, which one sample alone does not make."""


@dataclass(frozen=True)
class Protocol:
    """How a network is trained on a task.

    Attributes:
        epochs: Passes over the training tiles.
        learning_rate: Of Adam, at the start.
        final_learning_rate: Of Adam once the cosine has ended.
        cosine_share: Share of the epochs over which the rate falls.
        weight_decay: L2 penalty inside Adam.
        batch_size: Crops in a batch of one device.
        crops: How they are cut.
    """

    epochs: int
    learning_rate: float
    final_learning_rate: float
    cosine_share: float
    weight_decay: float
    batch_size: int
    crops: CropRecipe


def learning_rate_at(epoch: int, protocol: Protocol) -> float:
    """A cosine from the first to the final rate, constant from then on.

    The schedule of the released fine-tuning (models/pl_finetune.py of CromSS): 40 of 50 epochs,
    down to 1e-5.
    """
    falling = max(1, round(protocol.cosine_share * protocol.epochs))
    share = 0.5 * (1 + math.cos(math.pi * epoch / falling)) if epoch < falling else 0.0
    span = protocol.learning_rate - protocol.final_learning_rate
    return protocol.final_learning_rate + span * share


def train(
    fabric: Fabric,
    network: nn.Module,
    inputs: TileInputs,
    tiles: TileDataset,
    protocol: Protocol,
    num_classes: int,
    workers: int = 0,
) -> float:
    """Train the network in place, to the end of its last epoch; all processes end with the same.

    Args:
        fabric: Already launched.
        network: Takes inputs, gives logits of the same size; what may not change is frozen
            (`training.downstream.heads.freeze`). Already set up by the fabric.
        inputs: Makes the encoder's input.
        tiles: To train on.
        protocol: How.
        num_classes: Of the logits.
        workers: Processes that read tiles.

    Returns:
        Mean loss of the last epoch on this process.

    Raises:
        PipelineError: There are fewer than two tiles per process, or the loss is no number.
    """
    batch_size = _batch_size(tiles, protocol.batch_size, fabric.world_size)
    sampler = EpochSampler(
        len(tiles),
        batch_size,
        seed=protocol.crops.seed,
        rank=fabric.global_rank,
        ranks=fabric.world_size,
    )
    loader = make_loader(tiles, sampler, batch_size, workers, fabric.device.type == "cuda")
    optimizer = torch.optim.Adam(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=protocol.learning_rate,
        weight_decay=protocol.weight_decay,
    )
    optimizer = cast(torch.optim.Adam, fabric.setup_optimizers(optimizer))
    schedule = LambdaLR(
        optimizer, lambda epoch: learning_rate_at(epoch, protocol) / protocol.learning_rate
    )
    loss = math.nan
    for epoch in range(protocol.epochs):
        sampler.set_epoch(epoch)
        network.train()
        losses = []
        for stored in loader:
            require_labels(stored, num_classes)
            stored = to_device(stored, fabric.device)
            image_BCHW, labels_BHW = inputs.crops(stored, protocol.crops, epoch)
            losses.append(_step(fabric, network, optimizer, image_BCHW, labels_BHW))
        schedule.step()
        loss = float(torch.stack(losses).mean())
        if not math.isfinite(loss):
            raise PipelineError(
                f"the loss of epoch {epoch} is {loss}; lower evaluate.learning_rate, or look at "
                "the encoder's weights"
            )
        if fabric.is_global_zero:
            print(f"epoch {epoch + 1}/{protocol.epochs}: loss {loss:.4f}", flush=True)
    _share_buffers(network, fabric.world_size)
    return loss


@torch.no_grad()
def score_tiles(
    network: nn.Module,
    inputs: TileInputs,
    tiles: TileDataset,
    num_classes: int,
    batch_size: int,
    device: torch.device,
    workers: int = 0,
    rank: int = 0,
    ranks: int = 1,
) -> Tensor:
    """Score every tile once, at its own size; what is alike on every process.

    Args:
        network: Takes inputs, gives logits of the same size.
        inputs: Makes the encoder's input.
        tiles: To score.
        num_classes: C, of the logits and the labels.
        batch_size: Tiles at once; changes no count.
        device: Of the network.
        workers: Processes that read tiles.
        rank: This process, from 0.
        ranks: Number of processes, which share the tiles out among themselves.

    Returns:
        (tiles, C, C) int64 on the CPU: pixels by label and prediction, tile by tile.

    Raises:
        PipelineError: A label is no class, or the network gives anything but numbers.
    """
    network.eval()
    sampler = EpochSampler(len(tiles), batch_size, shuffle=False, rank=rank, ranks=ranks)
    positions = iter(range(rank, len(tiles), ranks))
    counts_TCC = torch.zeros(len(tiles), num_classes, num_classes, dtype=torch.int64, device=device)
    broken = torch.zeros((), dtype=torch.int64, device=device)
    for stored in make_loader(tiles, sampler, batch_size, workers, device.type == "cuda"):
        require_labels(stored, num_classes)
        image_BCHW, labels_BHW = inputs.whole(to_device(stored, device))
        logits_BCHW = network(image_BCHW)
        broken += (~logits_BCHW.isfinite()).sum()
        predicted_BHW = logits_BCHW.argmax(1)
        for predicted_HW, labels_HW in zip(predicted_BHW, labels_BHW, strict=True):
            matrix = ConfusionMatrix(num_classes, device=device).update(predicted_HW, labels_HW)
            counts_TCC[next(positions)] = matrix.counts
    if ranks > 1:
        dist.all_reduce(counts_TCC)
        dist.all_reduce(broken)
    if broken:  # NaN would count as a class, the first one
        raise PipelineError(
            f"{int(broken)} logits on the scored tiles are NaN or infinite; set "
            "evaluate.precision to 32-true, or look at the encoder's weights"
        )
    return counts_TCC.cpu()


def _step(
    fabric: Fabric,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    image_BCHW: Tensor,
    labels_BHW: Tensor,
) -> Tensor:
    """One step of the optimiser; a batch without any label costs nothing and teaches nothing."""
    optimizer.zero_grad()
    loss = segmentation_loss(network(image_BCHW), labels_BHW)
    fabric.backward(loss)
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def _share_buffers(network: nn.Module, ranks: int) -> None:
    """Give all processes the buffers of the first.

    Gradients are shared in every step, but the statistics of batch normalisation that the last step
    has changed are each process's own, and each would score its tiles with another network.
    """
    if ranks > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)


def _batch_size(tiles: TileDataset, wanted: int, ranks: int) -> int:
    available = len(tiles) // ranks
    if available < _LEAST_BATCH:
        raise PipelineError(
            f"{len(tiles)} training tiles for {ranks} processes, at least {_LEAST_BATCH} each are "
            "needed; raise evaluate.label_fractions or build a larger store"
        )
    return min(wanted, available)
