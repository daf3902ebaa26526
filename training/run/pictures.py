"""Pictures of a run: what the network sees, says and trusts; and how its figures develop."""

import io
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pipeline.legend import UNLABELLED, load_legend
from training.cromss.fusion import Modality
from training.cromss.objective import Objective
from training.loading.batch import NetworkBatch
from training.loading.inputs import InputContract
from training.run.metric_table import ALL

_LAND_CONTRAST = 3.0
"""White lies at most so many times as far above the median as the darkest pixels lie below it."""

_NAMES: dict[str, str] = {"s1": "Sentinel-1", "s2": "Sentinel-2"}


def draw_panels(
    contracts: dict[Modality, InputContract],
    batch: NetworkBatch,
    classes: dict[Modality, Tensor],
    objective: Objective,
) -> Figure:
    """A row for every sample: imagery, labels, predictions and weight maps (Fig. 11 of the paper).

    Args:
        contracts: Say which channels are red, green and blue.
        batch: Full frames.
        classes: Predictions (B, H, W) by modality.
        objective: With the weight maps.
    """
    columns: list[tuple[str, list[NDArray[Any]], dict[str, Any]]] = []
    if "s2" in batch.images:
        columns.append(("Sentinel-2", _true_colour(batch.images["s2"], contracts["s2"]), {}))
    if "s1" in batch.images:
        vv_BHW = batch.images["s1"][:, 0].float().cpu().numpy()
        columns.append(("Sentinel-1 VV", list(vv_BHW), {"cmap": "gray", "vmin": 0, "vmax": 1}))
    columns.append(("noisy label", _coloured(batch.labels_BHW), {}))
    for modality, classes_BHW in classes.items():
        columns.append((f"prediction {_NAMES[modality]}", _coloured(classes_BHW), {}))
    for (modality, kind), weights_BHW in objective.weights.items():
        maps = list(weights_BHW.float().cpu().numpy())
        columns.append((f"{kind} weight {_NAMES[modality]}", maps, {"vmin": 0, "vmax": 1}))
    return _grid(columns)


def draw_curves(frame: pd.DataFrame, title: str) -> Figure:
    """Loss, mean IoU, class weights and learning rate over epochs.

    Args:
        frame: Of `MetricTable.frame`.
        title: Above the figure.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    figure.suptitle(title)
    (loss, score), (weight, rate) = figure.subplots(2, 2)
    overall = frame[frame["class"] == ALL]
    _curves(loss, overall[overall.metric == "loss"], "loss")
    _curves(score, overall[overall.metric == "miou"], "mean IoU")
    by_class = frame[frame.metric == "segmentation_weight"]
    means = by_class.groupby(["epoch", "split", "modality"])["value"].mean().reset_index()
    _curves(weight, means, "segmentation weight, mean of the classes")
    _curves(rate, overall[overall.metric == "learning_rate"], "learning rate")
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """The figure as (rows, columns, 3) for loggers."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _grid(columns: list[tuple[str, list[NDArray[Any]], dict[str, Any]]]) -> Figure:
    rows = len(columns[0][1])
    figure = Figure(figsize=(2.1 * len(columns), 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, pictures, options) in enumerate(columns):
        axes[0, column].set_title(title, fontsize=7)
        for row, picture in enumerate(pictures):
            axes[row, column].imshow(picture, interpolation="nearest", **options)
            axes[row, column].set_axis_off()
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("epoch", fontsize=8)
    for key, curve in rows.groupby(["split", "modality"]):
        name = " ".join(str(part) for part in cast(tuple[str, str], key) if part != ALL)
        axes.plot(curve["epoch"], curve["value"], label=name, marker=".", markersize=3)
    if len(rows):
        axes.legend(fontsize=7)


def _true_colour(image_BCHW: Tensor, contract: InputContract) -> list[NDArray[Any]]:
    channels = [contract.bands.index(name) for name in ("B4", "B3", "B2")]
    image_BHWC = image_BCHW[:, channels].float().cpu().permute(0, 2, 3, 1).numpy()
    return [_stretched(image_HWC) for image_HWC in image_BHWC]


def _stretched(image_HWC: NDArray[np.float32]) -> NDArray[np.float32]:
    """From the darkest to all but the brightest pixels, so that clouds leave the land visible."""
    low, median, high = np.percentile(image_HWC, [1, 50, 98])
    bright = min(high, median + _LAND_CONTRAST * (median - low))
    return np.clip((image_HWC - low) / max(bright - low, 1e-6), 0, 1)


def _coloured(classes_BHW: Tensor) -> list[NDArray[Any]]:
    colours = np.full((256, 3), 255, np.uint8)
    for row in load_legend("dynamic_world"):
        colours[row.id] = row.rgb
    colours[UNLABELLED] = 0
    return list(colours[classes_BHW.cpu().numpy().astype(np.uint8)])
