"""Whether Sentinel-2 numbers carry the radiometric offset of the later processing baselines.

From baseline 04.00 on (25 January 2022, and every scene reprocessed since) a digital number is
reflectance x 10000 + 1000. Neither the date nor the file says reliably which it is, but the pixels
do: B10 lies in an absorption band of water vapour, where the ground is black and only high clouds
shine, so without the offset its numbers are near 0, and with it none is far below 1000.

Source: ESA, Sentinel-2 processing baseline 04.00,
https://sentinels.copernicus.eu/web/sentinel/-/copernicus-sentinel-2-major-products-upgrade-upcoming
"""

import re

import numpy as np
from numpy.typing import NDArray

from pipeline.season_pixels import S2_NODATA
from pipeline.sensors import cube_bands

OFFSET = 1000
UNKNOWN = -1
"""The pixels do not tell, or contradict the metadata."""

_FIRST_BASELINE_WITH_OFFSET = 400
_PRODUCT_BASELINE = re.compile(r"_N(\d{4})_")

_LOWEST_WITH_OFFSET = 900
"""Reflectance -0.01 with the offset: below the noise of any band."""

_CLEAR_CIRRUS = 300
"""Reflectance x 10000 that B10 stays under where no high cloud is; ours, with a wide margin: the
median over SSL4EO-S12 is 22 +- 51 (its published statistics)."""

_ENOUGH_PIXELS = 0.001
"""Share of dark pixels that is no accident."""


def detect_offset(bands: dict[str, NDArray[np.uint16]], scene: str) -> int:
    """The offset of one scene.

    Args:
        bands: Digital numbers by band name, each (y, x), 0 = no data; all 13 of L1C.
        scene: Name of the scene or product; a product's name holds its baseline (``_N0509_``).

    Returns:
        0, 1000, or -1 where pixels do not tell (all cloud, no data) or contradict the name.
    """
    seen = _offset_in_pixels(bands)
    named = _offset_in_name(scene)
    if seen == UNKNOWN or named == UNKNOWN:
        return max(seen, named)
    return seen if seen == named else UNKNOWN


def remove_offset(numbers: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Numbers without the offset; no data stays 0, and what would be 0 or less becomes 1."""
    lowered = np.maximum(numbers, OFFSET + 1) - OFFSET
    return np.where(numbers == S2_NODATA, S2_NODATA, lowered).astype(np.uint16)


def split_cube(cube: NDArray[np.uint16]) -> dict[str, NDArray[np.uint16]]:
    """The bands of a (13, y, x) cube in our order, by name."""
    return {band.name: cube[band.cube_position] for band in cube_bands("sentinel-2")}


def _offset_in_pixels(bands: dict[str, NDArray[np.uint16]]) -> int:
    cirrus = bands["B10"][bands["B10"] != S2_NODATA]
    if not cirrus.size:
        # B10 rounds to 0 over dark, clear ground, but never with the offset.
        return 0 if any(np.any(band != S2_NODATA) for band in bands.values()) else UNKNOWN
    if any(_dark_share(band) > _ENOUGH_PIXELS for band in bands.values()):
        return 0
    return OFFSET if np.median(cirrus) < OFFSET + _CLEAR_CIRRUS else UNKNOWN


def _dark_share(band: NDArray[np.uint16]) -> float:
    """Share of the pixels with data that no offset was added to."""
    with_data = band[band != S2_NODATA]
    return float(np.mean(with_data < _LOWEST_WITH_OFFSET)) if with_data.size else 0.0


def _offset_in_name(scene: str) -> int:
    match = _PRODUCT_BASELINE.search(scene)
    if match is None:
        return UNKNOWN
    return OFFSET if int(match[1]) >= _FIRST_BASELINE_WITH_OFFSET else 0
