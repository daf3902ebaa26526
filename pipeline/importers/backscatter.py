"""Backscatter of a foreign source as our stores hold it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.members import DamagedMember
from pipeline.season_pixels import S1_NODATA

_UNITS_PER_DB = 100


def require_decibels(values: NDArray[Any]) -> None:
    """Make sure that backscatter is in dB: nearly everything on Earth is below 0 dB.

    Power is never negative, and the 8-bit edition of SSL4EO-S12 is stretched to 0 to 255.

    Args:
        values: (2, ...) VV and VH as released.

    Raises:
        DamagedMember: It is in another unit.
    """
    if values.dtype.kind not in "fi":
        raise DamagedMember(f"backscatter of type {values.dtype}, expected dB")
    known = values[_known(values)]
    if known.size and np.median(known) >= 0:
        raise DamagedMember(f"backscatter with a median of {np.median(known):g} is not in dB")


def to_hundredths(decibels: NDArray[Any]) -> NDArray[np.int16]:
    """Backscatter in dB as int16 hundredths, rounded; no data becomes -32768.

    No data is what is not finite, and what is exactly 0 in both polarisations: Earth Engine's
    ``sampleRectangle(defaultValue=0)``, with which SSL4EO-S12 was fetched, fills with 0.

    Args:
        decibels: (2, ...) VV and VH, float.
    """
    known = _known(decibels)
    scaled = np.rint(np.where(known, decibels, 0).astype(np.float64) * _UNITS_PER_DB)
    limited = np.clip(scaled, S1_NODATA + 1, np.iinfo(np.int16).max)
    return np.where(known, limited, S1_NODATA).astype(np.int16)


def _known(decibels: NDArray[Any]) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = np.isfinite(decibels) & ~np.all(decibels == 0, axis=0)
    return known
