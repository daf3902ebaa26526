"""Pictures of samples: what a person looks at before trusting a dataset.

Works for every kind of store: four seasons or one date, native bands or a 10 m cube, with or
without Sentinel-1 and labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.edges import edge_overlay, spectral_mean
from pipeline.label_classes import LabelClass, class_palette, label_classes, label_ids
from pipeline.legend import load_legend

Picture = NDArray[np.uint8]
"""(H, W, 3) red, green, blue."""

OPTICAL_RANGE = (0.0, 3000.0)
"""Reflectance x 10000 shown from black to white; snow and cloud saturate."""

VV_RANGE_DB = (-22.0, 0.0)
VH_RANGE_DB = (-28.0, -6.0)
"""Backscatter shown from black to white: water stays dark, cities stay bright."""

_GAP = 6
_CAPTION_HEIGHT = 18
_COLUMNS = 4
"""Pictures side by side where a sample has one date only."""


@dataclass(frozen=True)
class Panel:
    """One row of a gallery.

    Attributes:
        title: What it is called.
        draw: How one date of a sample is drawn.
    """

    title: str
    draw: Callable[[xr.Dataset], Picture]


def natural_colour(season: xr.Dataset) -> Picture:
    """Sentinel-2 B4 B3 B2 as red, green, blue."""
    return _composite(season, ("B4", "B3", "B2"))


def false_colour(season: xr.Dataset) -> Picture:
    """Sentinel-2 B8 B4 B3 as red, green, blue: vegetation is red."""
    return _composite(season, ("B8", "B4", "B3"))


def backscatter(season: xr.Dataset) -> Picture:
    """Sentinel-1 VV, VH, VV as red, green, blue, in dB."""
    vv, vh = vv_backscatter(season), vh_backscatter(season)
    return np.stack([vv[..., 0], vh[..., 0], vv[..., 0]], axis=-1)


def vv_backscatter(season: xr.Dataset) -> Picture:
    """Sentinel-1 VV in grey, in dB."""
    return _grey(season["s1"].sel(band_s1="VV").values, VV_RANGE_DB)


def vh_backscatter(season: xr.Dataset) -> Picture:
    """Sentinel-1 VH in grey, in dB."""
    return _grey(season["s1"].sel(band_s1="VH").values, VH_RANGE_DB)


def label_map(season: xr.Dataset, array: str = "label") -> Picture:
    """A label in its legend's own colours; unlabelled is near black."""
    label = season[array]
    return class_palette(label_classes(label.attrs))[label_ids(label.values)]


def edges(season: xr.Dataset) -> Picture:
    """Edges of Sentinel-2, Sentinel-1 and the label in one enlarged part of the sample."""
    radar = season["s1"].mean("band_s1").values if "s1" in season else None
    label = season["label"].values if "label" in season else None
    return edge_overlay(spectral_mean(season), radar, label)


def paint_classes(label: NDArray[Any], legend: str) -> Picture:
    """Class ids (H, W), 255 or NaN = unlabelled, as a picture in the legend's colours."""
    rows = load_legend(legend)
    classes = tuple(LabelClass(row.id, row.flag_meaning, row.name, row.color) for row in rows)
    return class_palette(classes)[label_ids(label)]


_OPTICAL_PANELS = (Panel("natural colour", natural_colour), Panel("false colour", false_colour))
_RADAR_PANELS = (Panel("Sentinel-1 VV", vv_backscatter), Panel("Sentinel-1 VH", vh_backscatter))


def sample_panels(sample: xr.Dataset) -> tuple[Panel, ...]:
    """The panels that can be drawn of a sample, by the arrays that it has."""
    panels = list(_OPTICAL_PANELS)
    if "s1" in sample:
        panels += _RADAR_PANELS
    if "label" in sample:
        title = "OSM land use" if "label_dw" in sample else "label"
        panels.append(Panel(title, label_map))
    if "label_dw" in sample:
        panels.append(Panel("Dynamic World", lambda date: label_map(date, "label_dw")))
    return (*panels, Panel("edges, enlarged", edges))


def sample_dates(sample: xr.Dataset) -> list[xr.Dataset]:
    """The dates of a sample: four seasons, or the one there is."""
    if "time" not in sample.sizes:
        return [sample]
    return [sample.isel(time=index) for index in range(sample.sizes["time"])]


def date_title(date: xr.Dataset) -> str:
    """Day of the Sentinel-2 scene, empty where the store does not know it."""
    if "s2_time" not in date or np.isnat(date["s2_time"].values):
        return ""
    return str(date["s2_time"].values.astype("datetime64[D]"))


def place_text(lon: float, lat: float, digits: int) -> str:
    """A place as people write it: degrees with N or S, and E or W."""
    if not np.isfinite([lon, lat]).all():
        return "place unknown"
    north, east = "N" if lat >= 0 else "S", "E" if lon >= 0 else "W"
    return f"{abs(lat):.{digits}f}° {north}, {abs(lon):.{digits}f}° {east}"


def sample_gallery(sample: xr.Dataset, caption: str) -> Image.Image:
    """One sample: a column a date and a row a panel; of a single date, the panels in reading order.

    Args:
        sample: One sample of any store of ours.
        caption: Line above the pictures.

    Returns:
        An RGB picture of about 1,100 x 1,750 pixels for four seasons of 264-pixel patches.
    """
    loaded = sample.load()
    dates, panels = sample_dates(loaded), sample_panels(loaded)
    rows = [
        [(f"{panel.title}  {date_title(date)}", panel.draw(date)) for date in dates]
        for panel in panels
    ]
    if len(dates) == 1:
        cells = [cell for row in rows for cell in row]
        rows = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    return _sheet(rows, caption)


def _sheet(rows: Sequence[Sequence[tuple[str, Picture]]], caption: str) -> Image.Image:
    """Pictures of one size with a title above each, row by row."""
    height, width = rows[0][0][1].shape[:2]
    step_y, step_x = height + _CAPTION_HEIGHT + _GAP, width + _GAP
    sheet = Image.new(
        "RGB", (len(rows[0]) * step_x + _GAP, len(rows) * step_y + _CAPTION_HEIGHT + _GAP), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    draw.text((_GAP, 4), caption, fill="black", font=font)
    for row, cells in enumerate(rows):
        top = _CAPTION_HEIGHT + row * step_y
        for column, (title, picture) in enumerate(cells):
            left = _GAP + column * step_x
            draw.text((left, top + 4), title, fill="black", font=font)
            sheet.paste(Image.fromarray(picture), (left, top + _CAPTION_HEIGHT))
    return sheet


def _composite(season: xr.Dataset, names: tuple[str, str, str]) -> Picture:
    array, dimension = ("s2_10m", "band_10m") if "s2_10m" in season else ("s2", "band_s2")
    bands = season[array]
    channels = [_stretch(bands.sel({dimension: name}).values, OPTICAL_RANGE) for name in names]
    return np.stack(channels, axis=-1)


def _grey(values: NDArray[Any], limits: tuple[float, float]) -> Picture:
    return np.repeat(_stretch(values, limits)[..., None], 3, axis=-1)


def _stretch(values: NDArray[Any], limits: tuple[float, float]) -> Picture:
    low, high = limits
    share = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0.0, 1.0)
    return (share * 255.0 + 0.5).astype(np.uint8)
