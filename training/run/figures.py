"""What happens inside pretraining runs: drifting statistics, and who trusts what."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.legend import load_legend
from pipeline.settings.pretrain import PretrainRun
from pipeline.store.object_path import StorePath
from training.cromss.fusion import Modality
from training.cromss.networks import build_network, logits_by_modality
from training.cromss.objective import Objective, RunLoss
from training.encoders.distances import normal_divergence
from training.encoders.export import read_encoder
from training.encoders.weight_files import read_checkpoint
from training.loading.batch import BatchPreparation
from training.loading.samples import NUM_CLASSES, NolDataset
from training.run.pictures import draw_panels
from training.run.tally import ClassMeanTally

_EPOCH_FILE = re.compile(r"epoch-(\d+)\.ckpt")
_MEAN, _VARIANCE = ".running_mean", ".running_var"


def statistics_divergence(runs: Mapping[str, Path]) -> pd.DataFrame:
    """KL between the batch-norm statistics of every two runs, epoch by epoch.

    Args:
        runs: Folder of each run, by name; those with kept checkpoints of the same epochs and
            encoders of the same layers can be compared.

    Returns:
        A row per pair, modality, epoch and layer: ``first``, ``second``, ``modality``, ``epoch``,
        ``layer``, ``divergence``.

    Raises:
        PipelineError: No two runs have an epoch in common.
    """
    epochs = {name: _epochs(folder) for name, folder in runs.items()}
    rows: list[dict[str, Any]] = []
    for first, second in combinations(runs, 2):
        for epoch in sorted(epochs[first].keys() & epochs[second].keys()):
            states = [read_checkpoint(epochs[name][epoch]) for name in (first, second)]
            for modality in cast(tuple[Modality, ...], ("s1", "s2")):
                if all(modality in state.channels for state in states):
                    weights = [state.encoder_weights(modality) for state in states]
                    rows += [
                        {"first": first, "second": second, "modality": modality, "epoch": epoch}
                        | layer
                        for layer in _layer_rows(*weights)
                    ]
    if not rows:
        raise PipelineError(
            f"no two of the runs {', '.join(runs)} have checkpoints of the same epoch and layers; "
            "lower pretrain.checkpoint_every and train them again"
        )
    return pd.DataFrame(rows)


def statistics_figure(frame: pd.DataFrame) -> Figure:
    """Mean over the layers, a curve for every pair of runs and modality."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    means = frame.groupby(["first", "second", "modality", "epoch"])["divergence"].mean()
    for key, curve in means.groupby(level=[0, 1, 2]):
        first, second, modality = cast(tuple[str, str, str], key)
        epochs = curve.index.get_level_values("epoch")
        label = f"{first} against {second}, {modality}"
        axes.plot(epochs + 1, curve.to_numpy(), marker=".", lw=1, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epochs trained")
    axes.set_ylabel("KL of batch-norm statistics, nats")
    axes.legend(fontsize=7)
    return figure


@torch.no_grad()
def selection_panels(
    folder: Path, run: PretrainRun, store: StorePath, seed: int, count: int
) -> tuple[pd.DataFrame, Figure]:
    """Where a run trusts its labels at the end of its training.

    Args:
        folder: Of the run.
        run: Its recipe.
        store: That it was trained on.
        seed: Of its seasons.
        count: Validation samples to show.

    Returns:
        Mean weight by sample, modality, kind and class, and the panels.

    Raises:
        PipelineError: The run has one modality only, or its files are missing.
    """
    if len(run.modalities) < 2:
        raise PipelineError(f"{folder.name} has one modality, so its labels all weigh 1")
    contracts = {
        modality: read_encoder(folder / "encoders" / f"{modality}.safetensors")[1].contract
        for modality in run.modalities
    }
    network = build_network(run).eval()
    read_checkpoint(folder / "checkpoints" / "last.ckpt").load_into(network)
    samples = NolDataset(store, "validation", run.modalities, seed)
    places = np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int)
    batch = BatchPreparation(contracts, run, seed).evaluation_batch(
        samples.__getitems__(places.tolist())
    )
    logits = logits_by_modality(network, batch.images)
    objective = RunLoss(run, training=True)(logits, batch, run.epochs - 1)
    classes = {name: logits_BCHW.argmax(1) for name, logits_BCHW in logits.items()}
    names = [samples.ids[place] for place in places]
    frame = _weight_rows(names, batch.labels_BHW, objective)
    return frame, draw_panels(contracts, batch, classes, objective)


def _epochs(folder: Path) -> dict[int, Path]:
    found = {}
    for path in (folder / "checkpoints").glob("epoch-*.ckpt"):
        match = _EPOCH_FILE.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return found


def _layer_rows(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[dict[str, Any]]:
    rows = []
    for name in first:
        variance = name.removesuffix(_MEAN) + _VARIANCE
        if not name.endswith(_MEAN) or name not in second:
            continue
        tensors = (first[name], first[variance], second[name], second[variance])
        if tensors[0].shape != tensors[2].shape:
            continue
        mean_P, variance_P, mean_Q, variance_Q = (tensor.double().numpy() for tensor in tensors)
        divergence = normal_divergence(mean_P, variance_P, mean_Q, variance_Q)
        rows.append({"layer": name.removesuffix(_MEAN), "divergence": divergence})
    return rows


def _weight_rows(names: Sequence[str], labels_BHW: Tensor, objective: Objective) -> pd.DataFrame:
    legend = [row.name for row in load_legend("dynamic_world")]
    rows = []
    for (modality, kind), weights_BHW in objective.weights.items():
        for name, weights_HW, labels_HW in zip(names, weights_BHW, labels_BHW, strict=True):
            tally = ClassMeanTally(NUM_CLASSES, weights_HW.device)
            tally.add(weights_HW[None], labels_HW[None])
            for number, mean in enumerate(tally.means()):
                pixels = int((labels_HW == number).sum())
                rows.append(
                    {"sample": name, "modality": modality, "kind": kind,
                     "class": legend[number], "pixels": pixels, "mean_weight": mean}
                )  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame[frame["pixels"] > 0].reset_index(drop=True)
