"""All planned rows in one table: ``python -m training.gather --settings FILE --rows FOLDER ...``.

Writes ``scores.parquet`` and ``scores.csv`` (one row an evaluation) and ``summary.parquet`` (one
row for all seeds of an evaluation: mean, standard deviation and bootstrap interval).
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.progress import told
from pipeline.settings.evaluate import EvaluationKey
from pipeline.settings.tree import load_settings, short_hash
from training.scores.bootstrap import bootstrap_intervals
from training.scores.rows import METRICS, ScoreRow, read_row

SUMMARY_KEY = ("task", "encoder", "mode", "label_fraction")
"""What the seeds of one evaluation share."""

_SHARED_FACTS = ("modality", "head", "encoder_depth", "simulated")

_ALIKE = ("store_hash", "weights_sha256")
"""Facts in which seeds may not differ."""


def gather(
    folder: Path, planned: Mapping[EvaluationKey, str], replicates: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read rows; at most those of one evaluation are in memory with their tiles.

    Args:
        folder: Of the rows.
        planned: Hash of the settings that decide each row.
        replicates: Draws behind each interval.

    Returns:
        One row per evaluation, and one row for all seeds of each, as planned.

    Raises:
        PipelineError: A row is missing, is none, is of another evaluation or of other settings, or
            seeds were scored on different tiles.
    """
    missing = [folder / key.path for key in planned if not (folder / key.path).is_file()]
    if missing or not planned:
        example = f", such as {missing[0]}" if missing else ""
        raise PipelineError(
            f"{len(missing)} of {len(planned)} rows of scores are missing{example}; "
            "run `snakemake evaluate` first"
        )
    evaluations: dict[EvaluationKey, list[EvaluationKey]] = {}
    for key in planned:
        evaluations.setdefault(key._replace(seed=0), []).append(key)
    rows: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    for keys in told(evaluations.values(), "gathering", len(evaluations)):
        group = [_planned_row(folder / key.path, key, planned[key]) for key in keys]
        rows += [row.columns for row in group]
        summary.append(summarise(group, replicates))
    return pd.DataFrame(rows), pd.DataFrame(summary)


def summarise(rows: Sequence[ScoreRow], replicates: int) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds, interval over tiles of each score.

    Raises:
        PipelineError: The rows are not of the same tiles, store and weights.
    """
    first = rows[0]
    for row in rows[1:]:
        _require_alike(first, row)
    values: dict[str, Any] = {name: getattr(first.key, name) for name in SUMMARY_KEY}
    values |= {name: first.facts[name] for name in _SHARED_FACTS if name in first.facts}
    values |= {"seeds": len(rows), "test_tiles": len(first.tiles)}
    intervals = bootstrap_intervals([row.counts_TCC for row in rows], replicates)
    for metric in METRICS:
        scores = np.array([row.columns[metric] for row in rows])
        values[f"{metric}_mean"] = float(scores.mean())
        values[f"{metric}_std"] = float(scores.std(ddof=1)) if len(scores) > 1 else float("nan")
        values[f"{metric}_low"], values[f"{metric}_high"] = intervals[metric]
    return values


def write_scores(scores: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet and, beside it, as CSV."""
    content = io.BytesIO()
    scores.to_parquet(content, index=False)
    write_atomically(path.with_suffix(".csv"), scores.to_csv(index=False).encode())
    write_atomically(path, content.getvalue())


def _planned_row(path: Path, key: EvaluationKey, settings_hash: str) -> ScoreRow:
    row = read_row(path)
    again = "remove it, and the evaluation runs again"
    if row.key.path != key.path:
        raise PipelineError(f"{path} holds the row {row.key.path}; {again}")
    if row.facts.get("settings_hash") != settings_hash:
        raise PipelineError(f"{path} was made with other settings than these; {again}")
    return row


def _require_alike(first: ScoreRow, row: ScoreRow) -> None:
    differing = [fact for fact in _ALIKE if row.facts.get(fact) != first.facts.get(fact)]
    if not np.array_equal(row.tiles, first.tiles) or row.classes != first.classes:
        differing.append("tiles")
    if differing:
        raise PipelineError(
            f"{first.key.task}, {first.key.encoder}, {first.key.mode}: seeds {first.key.seed} and "
            f"{row.key.seed} differ in {' and '.join(differing)}; remove the older of the two rows"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.gather``."""
    parser = argparse.ArgumentParser(prog="python -m training.gather", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--rows", type=Path, required=True, help="folder of the rows")
    parser.add_argument("--output", type=Path, required=True, help="scores.parquet")
    parser.add_argument("--summary", type=Path, required=True, help="summary.parquet")
    options = parser.parse_args(arguments)
    settings = load_settings(options.settings).evaluate
    planned = {
        key: short_hash(settings.defining(key.task, key.encoder)) for key in settings.planned()
    }
    scores, summary = gather(options.rows, planned, settings.bootstrap_replicates)
    write_scores(scores, options.output)
    write_scores(summary, options.summary)
    print(f"{len(scores)} rows of {len(summary)} evaluations in {options.output}", flush=True)


if __name__ == "__main__":
    run_step(main)
