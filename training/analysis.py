"""The figures behind the table: ``python -m training.analysis maps --settings FILE --output STEM``.

``maps``, ``weights`` and ``variance`` look at evaluated encoders, ``statistics`` and ``selection``
into pretraining runs. Each is written as CSV, PNG and SVG.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from matplotlib.figure import Figure

from pipeline.errors import PipelineError, run_step
from pipeline.settings.evaluate import EvaluationKey
from pipeline.settings.tree import Settings, load_settings
from pipeline.store.object_path import StorePath, store_path
from training.downstream.features import stage_features
from training.downstream.task_tiles import is_simulated, task_store
from training.downstream.tile_batch import TileInputs
from training.downstream.trained_network import read_network_weights
from training.encoders.export import read_description
from training.encoders.figures import (
    divergence_figure,
    variance_figure,
    variance_rows,
    weight_divergence,
)
from training.evaluate import build_network, plan_evaluation
from training.loading.samples import TileDataset
from training.maps.figure_files import write_figure
from training.maps.map_figure import map_figure
from training.run.figures import selection_panels, statistics_divergence, statistics_figure

_BATCH = 4


def kept_evaluations(settings: Settings, task: str) -> dict[str, EvaluationKey]:
    """Evaluations of a task whose networks are kept, by a title: one seed, all labels.

    Raises:
        PipelineError: None is.
    """
    chosen = settings.evaluate
    seeds = [seed for seed in chosen.seeds if seed in chosen.kept_seeds]
    if not seeds:
        raise PipelineError(
            "no seed of evaluate.seeds is in evaluate.kept_seeds, so no trained network is kept"
        )
    fraction = max(chosen.label_fractions)
    return {
        f"{key.encoder}\n{key.mode}": key
        for key in chosen.planned()
        if (key.task, key.seed, key.label_fraction) == (task, seeds[0], fraction)
    }


def network_file(rows: Path, key: EvaluationKey) -> Path:
    """Where the trained network of an evaluation is kept: beside its row."""
    return (rows / key.path).with_suffix(".safetensors")


def maps(settings: Settings, rows: Path, task: str) -> tuple[pd.DataFrame, Figure]:
    """Maps of one task by every kept network."""
    chosen = settings.evaluate
    networks = {
        title: network_file(rows, key) for title, key in kept_evaluations(settings, task).items()
    }
    store = task_store(settings.folder, chosen.tasks[task].store)
    return map_figure(store, chosen.tasks[task], chosen.figure_tiles, networks)


def weights(settings: Settings, rows: Path) -> tuple[pd.DataFrame, Figure]:
    """Weights of every fine-tuned encoder against those it started from."""
    frames = []
    for task in settings.evaluate.tasks_used:
        for key in kept_evaluations(settings, task).values():
            if key.mode != "finetuned":
                continue
            # As `training.evaluate` does, so that random weights are the very same.
            L.seed_everything(key.seed, verbose=False)
            network, _ = build_network(plan_evaluation(settings, key))
            after, description = read_network_weights(network_file(rows, key))
            frame = weight_divergence(network.encoder.state_dict(), after)
            frame = frame.assign(task=key.task, encoder=key.encoder)
            frames.append(frame.assign(simulated=description.simulated))
    if not frames:
        raise PipelineError("no encoder was fine-tuned; add finetuned to evaluate.modes")
    joined = pd.concat(frames, ignore_index=True)
    return joined, divergence_figure(joined)


def variance(settings: Settings, task: str) -> tuple[pd.DataFrame, Figure]:
    """Accumulated PCA variance of every encoder on the test tiles of a task."""
    chosen = settings.evaluate
    rows = []
    for name in chosen.encoders_used:
        key = EvaluationKey(task, name, "frozen", 1.0, chosen.seeds[0])
        plan = plan_evaluation(settings, key)
        L.seed_everything(key.seed, verbose=False)
        network, contract = build_network(plan)
        data = TileDataset(plan.store, plan.task.test_group, (contract.modality,), plan.task.label)
        count = min(chosen.figure_samples, len(data))
        batches = (
            data.__getitems__(list(range(first, min(first + _BATCH, count)))).imagery
            for first in range(0, count, _BATCH)
        )
        inputs = TileInputs(contract)
        stages = stage_features(network.encoder, inputs, batches, torch.device("cpu"))
        rows += variance_rows(name, stages)
    frame = pd.DataFrame(rows).assign(simulated=is_simulated(plan.store))
    return frame, variance_figure(frame)


def statistics(runs: dict[str, Path]) -> tuple[pd.DataFrame, Figure]:
    """Batch-norm statistics of every two runs."""
    frame = statistics_divergence(runs)
    exported = [file for run in runs.values() for file in run.glob("encoders/*.safetensors")]
    frame = frame.assign(simulated=any(read_description(file).simulated for file in exported))
    return frame, statistics_figure(frame)


def selection(
    settings: Settings, run: str, folder: Path, store: StorePath
) -> tuple[pd.DataFrame, Figure]:
    """Selection weights of one run.

    Raises:
        PipelineError: There is no such run.
    """
    recipes = settings.pretrain.runs
    if run not in recipes:
        raise PipelineError(f"there is no run {run!r} in pretrain.runs; known are {list(recipes)}")
    count = max(1, settings.pretrain.panel_samples)
    frame, figure = selection_panels(folder / run, recipes[run], store, settings.seed, count)
    return frame.assign(simulated=is_simulated(store)), figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.analysis``."""
    parser = argparse.ArgumentParser(prog="python -m training.analysis", description=__doc__)
    figures = ("maps", "weights", "variance", "statistics", "selection")
    parser.add_argument("figure", choices=figures)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--output", type=Path, required=True, help="figure, without its suffix")
    parser.add_argument("--rows", type=Path, help="folder of the rows: maps, weights")
    parser.add_argument("--task", help="name in evaluate.tasks: maps, variance")
    parser.add_argument("--runs", type=Path, help="folder of the runs: statistics, selection")
    parser.add_argument("--run", nargs="+", default=[], help="names: statistics, selection")
    parser.add_argument("--store", type=store_path, help="nol.zarr: selection")
    options = parser.parse_args(arguments)
    settings = load_settings(options.settings)
    if options.figure == "maps":
        frame, figure = maps(settings, options.rows, options.task)
    elif options.figure == "weights":
        frame, figure = weights(settings, options.rows)
    elif options.figure == "variance":
        frame, figure = variance(settings, options.task)
    elif options.figure == "statistics":
        frame, figure = statistics({name: options.runs / name for name in options.run})
    else:
        frame, figure = selection(settings, options.run[0], options.runs, options.store)
    for path in write_figure(options.output, frame, figure):
        print(path, flush=True)


if __name__ == "__main__":
    run_step(main)
