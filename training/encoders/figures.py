"""What fine-tuning changes in an encoder, and how much its stages tell apart."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from torch import Tensor

from training.encoders.distances import accumulated_variance, histogram_divergence

_ENCODER = "encoder."
_MOST_COMPONENTS = 64
"""Components shown; the table has all."""


def weight_divergence(
    before: Mapping[str, Tensor], network_after: Mapping[str, Tensor]
) -> pd.DataFrame:
    """KL between the histograms of each layer's weights before and after fine-tuning.

    Args:
        before: State of the bare encoder.
        network_after: State of the whole network, whose encoder it was.

    Returns:
        A row for each convolution or linear layer, in the order of the network: ``position``,
        ``layer``, ``divergence``.
    """
    rows: list[dict[str, str | int | float]] = []
    for name, weights in before.items():
        after = network_after.get(f"{_ENCODER}{name}")
        if weights.ndim < 2 or after is None or after.shape != weights.shape:
            continue
        divergence = histogram_divergence(_flat(weights), _flat(after))
        rows.append({"position": len(rows), "layer": name, "divergence": divergence})
    return pd.DataFrame(rows, columns=["position", "layer", "divergence"])


def divergence_figure(frame: pd.DataFrame) -> Figure:
    """A curve over the layers for each task and encoder; columns task, encoder and those above."""
    tasks = list(dict.fromkeys(frame["task"]))
    figure = Figure(figsize=(7, 2.6 * max(1, len(tasks))), layout="constrained")
    axes = figure.subplots(max(1, len(tasks)), 1, squeeze=False)[:, 0]
    for panel, task in zip(axes, tasks, strict=True):
        for encoder, curve in frame[frame["task"] == task].groupby("encoder", sort=False):
            panel.plot(curve["position"], curve["divergence"], marker=".", lw=1, label=encoder)
        panel.set_title(f"{task}: weights before and after fine-tuning", fontsize=9)
        panel.set_ylabel("KL, nats", fontsize=8)
        panel.set_xlabel("layer, from the input on", fontsize=8)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.tick_params(labelsize=7)
        panel.set_yscale("symlog", linthresh=1e-3)
        panel.legend(fontsize=7)
    return figure


def variance_rows(
    encoder: str, stages: Iterable[tuple[Tensor, Tensor]]
) -> list[dict[str, str | int | float]]:
    """Accumulated PCA variance of every stage, for whole images and for pixels.

    Args:
        encoder: Its name.
        stages: Of `training.downstream.features.stage_features`.
    """
    rows: list[dict[str, str | int | float]] = []
    for stage, levels in enumerate(stages, start=1):
        for level, features_ND in zip(("image", "pixel"), levels, strict=True):
            shares = accumulated_variance(features_ND.double().numpy())
            rows += [
                {
                    "encoder": encoder,
                    "stage": stage,
                    "level": level,
                    "components": components,
                    "variance": float(share),
                }
                for components, share in enumerate(shares, start=1)
            ]
    return rows


def variance_figure(frame: pd.DataFrame) -> Figure:
    """A panel for every stage and level, a curve for every encoder."""
    stages = sorted(frame["stage"].unique())
    figure = Figure(figsize=(2.6 * len(stages), 5), layout="constrained")
    axes = figure.subplots(2, len(stages), squeeze=False, sharey=True)
    for row, level in enumerate(("image", "pixel")):
        for column, stage in enumerate(stages):
            panel = axes[row, column]
            here = frame[(frame["stage"] == stage) & (frame["level"] == level)]
            for encoder, curve in here.groupby("encoder", sort=False):
                first = curve[curve["components"] <= _MOST_COMPONENTS]
                panel.plot(first["components"], first["variance"], lw=1, label=encoder)
            panel.set_xscale("log", base=2)
            panel.xaxis.set_major_formatter(ScalarFormatter())
            panel.tick_params(labelsize=7)
            panel.set_title(f"stage {stage}, {level} level", fontsize=8)
    axes[0, 0].legend(fontsize=6)
    figure.supxlabel("principal components", fontsize=8)
    figure.supylabel("accumulated share of variance", fontsize=8)
    return figure


def _flat(weights: Tensor) -> np.ndarray:
    return weights.detach().double().flatten().numpy()
