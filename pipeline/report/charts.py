"""The charts of the report, narrow enough to be read on a phone; each a Matplotlib figure.

Each says its unit and n, how many things it counts, as it is also a file of its own. Colour never
says anything alone: classes have their share written on them, warnings a mark of another shape.
Figures are made without pyplot, which keeps state that threads and tests would share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from pipeline.label_classes import LabelClass
from pipeline.osm_landuse.agreement import load_crosswalk
from pipeline.report.acquisitions import Acquisitions, Histogram
from pipeline.report.agreement import OsmAgreement, Persistence, SeasonPair
from pipeline.report.bands import SHIFT_LIMIT, BandComparison
from pipeline.report.counts import ClassDistribution

INK = "#1f2933"
QUIET = "#5c6975"
RULE = "#d9dee4"
ACCENT = "#0072b2"
WARNING = "#d55e00"
WARNING_INK = "#a33b00"
"""The same dark enough for small print: 6.6 to 1 on white."""

SEASON_COLORS = ("#56b4e9", "#009e73", "#e69f00", "#cc79a7")
"""Okabe and Ito's colours, told apart by colour-blind readers. Source: jfly.uni-koeln.de/color."""

_WIDTH = 4.0
"""Inches: about a phone's width at the size of the page's small print."""

_WRITTEN_SHARE = 0.07
"""Least share of a class with room for a number on its bar."""

_NOTE: dict[str, Any] = {"color": QUIET, "fontsize": 7}
"""Of the small print in a chart."""

_MONTHS = "JFMAMJJASOND"


def class_chart(distributions: Sequence[ClassDistribution]) -> Figure:
    """Shares of the classes among labelled pixels, a bar a part of the store, legend's colours."""
    figure, axes = _figure(0.95 + 0.30 * len(distributions))
    for row, part in enumerate(distributions):
        left = 0.0
        for land_cover in part.classes:
            share = part.share(land_cover.id)
            axes.barh(
                row,
                share,
                left=left,
                color=land_cover.color,
                height=0.76,
                edgecolor="white",
                lw=0.5,
            )
            if share >= _WRITTEN_SHARE:
                ink = _ink_on(land_cover.color)
                text = f"{100 * share:.0f}"
                axes.text(
                    left + share / 2, row, text, ha="center", va="center", color=ink, fontsize=7
                )
            left += share
        axes.text(1.015, row, f"n = {short_count(part.labelled)}", va="center", **_NOTE)
    axes.set_yticks(range(len(distributions)), [part_name(part) for part in distributions])
    axes.set_ylim(len(distributions) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    _percent(axes)
    axes.set_xlabel("share of the labelled pixels (%); n: labelled pixels")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def part_name(part: ClassDistribution) -> str:
    """Split and season of a distribution, for an axis or a table."""
    return part.split if part.season is None else f"{part.split}, season {part.season}"


def short_count(count: int) -> str:
    """A large number in three digits: 950, 12.3 k, 4.56 M."""
    if count < 1000:
        return str(count)
    for unit in ("k", "M", "G", "T"):
        count_in_unit = count / 1000 ** ("kMGT".index(unit) + 1)
        if count_in_unit < 999.5:
            break
    digits = 2 if count_in_unit < 10 else 1 if count_in_unit < 100 else 0
    return f"{count_in_unit:.{digits}f} {unit}"


def band_chart(bands: Sequence[BandComparison]) -> Figure:
    """Difference of each band's mean from the published one, in published standard deviations."""
    figure, axes = _figure(3.2)
    rows = np.arange(len(bands))
    shifts = [band.shift for band in bands]
    colors = [WARNING if band.warning else ACCENT for band in bands]
    axes.axvspan(-SHIFT_LIMIT, SHIFT_LIMIT, color="#eef3f7", zorder=0)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.hlines(rows, 0, shifts, color=colors, linewidth=1.4)
    for marker, marked in (("o", False), ("D", True)):
        some = [row for row, band in enumerate(bands) if bool(band.warning) is marked]
        color = WARNING if marked else ACCENT
        axes.scatter(
            [shifts[row] for row in some], some, color=color, marker=marker, s=26, zorder=3
        )
    axes.set_yticks(rows, [band.band for band in bands])
    axes.invert_yaxis()
    reach = max(1.0, 1.15 * max(abs(shift) for shift in shifts))
    axes.set_xlim(-reach, reach)
    fewest, most = (short_count(pick(band.count for band in bands)) for pick in (min, max))
    axes.set_xlabel(
        "difference of the mean (published standard deviations)\n"
        f"n = {fewest} to {most} pixels a band"
    )
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
    axes.set_xlabel(f"month, all years together; n = {scenes.scenes:,} scenes")
    axes.set_ylabel("scenes")
    _whole_numbers(axes)
    if seasonal:
        axes.set_ylim(0, bottom.max() * 1.28)
        axes.legend(frameon=False, ncols=4, fontsize=7, loc="upper center", columnspacing=1.0)
    return figure


def gap_chart(scenes: Acquisitions) -> Figure:
    """Days from the Sentinel-2 scene to the Sentinel-1 scene."""
    figure, axes = _figure(2.3)
    _bars(axes, scenes.gap_days, ACCENT)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    axes.set_xlabel(
        f"days from Sentinel-2 to Sentinel-1; n = {sum(scenes.gap_days.counts):,} pairs"
    )
    axes.set_ylabel("pairs a day")
    _whole_numbers(axes)
    return figure


def cloud_chart(scenes: Acquisitions) -> Figure:
    """Cloud cover of the Sentinel-2 scenes."""
    figure, axes = _figure(2.3)
    _bars(axes, scenes.cloud, QUIET)
    axes.set_xlabel(f"cloud cover of the scene (%); n = {sum(scenes.cloud.counts):,} scenes")
    axes.set_ylabel("scenes")
    _whole_numbers(axes)
    return figure


def season_chart(pairs: Sequence[SeasonPair]) -> Figure:
    """Share of pixels that have the same class in two seasons."""
    figure, axes = _figure(3.0)
    table = np.full((4, 4), np.nan)
    for pair in pairs:
        first, second = pair.seasons
        table[first, second] = table[second, first] = pair.share
    picture = axes.imshow(table, cmap="viridis", vmin=0, vmax=1)
    _write_values(axes, table, "{:.0f} %")
    names = [f"season {season}" for season in range(4)]
    axes.set_xticks(range(4), names, fontsize=7.5)
    axes.set_yticks(range(4), names)
    joint = sorted(pair.joint for pair in pairs)
    axes.set_xlabel(
        f"n = {short_count(joint[0])} to {short_count(joint[-1])} pixels labelled in both seasons"
    )
    _bare(axes)
    bar = figure.colorbar(picture, ax=axes, shrink=0.85, format=lambda share, _: f"{share:.0%}")
    bar.set_label("pixels of the same class", color=QUIET, fontsize=8.5)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    return figure


def persistence_chart(
    persistence: Mapping[int, Persistence], classes: Sequence[LabelClass]
) -> Figure:
    """How often a class comes back in another season, in the legend's colours."""
    figure, axes = _figure(3.2)
    rows = [row for row in classes if row.id in persistence]
    found = [persistence[row.id] for row in rows]
    shares = [one.share for one in found]
    axes.barh(range(len(rows)), shares, color=[row.color for row in rows], height=0.72)
    for position, one in enumerate(found):
        text = f"{one.share:.0%}, n = {short_count(one.pixels)}"
        axes.text(one.share + 0.015, position, text, va="center", **_NOTE)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.42)
    _percent(axes)
    axes.set_xlabel(
        "same class in another season (% of pixels);\nn: pixels of the class, every pair"
    )
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
        color=WARNING_INK,
        fontsize=8,
        va="top",
        ha="right",
    )
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of pixels labelled in both that agree; n = {osm.tiles:,} tiles")
    axes.set_ylabel("tiles")
    _whole_numbers(axes)
    return figure


