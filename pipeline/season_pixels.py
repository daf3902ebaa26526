"""The pixels of one (location, season), as they are fetched, checked, staged and stored."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

S2_NODATA = 0
S1_NODATA = -32768
LABEL_NODATA = 255


@dataclass(frozen=True, eq=False)
class SeasonPixels:
    """Native-resolution arrays on one grid of H x W pixels at 10 m; H and W multiples of 6.

    Attributes:
        s2_10m: (4, H, W) uint16, B2 B3 B4 B8, reflectance x 10000, 0 = no data.
        s2_20m: (6, H/2, W/2) uint16, B5 B6 B7 B8A B11 B12.
        s2_60m: (3, H/6, W/6) uint16, B1 B9 B10.
        s1: (2, H, W) int16, VV VH, 0.01 dB, -32768 = no data.
        label: (H, W) uint8, Dynamic World 0 to 8, 255 = no label.
    """

    s2_10m: NDArray[np.uint16]
    s2_20m: NDArray[np.uint16]
    s2_60m: NDArray[np.uint16]
    s1: NDArray[np.int16]
    label: NDArray[np.uint8]
