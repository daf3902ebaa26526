"""How many patches a region can hold: asked before the drawing starts."""

import math

import numpy as np
import shapely
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


def expected_capacity(area: BaseGeometry, side_m: float, land_share: float) -> int:
    """About how many square patches fit whose centres are drawn at random in an area.

    Patches may reach out of the area by half a side: the ground they can cover is the area
    widened by that much, ``A + P h 4/pi + 4 h^2`` on average over directions (Steiner's formula
    for a square of half-side h).

    Args:
        area: In longitude and latitude, degrees.
        side_m: Side of a patch, metres.
        land_share: Share of the area in which centres are accepted.
    """
    ellipsoid = Geod(ellps="WGS84")
    # The sign of an area, and of the holes in it, follows from the sense of the rings.
    measured = [ellipsoid.geometry_area_perimeter(orient(part)) for part in shapely.get_parts(area)]
    surface, perimeter = np.sum(measured, axis=0)
    reach = perimeter * side_m / 2 * 4 / math.pi + len(measured) * side_m**2
    return max(1, round(JAMMED_SHARE * (surface * land_share + reach) / side_m**2))


def check_room(area: BaseGeometry, sampler: Sampler, side_m: float, count: int) -> None:
    """Refuse at once what an area can never hold.

    Tiling without gaps would hold ``1 / JAMMED_SHARE`` = 1.78 times the expected number, so twice
    that number is out of reach; what lies between is found out by drawing.

    Raises:
        PipelineError: More than that was asked for.
    """
    stream = np.random.default_rng(0)
    draws = [sampler.draw(stream) for _ in range(TRIAL_DRAWS)]
    land = [is_land(*place) for place in draws if place is not None]
    if not any(land):
        return  # all sea, or nearly; drawing finds out
    expected = expected_capacity(area, side_m, float(np.mean(land)))
    if count > 2 * expected:
        raise no_room(expected, side_m, count, sampler)


def no_room(held: int, side_m: float, count: int, sampler: Sampler) -> PipelineError:
    """The error for a region that is full."""
    return PipelineError(
        f"the region holds at most about {held} non-overlapping patches of {side_m / 1000:g} km; "
        f"asked for {count}: {sampler.remedy}"
    )
