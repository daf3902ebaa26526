"""Land or sea: the 1 km mask of the GLOBE elevation model.

The mask ships in the wheel of global-land-mask. That package unpacks it to 0.93 GB the moment it
is imported; here its file is read in strips and kept at one bit per cell, 0.12 GB.
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
    packed = _land_bits()[np.minimum(row, _SHAPE[0] - 1), column >> 3]
    return (packed >> (7 - (column & 7)).astype(np.uint8) & 1).astype(bool)


@lru_cache(maxsize=1)
def _land_bits() -> NDArray[np.uint8]:
    """The mask as bits, 1 = land: row 0 touches the north pole, column 0 the antimeridian."""
    bits = np.empty((_SHAPE[0], _SHAPE[1] // 8), np.uint8)
    with zipfile.ZipFile(_mask_file()) as archive, archive.open("mask.npy") as mask:
        np.lib.format.read_magic(mask)
        shape, _, dtype = np.lib.format.read_array_header_1_0(mask)
        if shape != _SHAPE or dtype.kind != "b":
            raise PipelineError(f"global-land-mask holds {dtype} {shape}, expected bool {_SHAPE}")
        for top in range(0, _SHAPE[0], _ROWS_PER_STRIP):
            sea = np.frombuffer(mask.read(_ROWS_PER_STRIP * _SHAPE[1]), bool)
            strip = ~sea.reshape(_ROWS_PER_STRIP, _SHAPE[1])
            bits[top : top + _ROWS_PER_STRIP] = np.packbits(strip, axis=1)
    return bits


def _mask_file() -> Path:
    package = importlib.util.find_spec("global_land_mask")
    if package is None or package.origin is None:
        raise PipelineError("the package global-land-mask is not installed; run `make setup`")
    return Path(package.origin).with_name("globe_combined_mask_compressed.npz")
