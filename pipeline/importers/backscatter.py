"""Backscatter of a foreign source as our stores hold it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.season_pixels import S1_NODATA

_UNITS_PER_DB = 100


def to_hundredths(decibels: NDArray[Any]) -> NDArray[np.int16]:
    """Backscatter in dB as int16 hundredths, rounded; no data becomes -32768.

    No data is what is not finite, and what is exactly 0 in both polarisations: Earth Engine's
    ``sampleRectangle(defaultValue=0)``, with which SSL4EO-S12 was fetched, fills with 0.

    Args:
        decibels: (2, ...) VV and VH, float.
    """
    known = np.isfinite(decibels) & ~np.all(decibels == 0, axis=0)
    scaled = np.rint(np.where(known, decibels, 0).astype(np.float64) * _UNITS_PER_DB)
    limited = np.clip(scaled, S1_NODATA + 1, np.iinfo(np.int16).max)
    return np.where(known, limited, S1_NODATA).astype(np.int16)
