"""Tables of the laboratory in Markdown, from the metrics and checkpoints of its runs."""

import datetime as dt
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import zarr

from pipeline.atomic_file import write_atomically
from pipeline.fingerprints import code_version
from pipeline.legend import UNLABELLED, load_legend
from pipeline.settings.tree import load_settings
from pipeline.store.reader import open_store
from tests.benchmarks.laboratory_readings import SPLITS, Reading, read_trained_run
from training.loading.samples import NUM_CLASSES
from training.run.metric_table import ALL
from training.run.plan import RunPlan, plan_run

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

LAST_EPOCHS = 3
"""Scores are means over so many epochs at the end: one epoch alone is noisy."""

SHOWN_EPOCHS = 7
"""Columns of a table over epochs."""

SELECTIVE = ("midF", "lateF")
PAIRS = (("midF", "midF_plain"), ("lateF", "lateF_plain"))
AUROC = "segmentation_weight_auroc"


@dataclass(frozen=True)
class Laboratory:
    """What has been trained, on what.

    Attributes:
        folder: Of the runs and their settings.
        store: With noisy labels.
        truth: Behind them.
        seeds: Under which each run has been trained.
    """

    folder: Path
    store: Path
    truth: Path
    seeds: dict[str, list[int]]

    def plan(self, run: str, seed: int) -> RunPlan:
        """The plan of a run, on the noisy labels whatever it was trained on."""
        settings = load_settings(self.folder / f"settings-{seed}.yaml")
        output = self.folder / "runs" / f"{run}-{seed}"
        return plan_run(settings.pretrain, run, seed, self.store, output)

    def metrics(self) -> pd.DataFrame:
        """All figures of all runs, with the columns run and seed."""
        frames = [
            pd.read_parquet(self.folder / "runs" / f"{run}-{seed}" / "metrics.parquet").assign(
                run=run, seed=seed
            )
            for run, seeds in self.seeds.items()
            for seed in seeds
        ]
        return pd.concat(frames, ignore_index=True)


def write_report(laboratory: Laboratory) -> str:
    """All tables, also written to ``laboratory.md`` in the folder."""
    metrics = laboratory.metrics()
    parts = [
        _circumstances(laboratory),
        "### The noisy labels\n",
        _label_quality(laboratory),
        "### Scores against the truth\n",
        _scores(metrics, laboratory.seeds),
        "### Selection against none\n",
        _differences(metrics),
        "### Do the weights find wrong labels?\n",
        *[_separation(metrics, run, modality) for run in SELECTIVE for modality in ("s1", "s2")],
        "### What the networks say where the label is wrong\n",
        _wrong_labels(laboratory),
    ]
    report = "\n".join(parts)
    write_atomically(laboratory.folder / "laboratory.md", report.encode())
    return report


