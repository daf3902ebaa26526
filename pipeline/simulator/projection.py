"""Map projections and pixel grids: where the pixels of a request and of a band lie."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from pipeline.simulator.refusal import EarthEngineError

LONLAT = 4326
METRES_PER_DEGREE = 111_319.49079327358
"""Length of a degree of the equator of WGS 84, pi * 6,378,137 / 180: Earth Engine's scale."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """A CRS and the affine transform from pixel corners (column, row) to its coordinates."""

    epsg: int
    transform: Affine = Affine.identity()

    @property
    def crs(self) -> str:
        """The CRS as text, e.g. ``EPSG:32633``."""
        return f"EPSG:{self.epsg}"

    @property
    def nominal_scale(self) -> float:
        """Width of a pixel, metres (at the equator for geographic coordinates)."""
        width = abs(self.transform.a)
        return width * METRES_PER_DEGREE if is_geographic(self.epsg) else width

    def scaled_to(self, metres: float) -> "Projection":
        """The same CRS with square pixels of a size in metres, counted from its origin."""
        size = metres / METRES_PER_DEGREE if is_geographic(self.epsg) else metres
        return Projection(self.epsg, Affine(size, 0.0, 0.0, 0.0, -size, 0.0))


@dataclass(frozen=True)
class PixelGrid:
    """The pixels that an image is evaluated on: a projection and a size."""

    projection: Projection
    width: int
    height: int

    def pixel_centres(self) -> tuple[FloatArray, FloatArray]:
        """Coordinates of the centres in the grid's CRS.

        Returns:
            x and y that broadcast to (height, width); (1, width) and (height, 1) if north-up.
        """
        transform = self.projection.transform
        columns = np.arange(self.width, dtype=np.float64)[None, :] + 0.5
        rows = np.arange(self.height, dtype=np.float64)[:, None] + 0.5
        if transform.b == 0.0 and transform.d == 0.0:
            return transform.a * columns + transform.c, transform.e * rows + transform.f
        x = transform.a * columns + transform.b * rows + transform.c
        y = transform.d * columns + transform.e * rows + transform.f
        return x, y

    def centres_in(self, epsg: int) -> tuple[FloatArray, FloatArray]:
        """Coordinates of the centres in any CRS; they broadcast to (height, width)."""
        if epsg == self.projection.epsg:
            return self.pixel_centres()
        return _reprojected_centres(self, epsg)


# Every band of a request asks for the same centres. PROJ transforms each one exactly
# (18 ms for 264 x 264 pixels), so a window of a grid sees the same coordinates as the whole.
@lru_cache(maxsize=8)
def _reprojected_centres(grid: PixelGrid, epsg: int) -> tuple[FloatArray, FloatArray]:
    x, y = np.broadcast_arrays(*grid.pixel_centres())
    return reproject(x, y, grid.projection.epsg, epsg)


def reproject(
    x: ArrayLike, y: ArrayLike, source_epsg: int, target_epsg: int
) -> tuple[FloatArray, FloatArray]:
    """Coordinates in another CRS; x is easting or longitude, y northing or latitude."""
    moved_x, moved_y = _transformer(source_epsg, target_epsg).transform(x, y)
    return moved_x, moved_y


def parse_projection(crs: str, transform: Iterable[float] | None = None) -> Projection:
    """The projection of an ``EPSG:<code>`` text.

    Raises:
        EarthEngineError: The text is no EPSG code that PROJ knows.
    """
    match = re.fullmatch(r"EPSG:(\d{4,6})", crs, re.IGNORECASE)
    if match is None or not _is_known(int(match[1])):
        raise EarthEngineError(
            f"Projection: The CRS of a map projection could not be parsed ('{crs}')."
        )
    return Projection(int(match[1]), affine_from(transform) if transform else Affine.identity())


def affine_from(values: Iterable[float]) -> Affine:
    """The transform of a row-major 3 x 2 list, as Earth Engine writes it.

    Raises:
        EarthEngineError: Not six finite numbers, or a transform of no extent.
    """
    numbers = [float(value) for value in values]
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        raise EarthEngineError(f"Projection: a crsTransform has 6 numbers, not {numbers}.")
    transform = Affine(*numbers)
    if transform.is_degenerate:
        raise EarthEngineError(f"Projection: The transform {numbers} cannot be inverted.")
    return transform


@lru_cache(maxsize=1024)
def is_geographic(epsg: int) -> bool:
    """Whether coordinates of the CRS are degrees."""
    return bool(CRS.from_epsg(epsg).is_geographic)


@lru_cache(maxsize=1024)
def _is_known(epsg: int) -> bool:
    try:
        CRS.from_epsg(epsg)
    except CRSError:
        return False
    return True


@lru_cache(maxsize=1024)
def _transformer(source_epsg: int, target_epsg: int) -> Transformer:
    return Transformer.from_crs(source_epsg, target_epsg, always_xy=True)
