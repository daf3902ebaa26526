"""Land-cover maps side by side: image, label, and what each network makes of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.season_pixels import S1_NODATA, S2_NODATA
from pipeline.settings.evaluate import TaskSettings
from pipeline.store.object_path import StorePath
from pipeline.store.shard_reader import open_chunks
from training.cromss.smoothing import NO_LABEL
from training.downstream.tile_batch import TileInputs
from training.downstream.trained_network import NetworkDescription, read_network
from training.loading.samples import TileDataset
from training.scores.metrics import ConfusionMatrix

_TRUE_COLOUR = (3, 2, 1)
"""Positions of B4, B3 and B2 in the cube."""

_BRIGHTEST = 99
"""Percentile of the reflectances that is shown white."""


def map_figure(
    store: StorePath, task: TaskSettings, tiles: Sequence[int], networks: dict[str, Path]
) -> tuple[pd.DataFrame, Figure]:
    """Draw a row for every tile and a column for every network.

    Args:
        store: Of the task.
        task: Group and labels.
        tiles: Positions among the valid test tiles; those beyond the last are left out.
        networks: Files of trained networks by title.

    Returns:
        Scores of every network on every tile, and the figure.
    """
    predictions: dict[str, NDArray[np.uint8]] = {}
    labels_BHW, samples = _labels(store, task, tiles)
    rows = []
    for title, path in networks.items():
        predicted_BHW, description = _predictions(path, store, task, tiles)
        predictions[title] = predicted_BHW
        rows += _score_rows(title, samples, predicted_BHW, labels_BHW, description)
    columns: list[tuple[str, NDArray[Any]]] = [
        ("image", _picture(store, task, samples)),
        ("label", _coloured(labels_BHW, description)),
        *((title, _coloured(found, description)) for title, found in predictions.items()),
    ]
    return pd.DataFrame(rows), _draw(columns, description)


def _labels(
    store: StorePath, task: TaskSettings, tiles: Sequence[int]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    modality = "s2" if (store / task.test_group / "s2").is_dir() else "s1"
    data = TileDataset(store, task.test_group, (modality,), task.label)  # type: ignore[arg-type]
    stored = data.__getitems__(_within(tiles, len(data)))
    labels: NDArray[np.uint8] = stored.labels_BTHW[:, 0].numpy()
    return labels, stored.sample_B.numpy()


def _within(tiles: Sequence[int], count: int) -> list[int]:
    """The positions that there are; the first tile if there are none."""
    return [tile for tile in tiles if tile < count] or [0]


@torch.inference_mode()
def _predictions(
    path: Path, store: StorePath, task: TaskSettings, tiles: Sequence[int]
) -> tuple[NDArray[np.uint8], NetworkDescription]:
    network, description = read_network(path)
    contract = description.contract
    data = TileDataset(store, task.test_group, (contract.modality,), task.label)
    inputs = TileInputs(contract)
    found = []
    for tile in _within(tiles, len(data)):
        image_BCHW, _ = inputs.whole(data.__getitems__([tile]))
        found.append(network(image_BCHW)[0].argmax(0).numpy().astype(np.uint8))
    return np.stack(found), description


def _score_rows(
    title: str,
    samples: NDArray[np.int64],
    predicted_BHW: NDArray[np.uint8],
    labels_BHW: NDArray[np.uint8],
    description: NetworkDescription,
) -> list[dict[str, Any]]:
    rows = []
    for sample, predicted, labels in zip(samples, predicted_BHW, labels_BHW, strict=True):
        matrix = ConfusionMatrix(len(description.classes))
        matrix.update(torch.from_numpy(predicted), torch.from_numpy(labels))
        scores = matrix.scores()
        shares = {
            f"share.{name}": float((predicted == number).mean())
            for number, name in enumerate(description.classes)
        }
        row = {"tile": int(sample), "network": title, "oa": scores.oa, "miou": scores.miou}
        rows.append(row | shares | {"simulated": description.simulated})
    return rows


def _picture(
    store: StorePath, task: TaskSettings, samples: NDArray[np.int64]
) -> NDArray[np.float64]:
    """True colour where there is Sentinel-2, else the backscatter of VV."""
    group = store / task.test_group
    optical = (group / "s2").is_dir()
    reader = open_chunks(group / ("s2" if optical else "s1"))
    tile = np.empty(reader.item_shape, reader.dtype)
    pictures = []
    for sample in samples:
        reader.read_into(tile, int(sample), 0)
        bands = tile[list(_TRUE_COLOUR)] if optical else tile[[0, 0, 0]]
        known = bands[bands != (S2_NODATA if optical else S1_NODATA)]
        low, high = np.percentile(known, (100 - _BRIGHTEST, _BRIGHTEST)) if known.size else (0, 1)
        scaled = (bands.astype(float) - low) / max(high - low, 1)
        pictures.append(np.clip(scaled, 0, 1).transpose(1, 2, 0))
    return np.stack(pictures)


def _coloured(classes_BHW: NDArray[np.uint8], description: NetworkDescription) -> NDArray[Any]:
    colours = np.full((256, 3), 255, np.uint8)
    for number, color in enumerate(description.colors):
        colours[number] = list(bytes.fromhex(color.removeprefix("#")))
    colours[NO_LABEL] = 0
    return colours[classes_BHW]


def _draw(columns: list[tuple[str, NDArray[Any]]], description: NetworkDescription) -> Figure:
    rows = len(columns[0][1])
    figure = Figure(figsize=(1.8 * len(columns), 1.9 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns):
        axes[0, column].set_title(title, fontsize=7)
        for row, picture in enumerate(pictures):
            axes[row, column].imshow(picture, interpolation="nearest")
            axes[row, column].set_axis_off()
    legend = [
        Patch(color=color, label=name.replace("_", " "))
        for color, name in zip(description.colors, description.classes, strict=True)
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=7, fontsize=6, frameon=False)
    return figure