def insert_into_page(page: Path, report: str) -> None:
    """Replace what stands between the marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(page, f"{before}{BEGIN}\n\n{report}\n{END}{after}".encode())


def _circumstances(laboratory: Laboratory) -> str:
    plan = laboratory.plan("midF", 0)
    run = plan.run
    lines = [
        f"{dt.date.today().isoformat()}, {_processor()}, torch {torch.__version__}, "
        f"code {code_version()}.",
        f"{run.encoder}, {run.epochs} epochs, batch {run.batch_size}, crop {run.crop}, Adam "
        f"{run.learning_rate:g}, ramp {run.selection.ramp_epochs} epochs, ratio "
        f"{run.selection.ratio:g}, patience {run.plateau_patience}, {plan.settings.precision}.",
    ]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (information.read_text().splitlines() if information.exists() else [])
        if line.startswith("model name")
    ]
    return f"{len(names)} × {names[0]}" if names else platform.processor()


def _label_quality(laboratory: Laboratory) -> str:
    """How often each noisy label occurs, and how often it is right, by split."""
    store = open_store(laboratory.store)
    noisy, valid, split = (store[name].to_numpy() for name in ("label", "valid", "split"))
    true = zarr.open_array(laboratory.truth / "label", mode="r")[:]
    header, columns = ["label"], [[row.name for row in load_legend("dynamic_world")] + [ALL]]
    for name in SPLITS:
        chosen = valid & (split == name)
        labels, truth = noisy[chosen].astype(int), true[chosen]
        labelled = labels != UNLABELLED
        given = np.bincount(labels[labelled], minlength=NUM_CLASSES)
        right = np.bincount(labels[labelled & (labels == truth)], minlength=NUM_CLASSES)
        header += [f"{name} ({chosen.sum()} locations): share, %", "right, %"]
        columns.append([*_percent(given / given.sum()), ""])
        columns.append([*_percent(right / given), *_percent([right.sum() / given.sum()])])
    return _table(header, [list(row) for row in zip(*columns, strict=True)])


def _percent(shares: Iterable[float]) -> list[str]:
    return [f"{100 * share:.1f}" for share in shares]


def _scores(metrics: pd.DataFrame, seeds: dict[str, list[int]]) -> str:
    """Clean OA and mIoU of every run and modality, and mIoU against the labels of its own store."""
    rows = []
    for run in seeds:
        for modality in ("s1", "s2"):
            cells = [
                _mean_and_spread(100 * _at_the_end(metrics, run, modality, split, metric))
                for split, metric in (("truth", "oa"), ("truth", "miou"), ("validation", "miou"))
            ]
            if any(cells):
                rows.append([f"`{run}`", modality.upper(), str(len(seeds[run])), *cells])
    return _table(["run", "modality", "seeds", "clean OA", "clean mIoU", "own mIoU"], rows)


def _differences(metrics: pd.DataFrame) -> str:
    """Gain of selection under equal seeds, in percentage points."""
    rows = []
    for selective, plain in PAIRS:
        for modality in ("s1", "s2"):
            cells = [
                _mean_and_spread(
                    100
                    * (
                        _at_the_end(metrics, selective, modality, "truth", metric)
                        - _at_the_end(metrics, plain, modality, "truth", metric)
                    ),
                    sign="+",
                )
                for metric in ("oa", "miou")
            ]
            rows.append([f"`{selective}` − `{plain}`", modality.upper(), *cells])
    return _table(["difference", "modality", "clean OA", "clean mIoU"], rows)


def _at_the_end(
    metrics: pd.DataFrame, run: str, modality: str, split: str, metric: str
) -> pd.Series:
    """Mean over the last epochs, by seed."""
    wanted = {"run": run, "modality": modality, "split": split, "metric": metric, "class": ALL}
    chosen = _where(metrics, wanted)
    chosen = chosen[chosen["epoch"] > metrics["epoch"].max() - LAST_EPOCHS]
    return chosen.groupby("seed")["value"].mean()


def _separation(metrics: pd.DataFrame, run: str, modality: str) -> str:
    """AUROC of the segmentation weights by class and epoch, mean ± std over seeds."""
    chosen = _where(metrics, {"run": run, "modality": modality, "metric": AUROC})
    epochs = np.unique(np.linspace(0, metrics["epoch"].max(), SHOWN_EPOCHS).round().astype(int))
    each_class = chosen[chosen["class"] != ALL]
    averaged = each_class.groupby(["seed", "epoch"], as_index=False)["value"].mean()
    by_label = {ALL: chosen[chosen["class"] == ALL], "mean over labels": averaged}
    for row in load_legend("dynamic_world"):
        by_label[row.name] = chosen[chosen["class"] == row.name]
    rows = [
        [
            name,
            *(
                _mean_and_spread(figures.loc[figures["epoch"] == epoch, "value"], digits=2)
                for epoch in epochs
            ),
        ]
        for name, figures in by_label.items()
    ]
    header = [f"`{run}`, {modality.upper()}", *(f"epoch {epoch + 1}" for epoch in epochs)]
    return _table(header, rows)


def _wrong_labels(laboratory: Laboratory) -> str:
    rows = []
    for run, seeds in laboratory.seeds.items():
        plans = [laboratory.plan(run, seed) for seed in seeds]
        readings = [reading for plan in plans for reading in read_trained_run(plan)]
        for modality in ("s1", "s2"):
            for split in SPLITS:
                here = [r for r in readings if (r.split, r.modality) == (split, modality)]
                if here:
                    rows.append([f"`{run}`", modality.upper(), split, *_reading_cells(here)])
    header = ["run", "modality", "samples", "repeats the wrong label, %", "says the truth, %"]
    header += [f"AUROC of {name}" for name in ("the confidence", "weights", "joint weights")]
    return _table(header, rows)


def _reading_cells(readings: list[Reading]) -> list[str]:
    cells = [
        _mean_and_spread(pd.Series([100 * r.follows_label for r in readings])),
        _mean_and_spread(pd.Series([100 * r.finds_truth for r in readings])),
    ]
    for name in ("confidence", "weights", "joint"):
        cells.append(_mean_and_spread(pd.Series([r.auroc[name] for r in readings]), digits=2))
    return cells


def _where(metrics: pd.DataFrame, wanted: dict[str, str]) -> pd.DataFrame:
    for column, value in wanted.items():
        metrics = metrics[metrics[column] == value]
    return metrics


def _mean_and_spread(values: pd.Series, digits: int = 1, sign: str = "") -> str:
    """Mean ± sample standard deviation; empty without values."""
    values = values.dropna()
    if values.empty:
        return ""
    mean = f"{values.mean():{sign}.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std():.{digits}f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
