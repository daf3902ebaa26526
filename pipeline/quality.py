"""Are fetched pixels good enough to keep? Asked after the fetch, before anything is stored."""

from pipeline.ledger import Reason
from pipeline.season_pixels import LABEL_NODATA, S1_NODATA, S2_NODATA, SeasonPixels
from pipeline.sensors import cube_bands
from pipeline.settings.dataset import QualitySettings

_S1_UNITS_PER_DB = 100
_VV = [band.name for band in cube_bands("sentinel-1")].index("VV")


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
    """Share of pixels with VV below the floor or either polarisation above the ceiling, 0 to 1.

    VH tells nothing about the border of a scene: calm water returns so little of it that the
    removal of thermal noise leaves -40 dB and less.
    Source: ESA, "Masking No-value Pixels on GRD Products", MPC-0243, section 4.7; on a reservoir of
    Sen1Floods11, exported from Earth Engine, 4 % of VH and 0.02 % of VV lie below -35 dB.
    """
    floor = limits.s1_floor_db * _S1_UNITS_PER_DB
    ceiling = limits.s1_ceiling_db * _S1_UNITS_PER_DB
    known = pixels.s1 != S1_NODATA
    noise = (pixels.s1[_VV] < floor) & known[_VV]
    return float((noise | ((pixels.s1 > ceiling) & known).any(axis=0)).mean())
