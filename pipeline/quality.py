"""Are fetched pixels good enough to keep? Asked after the fetch, before anything is stored."""

import numpy as np

from pipeline.ledger import Reason
from pipeline.season_pixels import LABEL_NODATA, S1_NODATA, S2_NODATA, SeasonPixels
from pipeline.settings.dataset import QualitySettings

_S1_UNITS_PER_DB = 100


def check_pixels(pixels: SeasonPixels, limits: QualitySettings) -> Reason:
    """Judge one (sample, season).

    Returns:
        `Reason.NODATA` if too many pixels lack Sentinel-2 or Sentinel-1 data or too few carry a
        label, `Reason.IMPLAUSIBLE_S1` if too much backscatter is outside the plausible range,
        `Reason.NONE` if the pixels are fit.
    """
    if nodata_share(pixels) > limits.nodata_share_max:
        return Reason.NODATA
    if label_share(pixels) < limits.label_share_min:
        return Reason.NODATA
    if implausible_s1_share(pixels, limits) > limits.s1_implausible_share_max:
        return Reason.IMPLAUSIBLE_S1
    return Reason.NONE


def nodata_share(pixels: SeasonPixels) -> float:
    """Share of pixels without data, 0 to 1, of the array that has the most of them.

    A Sentinel-2 pixel has no data if all bands of its resolution are 0: a single band may be 0 over
    dark water, once the offset of processing baseline 04 is taken off. A Sentinel-1 pixel has no
    data if either polarisation has none.
    """
    optical = (pixels.s2_10m, pixels.s2_20m, pixels.s2_60m)
    shares = [(array == S2_NODATA).all(axis=0).mean() for array in optical]
    return float(max(*shares, (pixels.s1 == S1_NODATA).any(axis=0).mean()))


def label_share(pixels: SeasonPixels) -> float:
    """Share of pixels that carry a label, 0 to 1."""
    return float((pixels.label != LABEL_NODATA).mean())


def implausible_s1_share(pixels: SeasonPixels, limits: QualitySettings) -> float:
    """Share of pixels with backscatter outside the limits in either polarisation, 0 to 1."""
    floor = limits.s1_floor_db * _S1_UNITS_PER_DB
    ceiling = limits.s1_ceiling_db * _S1_UNITS_PER_DB
    outside = (pixels.s1 < floor) | (pixels.s1 > ceiling)
    return float(np.any(outside & (pixels.s1 != S1_NODATA), axis=0).mean())
