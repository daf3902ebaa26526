"""Draws the figures of the paper from stores: ``python -m pipeline.figures results/demo/nol.zarr``.

Figure 1 is drawn of a store of four seasons: where its samples lie, the seasons of three places,
the shares of its classes. Figure 2 is drawn of stores of tiles, side by side: where the tiles lie,
the classes of training and test tiles, two examples. Source: captions of Figs. 1 and 2,
https://github.com/zhu-xlab/CromSS.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure, SubFigure

from pipeline.errors import PipelineError, run_step
from pipeline.figures.parts import draw_examples, draw_places, draw_seasons, draw_shares
from pipeline.figures.subject import Subject, open_subject
from pipeline.report.charts import INK
from pipeline.report.pictures import save_chart

SEASONAL_EXAMPLES = 3
TILE_EXAMPLES = 2


def figure_one(subject: Subject) -> Figure:
    """Places (left), four seasons at three places (middle), class shares (right)."""
    figure = Figure(figsize=(13.2, 4.25), layout="constrained")
    parts = figure.subfigures(1, 3, squeeze=False, width_ratios=[1.0, 2.75, 1.05])
    left, middle, right = parts[0]
    _title(left, f"{len(subject.places()[0]):,} samples")
    draw_places(left, *subject.places())
    _title(middle, "four seasons at three places")
    draw_seasons(middle, subject.examples(SEASONAL_EXAMPLES))
    _title(right, "share of labelled pixels")
    if subject.legend:
        draw_shares(right.subplots(), subject.legend, subject.counts)
    return figure


def figure_two(subjects: Sequence[Subject]) -> Figure:
    """A column a store: places, classes of training and test tiles, two examples."""
    figure = Figure(figsize=(5.4 * len(subjects), 9.4), layout="constrained")
    columns = figure.subfigures(1, len(subjects), squeeze=False, wspace=0.04)[0]
    for column, subject in zip(columns, subjects, strict=True):
        rows = column.subfigures(3, 1, squeeze=False, height_ratios=[1.0, 1.05, 1.25])
        top, middle, bottom = rows[:, 0]
        _title(top, f"{subject.name}: {len(subject.places()[0]):,} tiles")
        draw_places(top, *subject.places())
        if subject.legend:
            draw_shares(middle.subplots(), subject.legend, subject.counts)
        draw_examples(bottom, subject.examples(TILE_EXAMPLES))
    return figure


def _title(part: SubFigure, text: str) -> None:
    part.suptitle(text, fontsize=9, color=INK, weight="bold")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.figures")
    parser.add_argument("stores", type=Path, nargs="+", help="e.g. nol.zarr, or dw.zarr osm.zarr")
    parser.add_argument("--output", type=Path, help="folder; default: figures beside the store")
    options = parser.parse_args(arguments)
    subjects = [open_subject(path) for path in options.stores]
    for subject in subjects:
        if not len(subject.places()[0]):
            raise PipelineError(f"{subject.path} holds no complete sample yet; build it first")
    folder = options.output or options.stores[0].parent / "figures"
    drawings = {
        f"figure1_{subject.name}": (figure_one(subject), subject.simulated)
        for subject in subjects
        if subject.seasonal
    }
    tiles = [subject for subject in subjects if not subject.seasonal]
    if tiles:
        name = "_".join(["figure2", *(subject.name for subject in tiles)])
        drawings[name] = figure_two(tiles), any(subject.simulated for subject in tiles)
    for name, (figure, simulated) in drawings.items():
        for file in save_chart(figure, folder, name, simulated).files:
            print(f"figure {folder / file}")


if __name__ == "__main__":
    run_step(main)
