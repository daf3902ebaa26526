"""How many patches fit: a figure that drawing confirms, whatever the sense of the rings."""

import pytest
import shapely

from pipeline.locations.areas import read_area
from pipeline.locations.capacity import expected_capacity

SQUARE = "POLYGON ((11 48, 12 48, 12 49, 11 49, 11 48))"
HOLE = "(11.2 48.2, 11.2 48.8, 11.8 48.8, 11.8 48.2, 11.2 48.2)"
HOLLOW = f"{SQUARE.removesuffix(')')}, {HOLE})"


def test_the_ground_of_a_degree_square():
    # 73.9 km by 111.2 km at 48.5 degrees north, widened by the reach of 2.64 km patches.
    expected = 0.562 * (73.9 + 2.64) * (111.2 + 2.64) / 2.64**2
    assert expected_capacity(read_area(SQUARE), 2640.0, 1.0) == pytest.approx(expected, rel=0.02)


def test_the_sense_of_the_rings_does_not_matter():
    area = read_area(HOLLOW)
    assert expected_capacity(area, 600.0, 1.0) == expected_capacity(area.reverse(), 600.0, 1.0)
    whole = expected_capacity(read_area(SQUARE), 600.0, 1.0)
    assert expected_capacity(area, 600.0, 1.0) == pytest.approx(0.64 * whole, rel=0.04)


def test_half_the_land_holds_half_the_patches():
    area = read_area(SQUARE)
    half, whole = (expected_capacity(area, 600.0, share) for share in (0.5, 1.0))
    assert half == pytest.approx(whole / 2, rel=0.03)


def test_any_area_holds_one_patch():
    assert expected_capacity(shapely.box(11.0, 48.0, 11.0001, 48.0001), 2640.0, 1.0) == 1
