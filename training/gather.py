"""All planned rows in one table: ``python -m training.gather --settings FILE --rows FOLDER ...``.

Writes ``scores.parquet`` and ``scores.csv`` (one row an evaluation) and ``summary.parquet`` (one
row for all seeds of an evaluation: mean, standard deviation and bootstrap interval).
"""

import argparse
import io
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.settings.tree import load_settings
from training.scores.bootstrap import bootstrap_intervals
from training.scores.rows import METRICS, ScoreRow, read_row

SUMMARY_KEY = ("task", "encoder", "mode", "label_fraction")
"""What the seeds of one evaluation share."""

_SHARED_FACTS = ("modality", "head", "encoder_depth", "encoder_stages", "simulated")


def gather(paths: Iterable[Path], replicates: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read rows; at most those of one evaluation are in memory with their tiles.

    Args:
        paths: Files of rows.
        replicates: Draws behind each interval.

    Returns:
        One row per evaluation, and one row for all seeds of each, in the order of the files.

    Raises:
        PipelineError: There is no row, a file is none, or seeds were scored on different tiles.
    """
    located = [(_group_of(path), path) for path in paths]
    order = list(dict.fromkeys(group for group, _ in located))
    located.sort(key=lambda item: order.index(item[0]))
    missing = [path for _, path in located if not path.is_file()]
    if missing or not located:
        example = f", such as {missing[0]}" if missing else ""
        raise PipelineError(
            f"{len(missing)} of {len(located)} rows of scores are missing{example}; "
            "run `snakemake evaluate` first"
        )
    rows: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    for _, members in groupby(located, key=lambda item: item[0]):
        group = [read_row(path) for _, path in members]
        rows += [row.columns for row in group]
        summary.append(summarise(group, replicates))
    return pd.DataFrame(rows), pd.DataFrame(summary)


def summarise(rows: Sequence[ScoreRow], replicates: int) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds, interval over tiles of each score.

    Raises:
        PipelineError: The rows are not of the same tiles.
    """
    first = rows[0]
    for row in rows[1:]:
        if not np.array_equal(row.tiles, first.tiles) or row.classes != first.classes:
            raise PipelineError(
                f"{first.key.task}, {first.key.encoder}: seeds {first.key.seed} and "
                f"{row.key.seed} were scored on different tiles; remove the older of the two rows"
            )
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


def _group_of(path: Path) -> str:
    """Rows of the same evaluation differ in the seed alone, the last part of their names."""
    return path.with_name(path.stem.rpartition("_")[0]).as_posix()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.gather``."""
    parser = argparse.ArgumentParser(prog="python -m training.gather", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--rows", type=Path, required=True, help="folder of the rows")
    parser.add_argument("--output", type=Path, required=True, help="scores.parquet")
    parser.add_argument("--summary", type=Path, required=True, help="summary.parquet")
    options = parser.parse_args(arguments)
    settings = load_settings(options.settings).evaluate
    paths = [options.rows / key.path for key in settings.planned()]
    scores, summary = gather(paths, settings.bootstrap_replicates)
    write_scores(scores, options.output)
    write_scores(summary, options.summary)
    print(f"{len(scores)} rows of {len(summary)} evaluations in {options.output}", flush=True)


if __name__ == "__main__":
    run_step(main)
