"""The parts that the figures are put together from: maps, class shares, examples."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from pipeline.gallery import Picture as Pixels
from pipeline.gallery import (
    backscatter,
    date_title,
    label_map,
    natural_colour,
    place_text,
    sample_dates,
)
from pipeline.label_classes import LabelClass
from pipeline.locations.land import is_land
from pipeline.report.charts import ACCENT, INK, QUIET, RULE, WARNING

_LAND = np.array([(238, 243, 247), (216, 212, 203)], np.uint8)
_WORLD = (-180.0, 180.0, -60.0, 80.0)
_REGION_DEGREES = 20.0
"""Places closer together than this get a map of their own beside the world's."""

_EXAMPLE_PIXELS = 192
_HATCH = "////"


def draw_places(part: SubFigure, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
    """Places on a map of the world; if they lie close together, on one of their region too."""
    known = np.isfinite(lon) & np.isfinite(lat)
    lon, lat = lon[known], lat[known]
    if not lon.size:
        axes = part.subplots()
        _draw_land(axes, _WORLD)
        return
    regional = max(np.ptp(lon), np.ptp(lat)) < _REGION_DEGREES
    if not regional:
        axes = part.subplots()
        _draw_land(axes, _WORLD)
        _draw_points(axes, lon, lat)
        return
    world, region = part.subplots(2, 1, height_ratios=[1, 2.1])
    _draw_land(world, _WORLD)
    world.plot(lon.mean(), lat.mean(), "s", color=WARNING, markersize=5, fillstyle="none")
    margin = max(0.15 * float(max(np.ptp(lon), np.ptp(lat))), 0.1)
    window = (lon.min() - margin, lon.max() + margin, lat.min() - margin, lat.max() + margin)
    _draw_land(region, window)
    region.set_aspect(1 / np.cos(np.deg2rad(lat.mean())))
    _draw_points(region, lon, lat)
    region.tick_params(labelsize=6.5, colors=QUIET, length=2)
    region.set_xticks(np.round(np.linspace(lon.min(), lon.max(), 3), 1))
    region.set_yticks(np.round(np.linspace(lat.min(), lat.max(), 3), 1))


def draw_shares(
    axes: Axes, legend: Sequence[LabelClass], counts: Mapping[str, NDArray[np.int64]]
) -> None:
    """Share of each class, a bar a split, in the legend's colours; later splits are hatched."""
    splits = sorted(counts, key=lambda split: split != "train")
    height = 0.8 / max(1, len(splits))
    ids = [row.id for row in legend]
    for number, split in enumerate(splits):
        chosen = counts[split][ids]
        shares = chosen / max(1, chosen.sum())
        rows = np.arange(len(legend)) + (number - (len(splits) - 1) / 2) * height
        bars = axes.barh(rows, shares, height * 0.92, color=[row.color for row in legend])
        for bar in bars:
            bar.set(edgecolor="white", linewidth=0, hatch="" if number == 0 else _HATCH)
        for row, share in zip(rows, shares, strict=True):
            text = f"{share:.1%}"
            axes.text(share + 0.012, row, text, va="center", fontsize=5.6, color=QUIET)
    axes.set_yticks(range(len(legend)), [row.name for row in legend], fontsize=6.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(0.1, *(_largest_share(counts[s], ids) for s in splits)))
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(splits) > 1:
        marks = [Patch(facecolor=QUIET, label=split) for split in splits]
        for mark in marks[1:]:
            mark.set(hatch=_HATCH, edgecolor="white", linewidth=0)
        axes.legend(handles=marks, frameon=False, fontsize=6.5, loc="lower right")


def draw_seasons(part: SubFigure, samples: Sequence[xr.Dataset]) -> None:
    """The seasons of some samples from top to bottom: S1, S2 and label side by side."""
    columns = [len(_layers(sample)) for sample in samples]
    dates = len(sample_dates(samples[0]))
    blocks = part.subfigures(1, len(samples), squeeze=False, width_ratios=columns, wspace=0.03)[0]
    for block, sample, width in zip(blocks, samples, columns, strict=True):
        grid = block.subplots(dates, width, squeeze=False, gridspec_kw={"wspace": 0, "hspace": 0})
        for row, date in enumerate(sample_dates(sample)):
            for axes, (title, picture) in zip(grid[row], _layers(date), strict=True):
                _show(axes, picture)
                if row == 0:
                    axes.set_title(title, fontsize=6.5, color=INK, pad=2)
            day = date_title(date)
            grid[row][0].set_ylabel(day, fontsize=5.6, color=QUIET, labelpad=1.5)
        block.supxlabel(_where(sample), fontsize=6.2, color=QUIET)


def draw_examples(part: SubFigure, samples: Sequence[xr.Dataset]) -> None:
    """Samples of one date, one below the other."""
    width = max(len(_layers(sample)) for sample in samples)
    grid = part.subplots(len(samples), width, squeeze=False)
    for row, sample in enumerate(samples):
        for axes, (title, picture) in zip(grid[row], _layers(sample), strict=True):
            _show(axes, picture)
            if row == 0:
                axes.set_title(title, fontsize=6.5, color=INK, pad=2)
        grid[row][0].set_ylabel(_where(sample), fontsize=5.4, color=QUIET, labelpad=2)


def _layers(date: xr.Dataset) -> list[tuple[str, Pixels]]:
    """The pictures of one date of a sample; of all dates, only their number matters."""
    if "time" in date.sizes:
        return _layers(date.isel(time=0))
    layers = [("S1", backscatter(date))] if "s1" in date else []
    layers.append(("S2", natural_colour(date)))
    if "label" in date:
        layers.append(("OSM" if "label_dw" in date else "label", label_map(date)))
    if "label_dw" in date:
        layers.append(("DW", label_map(date, "label_dw")))
    return layers


def _show(axes: Axes, picture: Pixels) -> None:
    step = max(1, picture.shape[0] // _EXAMPLE_PIXELS)
    axes.imshow(picture[::step, ::step], interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _where(sample: xr.Dataset) -> str:
    return place_text(sample["lon"].item(), sample["lat"].item(), digits=2)


def _largest_share(counts: NDArray[np.int64], ids: Sequence[int]) -> float:
    chosen = counts[list(ids)]
    return float(chosen.max() / max(1, chosen.sum()))


def _draw_land(axes: Axes, window: tuple[float, float, float, float]) -> None:
    west, east, south, north = window
    lon, lat = np.linspace(west, east, 720), np.linspace(north, south, 480)
    land = is_land(lon[None, :], np.clip(lat, -90, 90)[:, None])
    axes.imshow(_LAND[land.astype(np.intp)], extent=window, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(RULE)
    axes.add_patch(Rectangle((west, south), east - west, north - south, fill=False, edgecolor=RULE))


def _draw_points(axes: Axes, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
    size = 9.0 if lon.size < 2_000 else 0.6
    axes.scatter(
        lon, lat, s=size, color=ACCENT, linewidths=0, alpha=0.85, rasterized=lon.size > 2_000
    )
