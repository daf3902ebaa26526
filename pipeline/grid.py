"""The one pixel grid that every array of a sample lies on."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

SENTINEL2_LATTICE_M = 60.0
"""Spacing of the lattice on which Sentinel-2's 10, 20 and 60 m pixels all nest."""

SOUTHERN_FALSE_NORTHING_M = 10_000_000.0
"""Northing of the equator in UTM zones south; 1e7 mod 60 = 40, so is their lattice."""


@dataclass(frozen=True)
class PatchGrid:
    """A north-up grid in one projected CRS, given by its upper-left corner.

    Attributes:
        epsg: EPSG code of the CRS, in metres (UTM for every sample).
        left: Easting of the left edge of the first column, metres.
        top: Northing of the upper edge of the first row, metres.
        height: Number of rows (y).
        width: Number of columns (x).
        resolution: Pixel size, metres.
    """

    epsg: int
    left: float
    top: float
    height: int
    width: int
    resolution: float = 10.0

    @property
    def crs(self) -> str:
        """The CRS as text, e.g. ``EPSG:32633``."""
        return f"EPSG:{self.epsg}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, numpy order (y, x)."""
        return self.height, self.width

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) of a corner to CRS coordinates (x, y)."""
        return Affine(self.resolution, 0.0, self.left, 0.0, -self.resolution, self.top)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in the CRS, metres."""
        bottom = self.top - self.height * self.resolution
        return self.left, bottom, self.left + self.width * self.resolution, self.top

    @property
    def geobox(self) -> "GeoBox":
        """The same grid for odc-geo, rioxarray and friends."""
        from odc.geo.geobox import GeoBox  # every step knows grids, and few need this one

        return GeoBox(self.shape, self.transform, self.crs)

    def coarsened(self, factor: int) -> "PatchGrid":
        """The grid of ``factor`` x ``factor`` blocks over the same ground.

        Raises:
            ValueError: The number of rows or columns is not a multiple of the factor.
        """
        if self.height % factor or self.width % factor:
            raise ValueError(f"{self.shape} pixels cannot be cut into blocks of {factor}")
        return PatchGrid(
            self.epsg,
            self.left,
            self.top,
            self.height // factor,
            self.width // factor,
            self.resolution * factor,
        )

    def pixel_centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates of the pixel centres: x of each column, y of each row, metres."""
        x = self.left + self.resolution * (np.arange(self.width, dtype=np.float64) + 0.5)
        y = self.top - self.resolution * (np.arange(self.height, dtype=np.float64) + 0.5)
        return x, y

    @property
    def centre_lonlat(self) -> tuple[float, float]:
        """Longitude and latitude of the centre, degrees."""
        left, bottom, right, top = self.bounds
        lon, lat = crs_transformer(self.epsg, 4326).transform(
            (left + right) / 2, (bottom + top) / 2
        )
        return lon, lat

    @property
    def footprint(self) -> BaseGeometry:
        """The outline in longitude and latitude (EPSG:4326, degrees), edges densified.

        Across the antimeridian it is two polygons, one on either side (RFC 7946, section 3.1.9).
        """
        outline = shapely.segmentize(shapely.box(*self.bounds), 500.0)
        to_lonlat = crs_transformer(self.epsg, 4326)
        lonlat = shapely.transform(outline, lambda xy: np.column_stack(to_lonlat.transform(*xy.T)))
        west, _, east, _ = lonlat.bounds
        return _cut_at_antimeridian(lonlat) if east - west > 180.0 else lonlat


def patch_grid(
    lon: float, lat: float, pixels: int, resolution: float = 10.0, epsg: int | None = None
) -> PatchGrid:
    """The square grid around a place, snapped to the Sentinel-2 lattice of its UTM zone.

    The centre moves by at most 30 m in each direction, so that 10, 20 and 60 m bands nest exactly.

    Args:
        lon: Longitude of the centre, degrees east.
        lat: Latitude of the centre, degrees north.
        pixels: Rows and columns; a multiple of 6, so that whole 60 m pixels fit.
        resolution: Pixel size, metres.
        epsg: The UTM zone to use; by default the one the place lies in.

    Raises:
        ValueError: ``pixels * resolution`` is not a whole number of 60 m pixels.
    """
    size = pixels * resolution
    if size % SENTINEL2_LATTICE_M:
        raise ValueError(f"a patch of {size} m is not a whole number of 60 m pixels")
    epsg = utm_epsg(lon, lat) if epsg is None else epsg
    easting, northing = crs_transformer(4326, epsg).transform(lon, lat)
    left = _snap(easting - size / 2, 0.0)
    top = _snap(northing + size / 2, _lattice_origin(epsg))
    return PatchGrid(epsg, left, top, pixels, pixels, resolution)


def utm_epsg(lon: float, lat: float) -> int:
    """EPSG code of the UTM zone of a place, with Norway's and Svalbard's exceptions.

    Source: NGA.SIG.0012, section 2-4 (zones 32V, 31X, 33X, 35X and 37X are widened).
    """
    lon = (lon + 180.0) % 360.0 - 180.0
    zone = min(int((lon + 180.0) // 6.0) + 1, 60)
    if 56.0 <= lat < 64.0 and 3.0 <= lon < 12.0:
        zone = 32
    elif 72.0 <= lat <= 84.0 and 0.0 <= lon < 42.0:
        zone = 31 + 2 * int((lon + 3.0) // 12.0)
    return (32600 if lat >= 0.0 else 32700) + zone


def mgrs_epsg(mgrs_tile: str) -> int:
    """EPSG code of a Sentinel-2 tile name such as ``33UUP``; bands N to X lie in the north."""
    return (32600 if mgrs_tile[2] >= "N" else 32700) + int(mgrs_tile[:2])


def is_snapped(grid: PatchGrid) -> bool:
    """Whether a 10 m grid lies on the Sentinel-2 lattice of its zone, so that all bands nest."""
    left, top = _snap(grid.left, 0.0), _snap(grid.top, _lattice_origin(grid.epsg))
    whole = grid.height % 6 == 0 and grid.width % 6 == 0
    return grid.resolution == 10.0 and whole and (left, top) == (grid.left, grid.top)


def _lattice_origin(epsg: int) -> float:
    return SOUTHERN_FALSE_NORTHING_M if epsg >= 32700 else 0.0


@lru_cache(maxsize=256)
def crs_transformer(source_epsg: int, target_epsg: int) -> Transformer:
    """From one CRS to another; x, or longitude, comes first on both sides."""
    return Transformer.from_crs(source_epsg, target_epsg, always_xy=True)


def _cut_at_antimeridian(outline: BaseGeometry) -> BaseGeometry:
    def eastward(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([xy[:, 0] % 360.0, xy[:, 1]])

    whole = shapely.transform(outline, eastward)
    before = shapely.clip_by_rect(whole, 0.0, -90.0, 180.0, 90.0)
    behind = shapely.clip_by_rect(whole, 180.0, -90.0, 360.0, 90.0)
    return shapely.union(before, shapely.transform(behind, lambda xy: xy - [360.0, 0.0]))


def _snap(value: float, origin: float) -> float:
    steps = math.floor((value - origin) / SENTINEL2_LATTICE_M + 0.5)
    return origin + steps * SENTINEL2_LATTICE_M
