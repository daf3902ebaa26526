"""How good features are as they are: ``python -m training.probe --settings FILE --encoder E ...``.

A linear probe and nearest neighbours on frozen features of tiles with one class each (EuroSAT).
Writes one row per classifier, the same columns as the rows of segmentation tasks.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.fingerprints import code_version
from pipeline.settings.evaluate import EncoderSettings, ProbeSettings
from pipeline.settings.tree import Settings, load_settings, short_hash
from pipeline.store.create import read_attributes
from pipeline.store.object_path import StorePath
from training.cromss.fusion import Modality
from training.downstream.configured_encoder import (
    open_encoder,
    weights_of,
    weights_sha256,
)
from training.downstream.features import pooled_features
from training.downstream.scene_tiles import SceneTiles
from training.downstream.task_tiles import is_simulated, task_store
from training.downstream.tile_batch import TileInputs
from training.encoders.named_encoder import RANDOM
from training.run.gpus import gpus_of_this_run, installed_gpus, takes_gpus
from training.scores.rows import METRICS, scores_of

_STEPS = 200
"""Of L-BFGS; the problem is convex, and a few dozen are usually enough."""


class Standardisation(NamedTuple):
    """Mean and spread of training features, each (D,)."""

    mean_D: Tensor
    std_D: Tensor

    @classmethod
    def of(cls, features_ND: Tensor) -> "Standardisation":
        """Of these features; columns that never change are left alone."""
        std_D = features_ND.std(0, correction=0)
        return cls(features_ND.mean(0), torch.where(std_D > 0, std_D, 1.0))

    def __call__(self, features_ND: Tensor) -> Tensor:
        """Features of mean 0 and spread 1, as double precision."""
        return ((features_ND - self.mean_D) / self.std_D).double()


def linear_probe(
    train_ND: Tensor, labels_N: Tensor, test_ND: Tensor, num_classes: int, penalty: float
) -> Tensor:
    """Multinomial logistic regression on standardised features, solved by L-BFGS.

    Minimises mean cross-entropy + penalty / 2 * |weights|^2 (the intercept is free).

    Returns:
        int64 class of each test row.
    """
    scale = Standardisation.of(train_ND)
    inputs_ND = scale(train_ND)
    weights_DC = torch.zeros(inputs_ND.shape[1], num_classes, dtype=torch.float64)
    intercept_C = torch.zeros(num_classes, dtype=torch.float64)
    parameters = [weights_DC.requires_grad_(), intercept_C.requires_grad_()]
    solver = torch.optim.LBFGS(
        parameters, max_iter=_STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(inputs_ND @ weights_DC + intercept_C, labels_N)
        value = value + 0.5 * penalty * weights_DC.square().sum()
        value.backward()
        return value

    solver.step(loss)
    with torch.no_grad():
        return (scale(test_ND) @ weights_DC + intercept_C).argmax(1)


def nearest_neighbours(
    train_ND: Tensor, labels_N: Tensor, test_ND: Tensor, num_classes: int, neighbours: int
) -> Tensor:
    """Vote of the most similar training rows (cosine of standardised features).

    Each votes with its similarity, so that a tie goes to the closer class.

    Returns:
        int64 class of each test row.
    """
    scale = Standardisation.of(train_ND)
    similarity = F.normalize(scale(test_ND)) @ F.normalize(scale(train_ND)).T
    closest, places = similarity.topk(min(neighbours, len(train_ND)), dim=1)
    votes = torch.zeros(len(test_ND), num_classes, dtype=torch.float64)
    # From -1 ... 1 to 0 ... 2: a neighbour must not vote against its own class.
    votes.scatter_add_(1, labels_N[places], closest + 1)
    return votes.argmax(1)


def probe_rows(
    train_ND: Tensor,
    train_labels_N: NDArray[np.int64],
    test_ND: Tensor,
    test_labels_N: NDArray[np.int64],
    num_classes: int,
    settings: ProbeSettings,
) -> list[dict[str, Any]]:
    """Scores of both classifiers: a row each with ``classifier`` and the usual metrics.

    Raises:
        PipelineError: A feature is NaN or infinite.
    """
    if not (train_ND.isfinite().all() and test_ND.isfinite().all()):
        raise PipelineError("the encoder gives features that are NaN or infinite; check its input")
    labels_N = torch.from_numpy(train_labels_N)
    answers = {
        "linear": linear_probe(train_ND, labels_N, test_ND, num_classes, settings.penalty),
        f"knn{settings.neighbours}": nearest_neighbours(
            train_ND, labels_N, test_ND, num_classes, settings.neighbours
        ),
    }
    rows = []
    for classifier, predicted_N in answers.items():
        confusion_CC = np.zeros((num_classes, num_classes), np.int64)
        np.add.at(confusion_CC, (test_labels_N, predicted_N.numpy()), 1)
        scores = scores_of(confusion_CC)
        rows.append(
            {"classifier": classifier} | {metric: getattr(scores, metric) for metric in METRICS}
        )
    return rows


def probe(settings: Settings, name: str, seed: int, device: torch.device) -> list[dict[str, Any]]:
    """Probe one encoder of the settings.

    Returns:
        A row per classifier: what was probed, and the scores.

    Raises:
        PipelineError: There is no such encoder or no store to probe on.
    """
    chosen, encoder = settings.evaluate.probe, _encoder_settings(settings, name)
    train, test = _groups(settings, encoder.modality)
    classes = max(len(train.classes), len(test.classes))  # nameless: those that occur in a group
    train_ND, test_ND = _features(settings, encoder, (train, test), seed, device)
    facts = {
        "task": train.store.stem,
        "encoder": name,
        "modality": encoder.modality,
        "seed": seed,
        "train_tiles": len(train),
        "test_tiles": len(test),
        "classes": classes,
        "device": device.type,
    } | _provenance(settings, encoder, train.store)
    scored = probe_rows(train_ND, train.labels_N, test_ND, test.labels_N, classes, chosen)
    return [facts | row for row in scored]


def _encoder_settings(settings: Settings, name: str) -> EncoderSettings:
    if name not in settings.evaluate.encoders:
        known = ", ".join(settings.evaluate.encoders)
        raise PipelineError(f"there is no encoder {name!r} in evaluate.encoders; known are {known}")
    return settings.evaluate.encoders[name]


def _groups(settings: Settings, modality: Modality) -> tuple[SceneTiles, SceneTiles]:
    """The tiles to train on and those to test on."""
    chosen = settings.evaluate.probe
    if chosen.store is None:
        raise PipelineError("evaluate.probe.store is null; name a tile store such as eurosat.zarr")
    store = task_store(settings.folder, chosen.store)
    train, test = (
        SceneTiles(store, group, modality, chosen.label)
        for group in (chosen.train_group, chosen.test_group)
    )
    return train, test


def _features(
    settings: Settings,
    chosen: EncoderSettings,
    groups: Sequence[SceneTiles],
    seed: int,
    device: torch.device,
) -> list[Tensor]:
    """Features of each group, (N, D); the seed is that of random weights."""
    torch.manual_seed(seed)
    weights, trained = weights_of(settings, chosen), groups[0]
    encoder, contract = open_encoder(
        weights, chosen, settings.evaluate.weights, trained.store, trained.group
    )
    encoder, inputs = encoder.to(device), TileInputs(contract).to(device)
    batch_size = settings.evaluate.probe.batch_size
    return [pooled_features(encoder, inputs, tiles.batches(batch_size), device) for tiles in groups]


def _provenance(settings: Settings, encoder: EncoderSettings, store: StorePath) -> dict[str, Any]:
    """Columns that tell what the scores were computed from."""
    asked = settings.evaluate.probe.model_dump(mode="json") | encoder.model_dump(mode="json")
    weights = weights_of(settings, encoder)
    return {
        "weights_sha256": weights_sha256(weights, encoder, settings.evaluate.weights),
        "settings_hash": short_hash(asked),
        "code_version": code_version(),
        "store_hash": (read_attributes(store) or {}).get("dataset_hash", ""),
        "simulated": is_simulated(store),
    }


def seeds_that_matter(settings: Settings, name: str, seeds: Sequence[int]) -> Sequence[int]:
    """All for random weights; the features of any others are the same with every seed."""
    encoder = settings.evaluate.encoders.get(name)
    return seeds if encoder is not None and encoder.weights == RANDOM else seeds[:1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.probe``."""
    parser = argparse.ArgumentParser(prog="python -m training.probe", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--encoder", required=True, help="name in evaluate.encoders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of random weights")
    parser.add_argument("--output", type=Path, required=True, help="rows (Parquet)")
    options = parser.parse_args(arguments)
    settings = load_settings(options.settings)
    on_gpu = takes_gpus(settings.evaluate.accelerator)
    with gpus_of_this_run(1 if on_gpu else 0, installed_gpus()):
        device = torch.device("cuda" if on_gpu else "cpu")
        seeds = seeds_that_matter(settings, options.encoder, options.seeds)
        rows = [row for seed in seeds for row in probe(settings, options.encoder, seed, device)]
    content = io.BytesIO()
    pd.DataFrame(rows).to_parquet(content, index=False)
    write_atomically(options.output, content.getvalue())
    for row in rows:
        print(
            f"{options.encoder}, {row['classifier']}, seed {row['seed']}: OA {row['oa']:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    run_step(main)
