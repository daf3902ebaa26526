"""The charts of the report, narrow enough to be read on a phone; each a Matplotlib figure.

Figures are made without pyplot, which keeps state that threads and tests would share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.label_classes import LabelClass
from pipeline.osm_landuse.agreement import load_crosswalk
from pipeline.report.acquisitions import Acquisitions, Histogram
from pipeline.report.agreement import OsmAgreement, SeasonPair
from pipeline.report.bands import SHIFT_LIMIT, BandComparison
from pipeline.report.counts import ClassDistribution

INK = "#1f2933"
QUIET = "#7b8794"
RULE = "#d9dee4"
ACCENT = "#0072b2"
WARNING = "#d55e00"
SEASON_COLORS = ("#56b4e9", "#009e73", "#e69f00", "#cc79a7")
"""Okabe and Ito's colours, told apart by colour-blind readers. Source: jfly.uni-koeln.de/color."""

_WIDTH = 4.6
"""Inches: about a phone's width at the size of the page's small print."""

_MONTHS = "JFMAMJJASOND"


def class_chart(distributions: Sequence[ClassDistribution]) -> Figure:
    """Shares of the classes among labelled pixels, a bar a part of the store, legend's colours."""
    figure, axes = _figure(0.75 + 0.30 * len(distributions))
    for row, part in enumerate(distributions):
        left = 0.0
        for land_cover in part.classes:
            share = part.share(land_cover.id)
            axes.barh(row, share, left=left, color=land_cover.color, height=0.72)
            left += share
    axes.set_yticks(range(len(distributions)), [part_name(part) for part in distributions])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    _percent(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def part_name(part: ClassDistribution) -> str:
    """Split and season of a distribution, for an axis or a table."""
    return part.split if part.season is None else f"{part.split}, season {part.season}"


def band_chart(bands: Sequence[BandComparison]) -> Figure:
    """Difference of each band's mean from the published one, in published standard deviations."""
    figure, axes = _figure(3.2)
    rows = np.arange(len(bands))
    shifts = [band.shift for band in bands]
    colors = [WARNING if band.warning else ACCENT for band in bands]
    axes.axvspan(-SHIFT_LIMIT, SHIFT_LIMIT, color="#eef3f7", zorder=0)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.hlines(rows, 0, shifts, color=colors, linewidth=1.4)
    axes.scatter(shifts, rows, color=colors, s=26, zorder=3)
    axes.set_yticks(rows, [band.band for band in bands])
    axes.invert_yaxis()
    reach = max(1.0, 1.15 * max(abs(shift) for shift in shifts))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("difference of the mean (published standard deviations)")
    return figure


def month_chart(scenes: Acquisitions) -> Figure:
    """Sentinel-2 scenes by month, seasons stacked."""
    figure, axes = _figure(2.3)
    bottom = np.zeros(12)
    seasonal = len(scenes.months) > 1
    for season, counts in enumerate(scenes.months):
        color = SEASON_COLORS[season % 4] if seasonal else ACCENT
        label = f"season {season}" if seasonal else None
        axes.bar(range(12), counts, bottom=bottom, color=color, width=0.8, label=label)
        bottom += np.array(counts)
    axes.set_xticks(range(12), list(_MONTHS))
    axes.set_ylabel("scenes")
    if seasonal:
        axes.set_ylim(0, bottom.max() * 1.28)
        axes.legend(frameon=False, ncols=4, fontsize=7, loc="upper center", columnspacing=1.0)
    return figure


def gap_chart(scenes: Acquisitions) -> Figure:
    """Days from the Sentinel-2 scene to the Sentinel-1 scene."""
    figure, axes = _figure(2.3)
    _bars(axes, scenes.gap_days, ACCENT)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    axes.set_xlabel("days from Sentinel-2 to Sentinel-1")
    axes.set_ylabel("pairs")
    return figure


def cloud_chart(scenes: Acquisitions) -> Figure:
    """Cloud cover of the Sentinel-2 scenes."""
    figure, axes = _figure(2.3)
    _bars(axes, scenes.cloud, QUIET)
    axes.set_xlabel("cloud cover of the scene (%)")
    axes.set_ylabel("scenes")
    return figure


def season_chart(pairs: Sequence[SeasonPair]) -> Figure:
    """Share of pixels that have the same class in two seasons."""
    figure, axes = _figure(3.0)
    table = np.full((4, 4), np.nan)
    for pair in pairs:
        first, second = pair.seasons
        table[first, second] = table[second, first] = pair.share
    picture = axes.imshow(table, cmap="viridis", vmin=0, vmax=1)
    _write_values(axes, table, "{:.0%}")
    names = [f"season {season}" for season in range(4)]
    axes.set_xticks(range(4), names)
    axes.set_yticks(range(4), names)
    _bare(axes)
    figure.colorbar(picture, ax=axes, shrink=0.85, format=lambda share, _: f"{share:.0%}")
    return figure


def persistence_chart(persistence: Mapping[int, float], classes: Sequence[LabelClass]) -> Figure:
    """How often a class comes back in another season, in the legend's colours."""
    figure, axes = _figure(3.0)
    rows = [row for row in classes if row.id in persistence]
    shares = [persistence[row.id] for row in rows]
    axes.barh(range(len(rows)), shares, color=[row.color for row in rows], height=0.72)
    for position, share in enumerate(shares):
        axes.text(share + 0.015, position, f"{share:.0%}", va="center", color=QUIET, fontsize=8)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    _percent(axes)
    return figure


def osm_histogram(osm: OsmAgreement) -> Figure:
    """Tiles by agreement of OSM land use with Dynamic World; the threshold as a line."""
    figure, axes = _figure(2.5)
    _bars(axes, osm.histogram, ACCENT)
    axes.axvline(osm.threshold, color=WARNING, linewidth=1.2)
    axes.annotate(
        "kept from here on →",
        (osm.threshold, 0.97),
        (-4, 0),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        color=WARNING,
        fontsize=8,
        va="top",
        ha="right",
    )
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of pixels labelled in both that agree")
    axes.set_ylabel("tiles")
    return figure


def confusion_chart(
    osm: OsmAgreement, rows: Sequence[LabelClass], columns: Sequence[LabelClass]
) -> Figure:
    """Dynamic World class by OSM class, each row as shares; admissible pairs are framed."""
    figure, axes = _figure(4.9)
    totals = osm.confusion.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, osm.confusion / np.maximum(totals, 1), np.nan)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _write_values(axes, np.where(shares >= 0.005, shares, np.nan), "{:.0%}", size=7)
    for row, column in zip(*np.nonzero(load_crosswalk()), strict=True):
        frame = Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fill=False, edgecolor=WARNING)
        axes.add_patch(frame)
    names = [_shortened(row.name) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7.5)
    labels = [_shortened(row.name) for row in columns]
    axes.set_xticks(range(len(columns)), labels, rotation=60, ha="right", fontsize=7.5)
    _bare(axes)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(RULE)
    axes.tick_params(colors=INK, labelsize=8, length=3, color=RULE)
    axes.xaxis.label.set(color=QUIET, fontsize=8.5)
    axes.yaxis.label.set(color=QUIET, fontsize=8.5)
    return figure, axes


def _bars(axes: Axes, histogram: Histogram, color: str) -> None:
    widths = np.diff(histogram.edges)
    axes.bar(histogram.edges[:-1], histogram.counts, widths * 0.92, align="edge", color=color)


def _percent(axes: Axes) -> None:
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write_values(axes: Axes, table: Any, form: str, size: float = 9) -> None:
    """The value of each cell in ink that stands out against the cell."""
    light_is_high = axes.images[0].get_cmap().name == "viridis"
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            white = (value < 0.6) == light_is_high
            color = "white" if white else INK
            text = form.format(value)
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)


def _shortened(name: str, length: int = 24) -> str:
    return name if len(name) <= length else name[: length - 1].rstrip(" ,") + "…"
