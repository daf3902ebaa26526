"""Edges of image, radar and label on top of each other: misalignment seen at a glance.

Where the two sensors see the same edge at the same place, their colours add up to white; an array
that is shifted shows as a coloured fringe along every edge.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from pipeline.label_classes import label_ids

ZOOM = 3
"""Screen pixels per 10 m pixel: one pixel of shift is three on the screen."""

OPTICAL_RGB = (0, 200, 215)
RADAR_RGB = (255, 70, 110)
LABEL_RGB = (255, 214, 10)
"""Sentinel-2 in cyan, Sentinel-1 in its complement, boundaries of the label in yellow."""

_BACKGROUND = 0.30
_STRONG = 98.0
_WEAK = 80.0
"""Percentiles of edge strength shown at full brightness and not at all."""

_BORDER_PIXELS = 5
"""How far smoothing and Sobel's kernel carry the border of a padded tile."""


def edge_overlay(
    optical: NDArray[Any], radar: NDArray[Any] | None, label: NDArray[Any] | None
) -> NDArray[np.uint8]:
    """The part of a patch with the most structure, enlarged, with the edges of all arrays.

    Args:
        optical: (y, x), one Sentinel-2 band or a mean of bands; 0 is no data.
        radar: (y, x) in dB, NaN without data; None if the store has no Sentinel-1.
        label: (y, x) class ids, NaN or 255 without label; None if there is none.

    Returns:
        (y, x, 3) uint8, of the size of the patch.
    """
    bright = np.nan_to_num(np.asarray(optical, np.float32))
    strengths = [(edge_strength(_box_mean(bright)), OPTICAL_RGB)]
    if radar is not None:
        quiet = _box_mean(_box_mean(_box_mean(_fill_missing(np.asarray(radar, np.float32)))))
        strengths.append((edge_strength(quiet), RADAR_RGB))
    for strength, _ in strengths:
        strength[_near_missing(bright)] = 0.0
    rows, columns = busiest_window([strength for strength, _ in strengths])
    canvas = _grey(bright[rows, columns])[..., None] * _BACKGROUND
    canvas = canvas + sum(_glow(edges[rows, columns]) * np.array(rgb) for edges, rgb in strengths)
    picture = np.clip(canvas, 0, 255).astype(np.uint8)
    enlarged = picture.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    if label is not None:
        _draw_boundaries(enlarged, label_ids(np.asarray(label))[rows, columns])
    height, width = bright.shape
    whole = Image.fromarray(enlarged).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(whole)


def edge_strength(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of the gradient (y, x), by Sobel's kernel."""
    padded = np.pad(values, 1, mode="edge")
    down = padded[2:] - padded[:-2]
    right = padded[:, 2:] - padded[:, :-2]
    vertical = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    horizontal = right[:-2] + 2 * right[1:-1] + right[2:]
    return np.hypot(vertical, horizontal).astype(np.float32)


def busiest_window(strengths: Sequence[NDArray[np.float32]]) -> tuple[slice, slice]:
    """Where the edges of all arrays are strong together: 1/`ZOOM` of the rows and columns.

    The product of the arrays' edge strengths counts, so that clouds, which radar does not see,
    attract no attention.
    """
    shared = np.prod([np.clip(_glow(one)[..., 0], 0.05, 1.0) for one in strengths], axis=0)
    height, width = (max(1, size // ZOOM) for size in shared.shape)
    sums = np.pad(shared.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
    inside += sums[:-height, :-width]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def spectral_mean(season: xr.Dataset) -> NDArray[np.float32]:
    """Mean of the bands of the visible and of B8: what edges of the optical image are found in."""
    array, dimension = ("s2_10m", "band_10m") if "s2_10m" in season else ("s2", "band_s2")
    bands = season[array].sel({dimension: ["B2", "B3", "B4", "B8"]}).values
    mean: NDArray[np.float32] = bands.astype(np.float32).mean(axis=0)
    return mean


def _glow(strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """Edge strength between the two percentiles, 0 to 1, as (y, x, 1)."""
    weak, strong = np.percentile(strength, [_WEAK, _STRONG])
    span = max(float(strong - weak), 1e-6)
    return np.clip((strength.astype(np.float64) - weak) / span, 0.0, 1.0)[..., None]


def _grey(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(values, [2, 98])
    return np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0) * 255.0


def _fill_missing(values: NDArray[np.float32]) -> NDArray[np.float32]:
    missing = ~np.isfinite(values)
    if missing.all():
        return np.zeros_like(values)
    return np.where(missing, values[~missing].mean(), values)


def _near_missing(optical: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels without data and around them, where a tile was padded: their border is no edge."""
    share = (optical == 0).astype(np.float32)
    for _ in range(_BORDER_PIXELS):
        share = _box_mean(share)
    return share > 0


def _box_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over 3 x 3 pixels: repeated, it quiets speckle and leaves edges where they are."""
    padded = np.pad(values, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9.0)


def _draw_boundaries(enlarged: NDArray[np.uint8], ids: NDArray[np.uint8]) -> None:
    """A line of one screen pixel along the border between two classes."""
    below = np.zeros(ids.shape, bool)
    below[1:] = ids[1:] != ids[:-1]
    beside = np.zeros(ids.shape, bool)
    beside[:, 1:] = ids[:, 1:] != ids[:, :-1]
    for row in range(ZOOM):
        enlarged[row::ZOOM, ::ZOOM][beside] = LABEL_RGB
        enlarged[::ZOOM, row::ZOOM][below] = LABEL_RGB
