"""Land or sea: the 1 km mask of the GLOBE elevation model.

The mask ships in the wheel of global-land-mask. That package unpacks it to 0.93 GB the moment it
is imported; here its file is read in strips, from the north pole as far south as anybody asks, and
kept at one bit per cell, 0.12 GB. All of it takes two seconds, Europe half of one.
"""

import importlib.util
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import PipelineError

CELLS_PER_DEGREE = 120
"""30 arc seconds. Source: GLOBE 1.0 documentation, NOAA NGDC Key to Geophysical Records No. 34."""

_SHAPE = 180 * CELLS_PER_DEGREE, 360 * CELLS_PER_DEGREE
_ROWS_PER_STRIP = 240


def is_land(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
    """Whether places lie on land; lakes and the Caspian Sea count as land.

    Args:
        lon: Degrees east, any multiple of the full circle.
        lat: Degrees north, -90 to 90.

    Returns:
        Booleans of the broadcast shape of ``lon`` and ``lat``.
    """
    row = np.floor((90.0 - np.asarray(lat)) * CELLS_PER_DEGREE).astype(np.int64)
    column = np.floor((np.asarray(lon) + 180.0) * CELLS_PER_DEGREE).astype(np.int64) % _SHAPE[1]
    row = np.minimum(row, _SHAPE[0] - 1)
    packed = _mask().down_to(int(row.max(initial=0)))[row, column >> 3]
    return (packed >> (7 - (column & 7)).astype(np.uint8) & 1).astype(bool)


class _Mask:
    """The mask as bits, 1 = land: row 0 touches the north pole, column 0 the antimeridian."""

    def __init__(self, archive: Path) -> None:
        self._file = zipfile.ZipFile(archive).open("mask.npy")  # noqa: SIM115 - stays open, read on as needed
        np.lib.format.read_magic(self._file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(self._file)
        if shape != _SHAPE or dtype.kind != "b":
            raise PipelineError(f"global-land-mask holds {dtype} {shape}, expected bool {_SHAPE}")
        self._bits = np.empty((_SHAPE[0], _SHAPE[1] // 8), np.uint8)
        self._rows_read = 0

    def down_to(self, row: int) -> NDArray[np.uint8]:
        """The bits, filled in as far as a row and no less."""
        while self._rows_read <= row:
            sea = np.frombuffer(self._file.read(_ROWS_PER_STRIP * _SHAPE[1]), bool)
            strip = ~sea.reshape(_ROWS_PER_STRIP, _SHAPE[1])
            top, self._rows_read = self._rows_read, self._rows_read + _ROWS_PER_STRIP
            self._bits[top : self._rows_read] = np.packbits(strip, axis=1)
        return self._bits


@lru_cache(maxsize=1)
def _mask() -> _Mask:
    return _Mask(_mask_file())


def _mask_file() -> Path:
    package = importlib.util.find_spec("global_land_mask")
    if package is None or package.origin is None:
        raise PipelineError("the package global-land-mask is not installed; run `make setup`")
    return Path(package.origin).with_name("globe_combined_mask_compressed.npz")
