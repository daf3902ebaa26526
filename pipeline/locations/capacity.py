"""How many patches a region can hold: asked before the drawing starts."""

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from pipeline.errors import PipelineError
from pipeline.locations.land import is_land
from pipeline.locations.samplers import Sampler

JAMMED_SHARE = 0.562
"""Share covered when squares are dropped at random until none fits any more.
Source: Brosilow, Ziff and Vigil 1991, Phys. Rev. A 43, 631 (0.562009)."""

TRIAL_DRAWS = 2_000

METRES_PER_DEGREE = 111_195.0
"""Of a great circle of the mean Earth, `pipeline.locations.overlap.EARTH_RADIUS_M`."""


def expected_capacity(area: BaseGeometry, side_m: float, land_share: float) -> int:
    """About how many square patches fit whose centres are drawn at random in an area.

    Patches may reach out of the area by half a side: the ground they can cover is the area
    widened by that much, ``A + P h 4/pi + 4 h^2`` on average over directions (Steiner's formula
    for a square of half-side h).

    Args:
        area: In longitude and latitude, degrees.
        side_m: Side of a patch, metres.
        land_share: Share of the area that patches centred on land can reach.
    """
    ellipsoid = Geod(ellps="WGS84")
    # The sign of an area, and of the holes in it, follows from the sense of the rings.
    measured = [ellipsoid.geometry_area_perimeter(orient(part)) for part in shapely.get_parts(area)]
    surface, perimeter = np.sum(measured, axis=0)
    reach = perimeter * side_m / 2 * 4 / math.pi + len(measured) * side_m**2
    return max(1, round(JAMMED_SHARE * (surface * land_share + reach) / side_m**2))


def check_room(area: BaseGeometry, sampler: Sampler, side_m: float, count: int) -> None:
    """Refuse at once what an area can never hold.

    Tiling all ground in reach without gaps takes ``1 / JAMMED_SHARE`` = 1.78 times the expected
    number, so twice that number is impossible; what lies between is found out by drawing.

    Raises:
        PipelineError: More than that was asked for.
    """
    stream = np.random.default_rng(0)
    draws = [sampler.draw(stream) for _ in range(TRIAL_DRAWS)]
    hits = np.array([place for place in draws if place is not None]).reshape(-1, 2)
    near_land = _land_in_reach(hits, side_m)
    if not near_land.any():
        return  # all sea, or nearly; drawing finds out
    expected = expected_capacity(area, side_m, float(near_land.mean()))
    if count > 2 * expected:
        raise no_room(expected, side_m, count, sampler)


def _land_in_reach(places: NDArray[np.float64], side_m: float) -> NDArray[np.bool_]:
    """Whether a patch centred on land can cover a place: land on a 3 x 3 raster around it."""
    lon, lat = places.T[:, :, None, None]
    steps = np.array([-0.5, 0.0, 0.5]) * side_m / METRES_PER_DEGREE
    south_north = np.clip(lat + steps[:, None], -90.0, 90.0)
    west_east = lon + steps / np.cos(np.radians(np.clip(lat, -89.0, 89.0)))
    land = is_land(west_east, south_north)
    return np.asarray(land.any(axis=(1, 2)), np.bool_)


def no_room(held: int, side_m: float, count: int, sampler: Sampler) -> PipelineError:
    """The error for a region that is full."""
    return PipelineError(
        f"the region holds at most about {held} non-overlapping patches of {side_m / 1000:g} km; "
        f"asked for {count}: {sampler.remedy}"
    )
