"""How places are drawn: around cities, over all land, or in an area of interest.

A sampler makes one draw from a stream of random numbers; what is kept of the draws is decided in
`pipeline.locations.sampling`.
"""

import csv
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.locations.overlap import EARTH_RADIUS_M

SENTINEL2_LATITUDES = -56.0, 82.8
"""Where Sentinel-2 acquires all land, degrees: Cape Horn to north of Greenland.
Source: https://sentinel.esa.int/web/sentinel/missions/sentinel-2/observation-scenario"""

_PIECE_FILL = 0.5
"""A draw in a piece's bounding box hits the piece at least about this often."""

_CUTS = 12
"""Ends the cutting of thin shapes; a piece is then 1/64 of the area's extent."""


class Place(NamedTuple):
    """A point on the Earth, degrees east and north."""

    lon: float
    lat: float


class Sampler(Protocol):
    """One way to draw places."""

    @property
    def remedy(self) -> str:
        """What the user can change when no more places fit."""

    def draw(self, stream: np.random.Generator) -> Place | None:
        """Draw one place; None if this draw missed the region and the next must be tried."""


@dataclass(frozen=True)
class CitySampler:
    """A random city, all alike, and a Gaussian distance north and east of it.

    Source: SSL4EO-S12, Wang et al. 2023, section III (10,000 most populous cities, standard
    deviation 50 km). Distances are true on the ground at every latitude, which they are not there.

    Attributes:
        cities: Longitude and latitude, (city, 2), degrees.
        spread_m: Standard deviation in each direction, metres.
    """

    cities: NDArray[np.float64]
    spread_m: float
    remedy: str = "raise locations.city_count or locations.city_spread_km, or lower locations.count"

    def draw(self, stream: np.random.Generator) -> Place:
        """Draw a place around a city."""
        lon, lat = self.cities[stream.integers(len(self.cities))]
        east, north = stream.normal(scale=self.spread_m, size=2)
        return displaced(Place(lon, lat), east, north)


@dataclass(frozen=True)
class LandSampler:
    """Uniform by area over the latitudes that Sentinel-2 covers; the sea is left out afterwards."""

    remedy: str = "lower locations.count"

    def draw(self, stream: np.random.Generator) -> Place:
        """Draw a place on a sphere (an ellipsoid's density differs by less than 0.7 %)."""
        south, north = SENTINEL2_LATITUDES
        return _draw_in_box((-180.0, south, 180.0, north), stream)


class AreaSampler:
    """Uniform by area inside an area of interest.

    The area is cut into pieces that fill their bounding boxes well; a draw takes a box by its
    size and a place in it, and misses if that place is outside the piece.
    """

    remedy = "enlarge locations.area, or lower locations.count"

    def __init__(self, area: BaseGeometry) -> None:
        """Prepare an area given in longitude and latitude, degrees, within -180..180."""
        self._pieces = [piece for part in shapely.get_parts(area) for piece in _pieces(part, _CUTS)]
        shapely.prepare(self._pieces)
        self._boxes = [piece.bounds for piece in self._pieces]
        sizes = np.array([_box_size(box) for box in self._boxes])
        self._upper = np.cumsum(sizes) / sizes.sum()

    def draw(self, stream: np.random.Generator) -> Place | None:
        """Draw a place in the area, or None."""
        number = min(int(np.searchsorted(self._upper, stream.random())), len(self._boxes) - 1)
        place = _draw_in_box(self._boxes[number], stream)
        return place if shapely.contains_xy(self._pieces[number], *place) else None


def largest_cities(count: int) -> NDArray[np.float64]:
    """Longitude and latitude of the most populous cities, (count, 2), degrees.

    Source: ``cities.csv``, GeoNames (CC BY 4.0); see ``workflow/config/sources.csv``.
    """
    with files("pipeline.locations").joinpath("cities.csv").open(encoding="utf-8") as file:
        places = [(float(row["lon"]), float(row["lat"])) for row in csv.DictReader(file)]
    return np.array(places[:count])


def displaced(start: Place, east_m: float, north_m: float) -> Place:
    """The place reached along the great circle that leaves in the given direction.

    Source: the direct problem on a sphere, e.g. Snyder 1987, USGS Professional Paper 1395,
    equations (5-5) and (5-6).
    """
    angle = math.hypot(east_m, north_m) / EARTH_RADIUS_M
    bearing = math.atan2(east_m, north_m)
    lat = math.radians(start.lat)
    sine = math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(bearing)
    turn = math.atan2(
        math.sin(angle) * math.sin(bearing),
        math.cos(lat) * math.cos(angle) - math.sin(lat) * math.sin(angle) * math.cos(bearing),
    )
    lon = (start.lon + math.degrees(turn) + 180.0) % 360.0 - 180.0
    return Place(lon, math.degrees(math.asin(max(-1.0, min(1.0, sine)))))


def _draw_in_box(box: tuple[float, float, float, float], stream: np.random.Generator) -> Place:
    """Uniform by area: the area between two parallels goes with the sine of the latitude."""
    west, south, east, north = box
    lon = stream.uniform(west, east)
    sine = stream.uniform(math.sin(math.radians(south)), math.sin(math.radians(north)))
    return Place(lon, math.degrees(math.asin(sine)))


def _box_size(box: tuple[float, float, float, float]) -> float:
    west, south, east, north = box
    return (east - west) * (math.sin(math.radians(north)) - math.sin(math.radians(south)))


def _pieces(part: BaseGeometry, cuts: int) -> list[BaseGeometry]:
    """Halve a polygon across its longer side until each piece fills half of its bounding box."""
    west, south, east, north = part.bounds
    box_area = (east - west) * (north - south)
    if cuts == 0 or part.area >= _PIECE_FILL * box_area:
        return [part] if part.area > 0.0 else []
    if east - west > north - south:
        middle = (west + east) / 2
        halves = (west, south, middle, north), (middle, south, east, north)
    else:
        middle = (south + north) / 2
        halves = (west, south, east, middle), (west, middle, east, north)
    return [
        piece
        for half in halves
        for smaller in shapely.get_parts(shapely.clip_by_rect(part, *half))
        for piece in _pieces(smaller, cuts - 1)
    ]