def confusion_chart(
    osm: OsmAgreement, rows: Sequence[LabelClass], columns: Sequence[LabelClass]
) -> Figure:
    """Dynamic World class by OSM class, each row as shares; admissible pairs are framed."""
    figure, axes = _figure(4.9)
    totals = osm.confusion.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, osm.confusion / np.maximum(totals, 1), np.nan)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _write_values(axes, np.where(shares >= 0.005, shares, np.nan), "{:.0f}", size=6.5)
    for row, column in zip(*np.nonzero(load_crosswalk()), strict=True):
        frame = Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fill=False, edgecolor=WARNING)
        axes.add_patch(frame)
    axes.set_yticks(range(len(rows)), [_shortened(row.name) for row in rows], fontsize=7.5)
    labels = [_shortened(row.name) for row in columns]
    axes.set_xticks(range(len(columns)), labels, rotation=60, ha="right", fontsize=7.5)
    for row, total in enumerate(totals[:, 0]):
        axes.text(len(columns) - 0.35, row, f"n = {short_count(int(total))}", va="center", **_NOTE)
    _bare(axes)
    figure.supxlabel("Dynamic World class, % of the row; n: pixels of the row", **_NOTE)
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
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])


def _whole_numbers(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _ink_on(color: str) -> str:
    """Black or white, whichever stands out more from a colour (WCAG 2.2, relative luminance)."""
    channels = np.array(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write_values(axes: Axes, table: Any, form: str, size: float = 9) -> None:
    """The share of each cell, in percent, in ink that stands out against the cell."""
    colors = axes.images[0].get_cmap()
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            ink, text = _ink_on(to_hex(colors(float(value)))), form.format(100 * value)
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)


def _shortened(name: str, length: int = 24) -> str:
    return name if len(name) <= length else name[: length - 1].rstrip(" ,") + "…"
