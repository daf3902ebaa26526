"""How many patches a region can hold: asked before the drawing starts."""

import math

import numpy as np
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

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
    surface, perimeter = Geod(ellps="WGS84").geometry_area_perimeter(area)
    reach = perimeter * side_m / 2 * 4 / math.pi + side_m**2
    return max(1, round(JAMMED_SHARE * (abs(surface) * land_share + reach) / side_m**2))


def check_room(area: BaseGeometry, sampler: Sampler, side_m: float, count: int) -> None:
    """Refuse at once what an area can never hold.

    Tiling without gaps would hold ``1 / JAMMED_SHARE`` = 1.78 times the expected number, so twice
    that number is out of reach; what lies between is found out by drawing.

    Raises:
        PipelineError: More than that was asked for.
    """
    stream = np.random.default_rng(0)
    draws = [sampler.draw(stream) for _ in range(TRIAL_DRAWS)]
    hits = [place for place in draws if place is not None]
    land_share = float(np.mean([is_land(*place) for place in hits])) if hits else 1.0
    expected = expected_capacity(area, side_m, land_share)
    if count > 2 * expected:
        raise no_room(expected, side_m, count, sampler)


def no_room(held: int, side_m: float, count: int, sampler: Sampler) -> PipelineError:
    """The error for a region that is full."""
    return PipelineError(
        f"the region holds at most about {held} non-overlapping patches of {side_m / 1000:g} km; "
        f"asked for {count}: {sampler.remedy}"
    )
