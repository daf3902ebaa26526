"""Towns and villages, and the roads that join them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.noise import uniform
from pipeline.simulator.sheets import EARTH_RADIUS_M, NodeLattice, SheetPoints

_CELL_M = 5_500.0
_SHARE_OF_SETTLED_CELLS = 0.8
_SMALLEST_RADIUS_M = 370.0
_LARGEST_RADIUS_M = 4_500.0
_TAIL = 0.6  # radii follow a power law; Zipf's law of city sizes has this shape
_SHARE_OF_LINKS = 0.75
_METRES_PER_DEGREE = math.radians(EARTH_RADIUS_M)
_ROWS = round(180.0 * _METRES_PER_DEGREE / _CELL_M)
_ROW_DEGREES = 180.0 / _ROWS


@dataclass(frozen=True)
class Settlement:
    """A built-up place.

    Attributes:
        lon: Middle, degrees.
        lat: Middle, degrees.
        radius: Of the built-up area, metres.
    """

    lon: float
    lat: float
    radius: float


@dataclass(frozen=True)
class Road:
    """A road between two settlements on a sheet: from (u, v) to (u, v), metres."""

    start: tuple[float, float]
    end: tuple[float, float]
    half_width: float


def density(nodes: NodeLattice, seed: int) -> NDArray[np.float32]:
    """How urban the nodes are: 1 in the middle of a settlement, 0 at its edge, down to -1."""
    highest = np.full(nodes.shape, -1.0, np.float32)
    reach = 2.0 * _LARGEST_RADIUS_M
    for place in _settlements_near(_bounds(nodes), reach, seed):
        scale = _METRES_PER_DEGREE * math.cos(math.radians(place.lat))
        east = (((nodes.lon - place.lon + 180.0) % 360.0 - 180.0) * scale)[None, :]
        north = ((nodes.lat - place.lat) * _METRES_PER_DEGREE)[:, None]
        distance = np.sqrt(east * east + north * north)
        np.maximum(highest, (1.0 - distance / place.radius).astype(np.float32), out=highest)
    return highest


def roads_near(points: SheetPoints, seed: int) -> list[Road]:
    """Roads that may cross the window."""
    east, north = points.sheet.metres_per_degree
    west_u, east_u = float(points.u.min()), float(points.u.max())
    south_v, north_v = float(points.v.min()), float(points.v.max())
    bounds = (west_u / east, south_v / north, east_u / east, north_v / north)
    middle = ((west_u + east_u) / 2.0, (south_v + north_v) / 2.0)
    reach = math.hypot(east_u - west_u, north_v - south_v) / 2.0 + 300.0
    found = []
    for one, other in _links_near(bounds, 2.5 * _CELL_M, seed):
        start = (one.lon * east, one.lat * north)
        end = (other.lon * east, other.lat * north)
        if _distance_to_segment(middle, start, end) <= reach:
            width = 5.0 + 6.0 * min(1.0, min(one.radius, other.radius) / 1500.0)
            found.append(Road(start, end, width))
    return found


def distance_to_road(
    points: SheetPoints, road: Road, bend: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Distance of the pixels to a road, metres; infinite beyond its ends.

    Args:
        points: The pixels.
        road: Which road.
        bend: Sideways shift of the road from the straight line, metres, (rows, columns).
    """
    along = (road.end[0] - road.start[0], road.end[1] - road.start[1])
    length = math.hypot(*along)
    along = (along[0] / length, along[1] / length)
    east, north = points.u - road.start[0], points.v - road.start[1]
    position = (east * along[0] + north * along[1]).astype(np.float32)
    aside = (north * along[0] - east * along[1]).astype(np.float32)
    taper = np.clip(np.minimum(position, np.float32(length) - position) / 800.0, 0.0, 1.0)
    distance = np.abs(aside + bend * taper)
    outside = (position < 0.0) | (position > length)
    return np.where(outside, np.float32(np.inf), distance)


def _settlements_near(
    bounds: tuple[float, float, float, float], reach: float, seed: int
) -> Iterator[Settlement]:
    for row, column in _cells_near(bounds, reach):
        place = _settlement(row, column, seed)
        if place is not None:
            yield place


def _links_near(
    bounds: tuple[float, float, float, float], reach: float, seed: int
) -> Iterator[tuple[Settlement, Settlement]]:
    """Pairs of settlements joined by a road: neighbours to the east and to the north."""
    for row, column in _cells_near(bounds, reach):
        one = _settlement(row, column, seed)
        ahead = math.floor((column + 0.5) / _columns(row) * _columns(row + 1))
        for step, cell in enumerate(((row, (column + 1) % _columns(row)), (row + 1, ahead))):
            other = _settlement(*cell, seed)
            linked = uniform(seed, "road", row, column, step) < _SHARE_OF_LINKS
            if one and other and linked and abs(one.lon - other.lon) < 180.0:
                yield one, other


def _cells_near(
    bounds: tuple[float, float, float, float], reach: float
) -> Iterator[tuple[int, int]]:
    west, south, east, north = bounds
    margin = reach / _METRES_PER_DEGREE
    first = math.floor((south - margin + 90.0) / _ROW_DEGREES)
    last = math.floor((north + margin + 90.0) / _ROW_DEGREES)
    for row in range(max(0, first), min(_ROWS - 1, last) + 1):
        count = _columns(row)
        wider = margin / max(0.05, math.cos(math.radians((row + 0.5) * _ROW_DEGREES - 90.0)))
        start = math.floor((west - wider + 180.0) / 360.0 * count)
        stop = math.floor((east + wider + 180.0) / 360.0 * count)
        for column in range(start, min(stop, start + count - 1) + 1):
            yield row, column % count


def _columns(row: int) -> int:
    lat = math.radians((row + 0.5) * _ROW_DEGREES - 90.0)
    return max(1, round(360.0 * _METRES_PER_DEGREE * math.cos(lat) / _CELL_M))


@lru_cache(maxsize=8192)
def _settlement(row: int, column: int, seed: int) -> Settlement | None:
    key = (seed, "settlement", row, column)
    if uniform(*key, "settled") >= _SHARE_OF_SETTLED_CELLS:
        return None
    lon = (column + 0.1 + 0.8 * uniform(*key, "lon")) / _columns(row) * 360.0 - 180.0
    lat = (row + 0.1 + 0.8 * uniform(*key, "lat")) * _ROW_DEGREES - 90.0
    radius = _SMALLEST_RADIUS_M * (1.0 - uniform(*key, "radius")) ** -_TAIL
    return Settlement(lon, lat, min(radius, _LARGEST_RADIUS_M))


def _bounds(nodes: NodeLattice) -> tuple[float, float, float, float]:
    return float(nodes.lon[0]), float(nodes.lat[0]), float(nodes.lon[-1]), float(nodes.lat[-1])


def _distance_to_segment(
    point: tuple[float, float], start: tuple[float, float], end: tuple[float, float]
) -> float:
    along = (end[0] - start[0], end[1] - start[1])
    offset = (point[0] - start[0], point[1] - start[1])
    share = (offset[0] * along[0] + offset[1] * along[1]) / (along[0] ** 2 + along[1] ** 2)
    share = min(1.0, max(0.0, share))
    return math.hypot(offset[0] - share * along[0], offset[1] - share * along[1])
