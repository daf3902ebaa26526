"""The tables of the paper from our scores: ``python -m training.tables --summary FILE --output T``.

One table a task (Tables II to IV of the paper), or one for a choice of encoders over all tasks (the
ablation, Tables V and VI): encoders down, modes and scores across, mean and standard deviation over
seeds with the bootstrap interval over tiles, best and second best of each modality marked, and the
published values below them. As Markdown, LaTeX and HTML.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from training.scores.rows import METRICS
from training.scores.table import Mark, ScoreCell, ScoreTable, TableRow
from training.scores.text import RENDERERS

MODES = {"frozen": "Frozen", "finetuned": "Fine-tuned"}
METRIC_TITLES = {"oa": "OA", "aa": "AA", "miou": "mIoU", "mf1": "mF1"}
MODALITY_TITLES = {"s1": "Sentinel-1", "s2": "Sentinel-2"}

_SIMULATED = "SIMULATED data: these scores say nothing about real land cover."


def read_published() -> pd.DataFrame:
    """Scores from publications, a row each with the table it stands in (percent)."""
    table = files("training.scores").joinpath("published_scores.csv")
    with table.open(encoding="utf-8") as file:
        return pd.read_csv(file)


def task_table(summary: pd.DataFrame, task: str, published: pd.DataFrame) -> ScoreTable:
    """All encoders on one task (form of Tables II to IV).

    Args:
        summary: Of `training.gather`.
        task: Which one.
        published: Of `read_published`.

    Raises:
        PipelineError: No encoder has been evaluated on the task.
    """
    ours = summary[summary["task"] == task]
    if ours.empty:
        raise PipelineError(f"there is no score on the task {task!r}; run `snakemake evaluate`")
    columns = [(mode, metric) for mode in MODES for metric in METRICS]
    chosen = published[published["task"] == task]
    return ScoreTable(
        title=f"Transfer to {task} (%)",
        label_titles=("Encoder", "Head", "Stages", "Labels", "Seeds"),
        groups=tuple((MODES[mode], len(METRICS)) for mode in MODES),
        columns=tuple(METRIC_TITLES[metric] for _, metric in columns),
        sections=(
            *_modality_sections(ours, columns, _by_mode),
            *_published_sections(chosen, columns),
        ),
        notes=_notes(ours, not chosen.empty),
    )


def ablation_table(
    summary: pd.DataFrame, encoders: Sequence[str], published: pd.DataFrame, metric: str = "miou"
) -> ScoreTable:
    """A choice of encoders on all tasks by one score (form of Tables V and VI).

    Args:
        summary: Of `training.gather`.
        encoders: Which ones; the table names those that were not evaluated.
        published: Of `read_published`.
        metric: Which score.

    Raises:
        PipelineError: None of them has been evaluated.
    """
    ours = summary[summary["encoder"].isin(encoders)]
    if ours.empty:
        raise PipelineError(
            f"there is no score of {', '.join(encoders)}; run `snakemake evaluate` or correct "
            "evaluate.ablation"
        )
    tasks, evaluated = list(dict.fromkeys(ours["task"])), set(ours["encoder"])
    columns = [(task, mode) for task in tasks for mode in MODES]
    chosen = published[(published["metric"] == metric) & published["task"].isin(tasks)]
    return ScoreTable(
        title=f"Ablation: {METRIC_TITLES[metric]} (%)",
        label_titles=("Encoder", "Head", "Stages", "Labels", "Seeds"),
        groups=tuple((task, len(MODES)) for task in tasks),
        columns=tuple(MODES[mode] for _, mode in columns),
        sections=(
            *_modality_sections(ours, columns, lambda rows, c: _cell(_where(rows, *c), metric)),
            *_published_sections(chosen, columns),
        ),
        notes=_notes(ours, not chosen.empty, [name for name in encoders if name not in evaluated]),
    )


def probe_table(rows: pd.DataFrame) -> ScoreTable:
    """Linear probe and nearest neighbours on frozen features.

    Args:
        rows: Of `training.probe`, one per encoder, seed and classifier.
    """
    classifiers = list(dict.fromkeys(rows["classifier"]))
    columns = [(classifier, metric) for classifier in classifiers for metric in ("oa", "mf1")]

    def cell(of_encoder: pd.DataFrame, column: tuple[str, str]) -> ScoreCell:
        values = 100 * of_encoder.loc[of_encoder["classifier"] == column[0], column[1]]
        return ScoreCell(float(values.mean()), float(values.std(ddof=1)))

    sections = []
    for modality, of_modality in rows.groupby("modality", sort=True):
        lines = [
            TableRow(
                (str(encoder), str(group["seed"].nunique())), tuple(cell(group, c) for c in columns)
            )
            for encoder, group in of_modality.groupby("encoder", sort=False)
        ]
        sections.append((MODALITY_TITLES[str(modality)], _marked(lines, [""] * len(lines))))
    first = rows.iloc[0]
    facts = (
        f"{first['train_tiles']} tiles to fit on, {first['test_tiles']} scored; guessing among "
        f"{first['classes']} classes gets {100 / first['classes']:.0f} %. Only random weights have "
        "seeds."
    )
    task = ", ".join(dict.fromkeys(rows["task"]))
    return ScoreTable(
        title=f"Frozen features on {task} (%)",
        label_titles=("Encoder", "Seeds"),
        groups=tuple((classifier, 2) for classifier in classifiers),
        columns=tuple(METRIC_TITLES[metric] for _, metric in columns),
        sections=tuple(sections),
        notes=(*((_SIMULATED,) if bool(rows["simulated"].any()) else ()), facts),
    )


def _by_mode(rows: pd.DataFrame, column: tuple[str, str]) -> ScoreCell:
    mode, metric = column
    return _cell(rows[rows["mode"] == mode], metric)


def _where(rows: pd.DataFrame, task: str, mode: str) -> pd.DataFrame:
    return rows[(rows["task"] == task) & (rows["mode"] == mode)]


def _modality_sections(
    ours: pd.DataFrame, columns: list[tuple[str, str]], cell_of: Any
) -> list[tuple[str, tuple[TableRow, ...]]]:
    sections = []
    for modality, of_modality in ours.groupby("modality", sort=True):
        keys = of_modality.drop_duplicates(["encoder", "label_fraction"])
        rows = []
        for encoder, fraction in zip(keys["encoder"], keys["label_fraction"], strict=True):
            chosen = of_modality[
                (of_modality["encoder"] == encoder) & (of_modality["label_fraction"] == fraction)
            ]
            cells = tuple(cell_of(chosen, column) for column in columns)
            rows.append(TableRow(_labels(chosen, str(encoder), float(fraction)), cells))
        shares = keys["label_fraction"].tolist()
        sections.append((MODALITY_TITLES[str(modality)], _marked(rows, shares)))
    return sections


def _labels(rows: pd.DataFrame, encoder: str, fraction: float) -> tuple[str, ...]:
    heads = "/".join(dict.fromkeys(str(head) for head in rows["head"]))
    depths = "/".join(dict.fromkeys(f"{int(depth)} of 5" for depth in rows["encoder_depth"]))
    seeds = "/".join(dict.fromkeys(str(int(count)) for count in rows["seeds"]))
    return encoder, heads, depths, _percent(fraction), seeds


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _cell(rows: pd.DataFrame, metric: str) -> ScoreCell:
    if rows.empty:
        return ScoreCell()
    row = rows.iloc[0]
    mean, std, low, high = (
        100 * float(row[f"{metric}_{part}"]) for part in ("mean", "std", "low", "high")
    )
    return ScoreCell(mean, std, low, high)


def _marked(rows: Sequence[TableRow], classes: Sequence[object]) -> tuple[TableRow, ...]:
    """Mark the best and second best different value of every column; NaN never is.

    Args:
        rows: Of one part of a table.
        classes: Of each row; it is ranked among the rows of its class.
    """
    marked = []
    for row, its_class in zip(rows, classes, strict=True):
        rivals = [one for one, other in zip(rows, classes, strict=True) if other == its_class]
        cells = tuple(
            replace(cell, mark=_mark(cell, [rival.cells[column] for rival in rivals]))
            for column, cell in enumerate(row.cells)
        )
        marked.append(TableRow(row.labels, cells))
    return tuple(marked)


def _mark(cell: ScoreCell, rivals: Sequence[ScoreCell]) -> Mark:
    """The place of a score as it is shown, among all scores of its column."""
    shown = {round(rival.mean, 2) for rival in rivals if not np.isnan(rival.mean)}
    places: list[Mark] = ["best", "second"]
    ranked = dict(zip(sorted(shown, reverse=True), places, strict=False))
    return ranked.get(round(cell.mean, 2), "")


def _published_sections(
    published: pd.DataFrame, columns: list[tuple[str, str]]
) -> list[tuple[str, tuple[TableRow, ...]]]:
    """One row per encoder, share of labels and table of a publication; not ranked with ours."""
    rows = []
    key = ["encoder", "modality", "bands", "label_fraction", "table"]
    for (encoder, modality, bands, share, table), group in published.groupby(key, sort=False):
        values = {}
        for row in group.itertuples():
            for place in ((row.mode, row.metric), (row.task, row.mode)):
                values[place] = ScoreCell(mean=float(cast(float, row.percent)))
        cells = tuple(values.get(column, ScoreCell()) for column in columns)
        name = f"{encoder}, {MODALITY_TITLES[str(modality)]}, {bands} bands"
        rows.append(
            TableRow((name, "", "", _percent(float(cast(float, share))), str(table)), cells)
        )
    return [("Published", tuple(rows))] if rows else []


def _notes(ours: pd.DataFrame, beside: bool, missing: Sequence[str] = ()) -> tuple[str, ...]:
    """Lines below a table.

    Args:
        ours: Its scores.
        beside: Whether published values stand in it.
        missing: Encoders that were wanted and not evaluated.
    """
    tiles = ", ".join(
        f"{task}: {int(count)}" for task, count in ours.groupby("task")["test_tiles"].max().items()
    )
    notes = [_SIMULATED] if bool(ours.get("simulated", pd.Series([False])).any()) else []
    notes += [
        "Mean ± standard deviation over seeds, in brackets the 95 % bootstrap interval over test "
        f"tiles. Every test tile is scored once ({tiles}).",
        "Best and second best of each modality and share of the labels are marked.",
    ]
    if beside:
        notes.append(
            "Published values come from other test data and are not ranked with ours; the last "
            "label names their table."
        )
    if missing:
        notes.append(f"Not evaluated: {', '.join(missing)}.")
    return tuple(notes)


def _score_tables(summary: pd.DataFrame, ablation: Sequence[str] | None) -> list[ScoreTable]:
    """One for each task, or for each score over all tasks."""
    published = read_published()
    if ablation:
        return [ablation_table(summary, ablation, published, metric) for metric in METRICS]
    return [task_table(summary, task, published) for task in dict.fromkeys(summary["task"])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.tables``."""
    parser = argparse.ArgumentParser(prog="python -m training.tables", description=__doc__)
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument("--summary", type=Path, help="summary.parquet: a table of each task")
    rows.add_argument("--probes", type=Path, nargs="+", help="rows of probes: one table of them")
    parser.add_argument("--output", type=Path, required=True, help="table, without its suffix")
    parser.add_argument("--ablation", nargs="+", help="encoders of one table over all tasks")
    options = parser.parse_args(arguments)
    if options.probes:
        probes = [pd.read_parquet(path) for path in options.probes]
        tables = [probe_table(pd.concat(probes, ignore_index=True))]
    else:
        tables = _score_tables(pd.read_parquet(options.summary), options.ablation)
    for suffix, render in RENDERERS.items():
        write_atomically(options.output.with_suffix(suffix), render(tables).encode())
    print(f"{len(tables)} tables in {options.output}{{{','.join(RENDERERS)}}}", flush=True)


if __name__ == "__main__":
    run_step(main)
