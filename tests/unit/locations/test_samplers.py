"""Where draws fall: distances to cities, shares of latitudes, shares of an area."""

import numpy as np
import pytest
import shapely
from pyproj import Geod

from pipeline.locations.areas import read_area
from pipeline.locations.land import is_land
from pipeline.locations.samplers import (
    AreaSampler,
    CitySampler,
    LandSampler,
    Place,
    displaced,
    largest_cities,
)

GEOD = Geod(ellps="WGS84")


def draws(sampler, count: int) -> np.ndarray:
    stream = np.random.default_rng(0)
    places = [sampler.draw(stream) for _ in range(count)]
    return np.array([place for place in places if place is not None])


def test_cities_come_by_population_with_the_largest_first():
    cities = largest_cities(10_000)
    assert cities.shape == (10_000, 2)
    np.testing.assert_array_equal(largest_cities(3), cities[:3])
    shanghai = GEOD.inv(*cities[0], 121.47, 31.23)[2]
    assert shanghai < 10_000.0
    assert np.abs(cities[:, 0]).max() <= 180.0
    assert np.abs(cities[:, 1]).max() < 72.0
    # Swapped columns would put most cities into the sea.
    assert is_land(*cities.T).mean() > 0.98


@pytest.mark.parametrize("city", [(8.7, 0.0), (25.0, 70.0), (179.9, -17.0)])
def test_the_spread_around_a_city_is_50_km_in_each_direction_at_any_latitude(city):
    places = draws(CitySampler(np.array([city]), 50_000.0), 4000)
    lon, lat = np.array(city)[:, None] * np.ones(4000)
    azimuth, _, distance = GEOD.inv(lon, lat, *places.T)
    east = distance * np.sin(np.radians(azimuth))
    north = distance * np.cos(np.radians(azimuth))
    for offset in (east, north):
        assert offset.std() == pytest.approx(50_000.0, rel=0.04)
        assert abs(offset.mean()) < 3000.0
    assert np.abs(places[:, 0]).max() <= 180.0


def test_every_city_is_as_likely_as_any_other():
    cities = np.array([(0.0, 0.0), (40.0, 0.0), (80.0, 0.0), (120.0, 0.0)])
    nearest = np.round(draws(CitySampler(cities, 1000.0), 4000)[:, 0] / 40.0)
    shares = np.bincount(nearest.astype(int)) / 4000
    np.testing.assert_allclose(shares, 0.25, atol=0.03)


@pytest.mark.parametrize("start", [Place(11.6, 48.1), Place(-179.99, -60.0), Place(0.0, 80.0)])
def test_displacements_go_the_distance_in_the_direction(start):
    east_m, north_m = 30_000.0, -40_000.0
    azimuth, _, distance = GEOD.inv(*start, *displaced(start, east_m, north_m))
    assert distance == pytest.approx(50_000.0, rel=0.007)
    assert azimuth == pytest.approx(np.degrees(np.arctan2(east_m, north_m)), abs=0.6)


def test_land_is_drawn_by_area_not_by_degree():
    lat = draws(LandSampler(), 20_000)[:, 1]
    assert lat.min() >= -56.0
    assert lat.max() <= 82.8
    # Between 0 and 30 degrees lies half of a hemisphere; by degree it would be a third.
    sine = np.sin(np.radians([-56.0, 82.8]))
    expected = 0.5 / (sine[1] - sine[0])
    assert ((lat > 0) & (lat < 30)).mean() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    "wkt",
    [
        "POLYGON ((1 47, 3 47, 3 49, 1 49, 1 47), (1.5 47.5, 2.5 47.5, 2.5 48.5, 1.5 47.5))",
        "POLYGON ((0 0, 60 59.9, 60 60, 0 0.1, 0 0))",
        "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((100 60, 103 60, 103 63, 100 60)))",
        "POLYGON ((170 -20, 190 -20, 190 -10, 170 -10, 170 -20))",
    ],
    ids=["hole", "thin diagonal", "two far apart", "antimeridian"],
)
def test_areas_are_drawn_evenly_and_nowhere_else(wkt):
    area = read_area(wkt)
    places = draws(AreaSampler(area), 12_000)
    assert len(places) > 12_000 * 0.3
    assert shapely.contains_xy(area.buffer(1e-9), *places.T).all()
    west, south, east, north = area.bounds
    for half in [
        shapely.box(west, south, (west + east) / 2, north),
        shapely.box(west, south, east, (south + north) / 2),
    ]:
        share = shapely.contains_xy(half, *places.T).mean()
        expected = ground_area(area.intersection(half)) / ground_area(area)
        assert share == pytest.approx(expected, abs=0.02)


def ground_area(shape) -> float:
    """Area on Lambert's cylindrical equal-area projection."""
    dense = shapely.segmentize(shape, 0.1)
    return shapely.transform(
        dense, lambda xy: np.column_stack([xy[:, 0], np.sin(np.radians(xy[:, 1]))])
    ).area
