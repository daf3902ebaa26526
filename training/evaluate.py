"""Score one encoder on one task: ``python -m training.evaluate --task dw --encoder midF_s2 ...``.

A network of the task's head on the encoder is trained on the store's training tiles and scored on
every test tile. The result is one row in a file of its own (`training.scores.rows`).
"""

import argparse
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from pipeline.errors import PipelineError, run_step
from pipeline.fingerprints import code_version
from pipeline.settings.evaluate import (
    EncoderSettings,
    EvaluateSettings,
    EvaluationKey,
    Head,
    Mode,
    TaskSettings,
)
from pipeline.settings.tree import Settings, load_settings, short_hash
from pipeline.store.create import read_attributes
from pipeline.store.object_path import StorePath
from training.downstream.configured_encoder import (
    encoder_name,
    open_encoder,
    weights_of,
    weights_sha256,
)
from training.downstream.finetune import Protocol, score_tiles, train
from training.downstream.heads import Segmenter, build_segmenter, freeze
from training.downstream.task_tiles import (
    class_colors,
    class_names,
    drawn_tiles,
    is_simulated,
    require_band_order,
    task_store,
)
from training.downstream.tile_batch import CropRecipe, TileInputs
from training.downstream.trained_network import NetworkDescription, write_network
from training.loading.inputs import InputContract
from training.loading.samples import TileDataset
from training.run.gpus import gpus_of_this_run, installed_gpus, takes_gpus
from training.scores.rows import ScoreRow, write_row


@dataclass(frozen=True)
class EvaluationPlan:
    """Everything that is decided before an evaluation starts.

    Attributes:
        key: Which evaluation.
        settings: Protocol and hardware.
        task: Store, classes and head.
        encoder: Weights and modality.
        weights: Name in the table of encoders, or path of a file.
        store: Folder of the task's store.
    """

    key: EvaluationKey
    settings: EvaluateSettings
    task: TaskSettings
    encoder: EncoderSettings
    weights: str
    store: StorePath

    @property
    def head(self) -> Head:
        """The encoder's own head if it needs one, else the task's."""
        return self.encoder.head or self.task.head

    @property
    def encoder_depth(self) -> int | None:
        """Stages of the encoder to use; None leaves it to the head."""
        if self.encoder.head is not None:
            return self.encoder.encoder_depth
        return self.encoder.encoder_depth or self.task.encoder_depth

    @property
    def on_gpu(self) -> bool:
        """Whether the evaluation uses GPUs."""
        return takes_gpus(self.settings.accelerator)

    @property
    def protocol(self) -> Protocol:
        """How the network is trained."""
        settings = self.settings
        return Protocol(
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            final_learning_rate=settings.final_learning_rate,
            cosine_share=settings.cosine_share,
            weight_decay=settings.weight_decay,
            batch_size=self.task.batch_size,
            crops=CropRecipe(
                self.task.crop, settings.flip_share, settings.rotation_share, self.key.seed
            ),
        )

    @property
    def settings_hash(self) -> str:
        """Of everything in the settings that decides the scores."""
        return short_hash(self.settings.defining(self.key.task, self.key.encoder))


def plan_evaluation(settings: Settings, key: EvaluationKey) -> EvaluationPlan:
    """Look up task and encoder.

    Raises:
        PipelineError: One of them is not in the settings.
    """
    evaluate_settings = settings.evaluate
    task = _named(evaluate_settings.tasks, key.task, "task", "evaluate.tasks")
    encoder = _named(evaluate_settings.encoders, key.encoder, "encoder", "evaluate.encoders")
    return EvaluationPlan(
        key=key,
        settings=evaluate_settings,
        task=task,
        encoder=encoder,
        weights=weights_of(settings, encoder),
        store=task_store(settings.folder, task.store),
    )


def evaluate(plan: EvaluationPlan, keep_at: Path | None = None) -> ScoreRow | None:
    """Train and score.

    Args:
        plan: What.
        keep_at: File to keep the trained network in.

    Returns:
        The row on the first process, None on others.

    Raises:
        PipelineError: Store, labels or weights are not fit for the task.
    """
    started = time.monotonic()
    devices = plan.settings.devices
    with gpus_of_this_run(devices if plan.on_gpu else 0, installed_gpus()):
        fabric = _launched_fabric(plan)
        L.seed_everything(plan.key.seed, verbose=False)
        task = plan.task
        classes = class_names(plan.store, task.test_group, task.label, task.num_classes)
        train_tiles, test_tiles = task_tiles(plan)
        network, contract = build_network(plan)
        facts = _facts(plan, network) | {"train_tiles": len(train_tiles)}
        inputs = TileInputs(contract).to(fabric.device)
        facts["train_loss"] = _train(fabric, plan, network, inputs, train_tiles)
        counts_TCC = _score(fabric, plan, network, inputs, test_tiles)
        if not fabric.is_global_zero:
            return None
        _require_labels(counts_TCC, plan)
        facts |= {
            "device": _device_name(fabric.device),
            "seconds": round(time.monotonic() - started, 1),
        }
        if keep_at is not None:
            write_network(keep_at, network, description_of(plan, contract, classes))
        return ScoreRow(plan.key, facts, classes, test_tiles.samples, counts_TCC.numpy())


def build_network(plan: EvaluationPlan) -> tuple[Segmenter, InputContract]:
    """The untrained network of a plan, its encoder frozen if the mode says so."""
    encoder, contract = open_encoder(
        plan.weights, plan.encoder, plan.settings.weights, plan.store, plan.task.train_group
    )
    if plan.key.mode == "frozen":
        freeze(encoder)
    head = build_segmenter(plan.head, encoder, plan.task.num_classes, plan.encoder_depth)
    return head, contract


