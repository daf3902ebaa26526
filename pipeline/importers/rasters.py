"""GeoTIFF files from memory, as their source recorded them."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from pipeline.grid import crs_transformer
from pipeline.importers.members import MEBIBYTE, DamagedMember

_LARGEST_DECODED = 256 * MEBIBYTE
_WGS84 = 4326

_KINDS = "uif"


@dataclass(frozen=True, eq=False)
class Raster:
    """One decoded GeoTIFF.

    Attributes:
        values: (band, y, x), in the type of the file.
        place: Where the file says that it lies.
        band_names: Descriptions of its bands, empty where it has none.
    """

    values: NDArray[Any]
    place: "Place"
    band_names: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A north-up grid as recorded by a source, whatever its CRS and steps.

    Attributes:
        epsg: EPSG code; 0 if the file names no CRS that has one, and then the rest is NaN.
        left: x of the left edge, in units of the CRS.
        top: y of the upper edge.
        x_step: Width of a pixel.
        y_step: Height of a pixel, negative: rows run south.
    """

    epsg: int
    left: float
    top: float
    x_step: float
    y_step: float

    def centre(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Coordinates of the middle of so many rows and columns."""
        return self.left + shape[1] / 2 * self.x_step, self.top + shape[0] / 2 * self.y_step


NOWHERE = Place(0, *[float("nan")] * 4)
"""The place of a file that does not say where it lies."""


def centre_lonlat(facts: Mapping[str, Any]) -> tuple[float, float]:
    """Longitude and latitude of the ``centre`` of a picture in the CRS ``epsg``; NaN for none."""
    x, y = facts["centre"]
    if not facts["epsg"]:
        return float("nan"), float("nan")
    lon, lat = crs_transformer(facts["epsg"], _WGS84).transform(x, y)
    return lon, lat


def decode_geotiff(content: bytes, most_bytes: int = _LARGEST_DECODED) -> Raster:
    """Decode a GeoTIFF and nothing else: other formats may point at other files.

    Args:
        content: Of the file.
        most_bytes: Larger pictures are refused by their header; a few bytes can claim any size.

    Raises:
        DamagedMember: It is no GeoTIFF, is cut short, too large, or not north-up.
    """
    try:
        # GDAL takes the format from the content, but only among the drivers named here.
        with (
            warnings.catch_warnings(),
            rasterio.Env(GDAL_NUM_THREADS=1),
            MemoryFile(content) as memory,
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with memory.open(driver="GTiff") as file:
                _check_header(file, most_bytes)
                place = _place(file.crs, file.transform)
                names = tuple(name or "" for name in file.descriptions)
                return Raster(file.read(), place, names)
    except (RasterioError, ValueError, MemoryError) as error:
        raise DamagedMember(f"no readable GeoTIFF ({str(error)[:120]})") from None


def _check_header(file: Any, most_bytes: int) -> None:
    dtypes = {np.dtype(name) for name in file.dtypes}
    if len(dtypes) != 1 or any(dtype.kind not in _KINDS for dtype in dtypes):
        raise DamagedMember(f"bands of type {', '.join(sorted(map(str, dtypes)))}")
    decoded = file.count * file.height * file.width * max(dtype.itemsize for dtype in dtypes)
    if decoded > most_bytes:
        raise DamagedMember(f"{decoded} bytes decoded, more than the {most_bytes} allowed")


def _place(crs: CRS | None, transform: Affine) -> Place:
    epsg = (crs.to_epsg() or 0) if crs else 0
    if not epsg:
        return NOWHERE
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise DamagedMember(f"a grid that is not north-up ({tuple(transform)[:6]})")
    return Place(epsg, transform.c, transform.f, transform.a, transform.e)
