"""Longitude and latitude to UTM and back, for single points and arrays."""

from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

_DENSIFIED_EDGE_M = 20_000.0


def from_lonlat(
    epsg: int, lon: ArrayLike, lat: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting and northing in a UTM zone, metres."""
    x, y = _transformer(4326, epsg).transform(lon, lat)
    return x, y


def to_lonlat(
    epsg: int, x: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude, degrees; longitudes stay within 180 degrees of the zone's middle."""
    lon, lat = _transformer(epsg, 4326).transform(x, y)
    middle = central_meridian(epsg)
    return (np.asarray(lon) - middle + 180.0) % 360.0 - 180.0 + middle, lat


def central_meridian(epsg: int) -> float:
    """Longitude of the middle of a UTM zone, degrees."""
    return (epsg % 100) * 6.0 - 183.0


def is_utm(epsg: int) -> bool:
    """Whether the code is one of the 120 WGS 84 UTM zones."""
    return epsg // 100 in (326, 327) and 1 <= epsg % 100 <= 60


def lonlat_outline(epsg: int, outline: BaseGeometry) -> BaseGeometry:
    """A polygon of a UTM zone in longitude and latitude, cut in two at the 180th meridian."""
    dense = shapely.segmentize(outline, _DENSIFIED_EDGE_M)
    ring = shapely.transform(dense, lambda xy: np.column_stack(to_lonlat(epsg, *xy.T)))
    return _cut_at_antimeridian(ring)


def _cut_at_antimeridian(polygon: BaseGeometry) -> BaseGeometry:
    west, _, east, _ = polygon.bounds
    if west >= -180.0 and east <= 180.0:
        return polygon
    parts = []
    for turn in (-360.0, 0.0, 360.0):
        moved = shapely.transform(polygon, lambda xy, turn=turn: xy + (turn, 0.0))
        part = moved.intersection(box(-180.0, -90.0, 180.0, 90.0))
        if part.area > 0.0:
            parts.append(part)
    return shapely.union_all(parts)


@lru_cache(maxsize=256)
def _transformer(source_epsg: int, target_epsg: int) -> Transformer:
    return Transformer.from_crs(source_epsg, target_epsg, always_xy=True)