def task_tiles(plan: EvaluationPlan) -> tuple[TileDataset, TileDataset]:
    """The training tiles, as many as the label fraction says, and all test tiles."""
    task, modality = plan.task, plan.encoder.modality
    for group in (task.train_group, task.test_group):
        require_band_order(plan.store, group, modality)
    train_tiles = TileDataset(plan.store, task.train_group, (modality,), task.label)
    test_tiles = TileDataset(plan.store, task.test_group, (modality,), task.label)
    fraction = plan.key.label_fraction
    if fraction < 1:
        train_tiles.samples = drawn_tiles(train_tiles.samples, fraction, plan.key.seed)
    return train_tiles, test_tiles


def description_of(
    plan: EvaluationPlan, contract: InputContract, classes: tuple[str, ...]
) -> NetworkDescription:
    """What is written beside the weights of a trained network."""
    return NetworkDescription(
        encoder=encoder_name(plan.weights, plan.encoder),
        weights=plan.weights,
        contract=contract,
        head=plan.head,
        encoder_depth=plan.encoder_depth,
        classes=classes,
        colors=class_colors(plan.store, plan.task.test_group, plan.task.label, len(classes)),
        evaluation=plan.key._asdict(),
        simulated=is_simulated(plan.store),
    )


def _train(
    fabric: Fabric, plan: EvaluationPlan, network: Segmenter, inputs: TileInputs, tiles: TileDataset
) -> float:
    prepared = cast(nn.Module, fabric.setup_module(network))
    classes, workers = plan.task.num_classes, plan.settings.workers
    return train(fabric, prepared, inputs, tiles, plan.protocol, classes, workers)


def _score(
    fabric: Fabric, plan: EvaluationPlan, network: Segmenter, inputs: TileInputs, tiles: TileDataset
) -> Tensor:
    """Score with the bare network.

    The wrapper of many processes waits for all of them in every batch, and they need not have
    equally many.
    """
    with fabric.autocast():
        return score_tiles(
            network,
            inputs,
            tiles,
            plan.task.num_classes,
            plan.task.test_batch_size,
            fabric.device,
            plan.settings.workers,
            fabric.global_rank,
            fabric.world_size,
        )


def _launched_fabric(plan: EvaluationPlan) -> Fabric:
    for advice in ("does not have many workers", "`srun` command is available"):
        warnings.filterwarnings("ignore", message=f".*{advice}.*")
    # All processes of an evaluation are on one machine, whose name need not be known to itself.
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    fabric = Fabric(
        accelerator="gpu" if plan.on_gpu else "cpu",
        devices=plan.settings.devices,
        strategy="ddp" if plan.settings.devices > 1 else "auto",
        precision=plan.settings.precision,
    )
    fabric.launch()
    if fabric.world_size != plan.settings.devices:
        raise PipelineError(
            f"evaluate.devices is {plan.settings.devices}, but the batch system started "
            f"{fabric.world_size} processes; start this job with `srun --nodes=1 "
            f"--ntasks-per-node={plan.settings.devices}`, as profiles/slurm does"
        )
    return fabric


def _facts(plan: EvaluationPlan, network: Segmenter) -> dict[str, Any]:
    """What the row says about itself, beside its key and its scores."""
    attributes = read_attributes(plan.store) or {}
    return {
        "modality": plan.encoder.modality,
        "weights": plan.encoder.weights,
        "weights_sha256": weights_sha256(plan.weights, plan.encoder, plan.settings.weights),
        "head": plan.head,
        "encoder_depth": network.encoder_depth,
        "epochs": plan.settings.epochs,
        "settings_hash": plan.settings_hash,
        "code_version": code_version(),
        "store_hash": attributes.get("dataset_hash", ""),
        "simulated": is_simulated(plan.store),
    }


def _require_labels(counts_TCC: Tensor, plan: EvaluationPlan) -> None:
    if not counts_TCC.any():
        raise PipelineError(
            f"no tile of the group {plan.task.test_group!r} of {plan.store} has a label in "
            f"{plan.task.label}, so there is nothing to score; choose another array or group"
        )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _named(choices: dict[str, Any], name: str, kind: str, key: str) -> Any:
    if name not in choices:
        raise PipelineError(f"there is no {kind} {name!r} in {key}; known are {', '.join(choices)}")
    return choices[name]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.evaluate``."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--task", required=True, help="name in evaluate.tasks")
    parser.add_argument("--encoder", required=True, help="name in evaluate.encoders")
    parser.add_argument("--mode", required=True, choices=("frozen", "finetuned"))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--label-fraction", type=float, default=1.0, help="of the training tiles")
    parser.add_argument("--output", type=Path, required=True, help="file of the row (Parquet)")
    parser.add_argument("--network", type=Path, help="keep the trained network (safetensors)")
    options = parser.parse_args(arguments)
    mode: Mode = options.mode
    key = EvaluationKey(options.task, options.encoder, mode, options.label_fraction, options.seed)
    row = evaluate(plan_evaluation(load_settings(options.settings), key), options.network)
    if row is not None:
        write_row(options.output, row)
        values = row.columns
        print(
            f"{key.task}, {key.encoder}, {key.mode}, seed {key.seed}: "
            f"OA {values['oa']:.4f}, mIoU {values['miou']:.4f} on {len(row.tiles)} tiles",
            flush=True,
        )


if __name__ == "__main__":
    run_step(main)
