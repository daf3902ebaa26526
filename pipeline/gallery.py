"""Pictures of samples: what a person looks at before trusting a dataset."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.legend import UNLABELLED, load_legend

Picture = NDArray[np.uint8]
"""(H, W, 3) red, green, blue."""

OPTICAL_RANGE = (0.0, 3000.0)
"""Reflectance x 10000 shown from black to white; snow and cloud saturate."""

VV_RANGE_DB = (-22.0, 0.0)
VH_RANGE_DB = (-28.0, -6.0)
"""Backscatter shown from black to white: water stays dark, cities stay bright."""

_UNLABELLED_RGB = (20, 20, 20)
_GAP = 6
_CAPTION_HEIGHT = 18


@dataclass(frozen=True)
class Panel:
    """One row of a gallery: how a season is drawn, and what it is called."""

    title: str
    draw: Any


def natural_colour(season: xr.Dataset) -> Picture:
    """Sentinel-2 B4 B3 B2 as red, green, blue."""
    return _composite(season["s2_10m"], ("B4", "B3", "B2"))


def false_colour(season: xr.Dataset) -> Picture:
    """Sentinel-2 B8 B4 B3 as red, green, blue: vegetation is red."""
    return _composite(season["s2_10m"], ("B8", "B4", "B3"))


def backscatter(season: xr.Dataset) -> Picture:
    """Sentinel-1 VV, VH, VV as red, green, blue, in dB."""
    vv = _stretch(season["s1"].sel(band_s1="VV").values, VV_RANGE_DB)
    vh = _stretch(season["s1"].sel(band_s1="VH").values, VH_RANGE_DB)
    return np.stack([vv, vh, vv], axis=-1)


def label_map(season: xr.Dataset) -> Picture:
    """The Dynamic World label in the legend's own colours; unlabelled is near black."""
    return paint_classes(season["label"].values, "dynamic_world")


def paint_classes(label: NDArray[Any], legend: str) -> Picture:
    """Class ids (H, W), 255 or NaN = unlabelled, as a picture in the legend's colours."""
    palette = np.full((256, 3), _UNLABELLED_RGB, dtype=np.uint8)
    for land_cover in load_legend(legend):
        palette[land_cover.id] = land_cover.rgb
    ids = np.where(np.isfinite(label), label, UNLABELLED).astype(np.uint8)
    return palette[ids]


PANELS = (
    Panel("natural colour", natural_colour),
    Panel("false colour", false_colour),
    Panel("Sentinel-1 VV VH", backscatter),
    Panel("Dynamic World", label_map),
)


def sample_gallery(sample: xr.Dataset, caption: str) -> Image.Image:
    """One sample, a column a season and a row a panel.

    Args:
        sample: One sample of ``nol.zarr``: dimension ``time`` and the native arrays.
        caption: Line above the pictures.

    Returns:
        An RGB picture of about 1,100 x 1,150 pixels at 264-pixel patches.
    """
    seasons = [sample.isel(time=index) for index in range(sample.sizes["time"])]
    rows = [[panel.draw(season) for season in seasons] for panel in PANELS]
    dates = [_day(season) for season in seasons]
    return _sheet(rows, [panel.title for panel in PANELS], dates, caption)


def _day(season: xr.Dataset) -> str:
    return str(season["s2_time"].values.astype("datetime64[D]"))


def _sheet(
    rows: list[list[Picture]], row_titles: list[str], column_titles: list[str], caption: str
) -> Image.Image:
    height, width = rows[0][0].shape[:2]
    step_y, step_x = height + _CAPTION_HEIGHT + _GAP, width + _GAP
    sheet = Image.new(
        "RGB", (len(rows[0]) * step_x + _GAP, len(rows) * step_y + _CAPTION_HEIGHT + _GAP), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    draw.text((_GAP, 4), caption, fill="black", font=font)
    for row, (pictures, row_title) in enumerate(zip(rows, row_titles, strict=True)):
        top = _CAPTION_HEIGHT + row * step_y
        for column, picture in enumerate(pictures):
            left = _GAP + column * step_x
            title = f"{row_title}  {column_titles[column]}"
            draw.text((left, top + 4), title, fill="black", font=font)
            sheet.paste(Image.fromarray(picture), (left, top + _CAPTION_HEIGHT))
    return sheet


def _composite(bands: xr.DataArray, names: tuple[str, str, str]) -> Picture:
    channels = [_stretch(bands.sel(band_10m=name).values, OPTICAL_RANGE) for name in names]
    return np.stack(channels, axis=-1)


def _stretch(values: NDArray[Any], limits: tuple[float, float]) -> Picture:
    low, high = limits
    share = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0.0, 1.0)
    return (share * 255.0 + 0.5).astype(np.uint8)
