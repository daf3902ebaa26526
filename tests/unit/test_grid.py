"""The pixel grid: nesting, zones, footprints, against PROJ and against real places."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from pyproj.database import query_utm_crs_info

from pipeline.grid import PatchGrid, is_snapped, mgrs_epsg, patch_grid, utm_epsg

SAMPLE_DATA = Path(__file__).parents[2] / os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real")

longitudes = st.floats(-180.0, 180.0)
latitudes = st.floats(-80.0, 84.0)
patch_sizes = st.integers(1, 440).map(lambda blocks: 6 * blocks)


@given(longitudes, latitudes, patch_sizes)
def test_patches_lie_on_the_60_m_lattice_of_their_zone(lon, lat, pixels):
    grid = patch_grid(lon, lat, pixels)
    assert grid.left % 60 == 0
    assert grid.top % 60 == (40 if grid.epsg >= 32700 else 0)
    assert is_snapped(grid)


@given(longitudes, latitudes)
def test_the_centre_stays_within_half_a_lattice_step(lon, lat):
    grid = patch_grid(lon, lat, 264)
    to_utm = Transformer.from_crs(4326, grid.epsg, always_xy=True)
    easting, northing = to_utm.transform(lon, lat)
    left, bottom, right, top = grid.bounds
    assert abs((left + right) / 2 - easting) <= 30.0 + 1e-6
    assert abs((bottom + top) / 2 - northing) <= 30.0 + 1e-6


@pytest.mark.parametrize("lat", [48.1, -33.9])
@pytest.mark.parametrize("factor", [2, 6])
def test_coarse_pixels_are_whole_blocks_of_fine_ones(lat, factor):
    fine = patch_grid(18.4, lat, 264)
    coarse = fine.coarsened(factor)
    assert coarse.bounds == fine.bounds
    assert coarse.shape == (264 // factor, 264 // factor)
    fine_x, fine_y = fine.pixel_centres()
    coarse_x, coarse_y = coarse.pixel_centres()
    np.testing.assert_array_equal(fine_x.reshape(-1, factor).mean(axis=1), coarse_x)
    np.testing.assert_array_equal(fine_y.reshape(-1, factor).mean(axis=1), coarse_y)


def test_blocks_that_do_not_fill_the_patch_are_refused():
    with pytest.raises(ValueError, match="blocks of 7"):
        patch_grid(11.0, 48.0, 264).coarsened(7)


def test_patches_of_broken_60_m_pixels_are_refused():
    with pytest.raises(ValueError, match="whole number of 60 m"):
        patch_grid(11.0, 48.0, 100)


def test_transform_bounds_and_centres_say_the_same():
    grid = PatchGrid(32633, 300_000.0, 5_000_040.0, height=3, width=4)
    x, y = grid.pixel_centres()
    assert grid.transform @ (0.5, 0.5) == (x[0], y[0])
    assert grid.transform @ (3.5, 2.5) == (x[-1], y[-1])
    assert grid.bounds == (300_000.0, 5_000_010.0, 300_040.0, 5_000_040.0)
    assert grid.geobox.shape == grid.shape == (3, 4)
    assert tuple(grid.geobox.extent.boundingbox) == grid.bounds


@pytest.mark.parametrize(
    ("place", "lon", "lat", "epsg"),
    [
        ("Munich", 11.6, 48.1, 32632),
        ("Bergen, zone 32 instead of 31", 5.3, 60.4, 32632),
        ("west of the widened zone 32", 2.9, 60.4, 32631),
        ("north of the widened zone 32", 5.3, 64.0, 32631),
        ("east of the widened zone 32", 12.1, 60.4, 32633),
        ("Svalbard west", 8.9, 78.0, 32631),
        ("Longyearbyen", 15.6, 78.2, 32633),
        ("Svalbard east", 21.0, 78.0, 32635),
        ("Franz Josef Land", 41.9, 80.0, 32637),
        ("east of the widened zone 37", 42.0, 80.0, 32638),
        ("south of Svalbard's zones", 8.0, 71.9, 32632),
        ("Quito, just south", -78.5, -0.2, 32717),
        ("equator", 0.0, 0.0, 32631),
        ("west side of the antimeridian", 179.99, -17.0, 32760),
        ("east side of the antimeridian", -179.99, -17.0, 32701),
        ("the antimeridian itself", 180.0, -17.0, 32701),
    ],
)
def test_zones_and_their_exceptions(place, lon, lat, epsg):
    assert utm_epsg(lon, lat) == epsg, place


@given(
    st.integers(-180_000, 180_000).map(lambda thousandths: thousandths / 1000),
    st.integers(-80_000, 55_999).map(lambda thousandths: thousandths / 1000),
)
def test_zones_agree_with_the_epsg_register(lon, lat):
    zone = register()[str(utm_epsg(lon, lat))]
    assert zone.south <= lat <= zone.north
    assert zone.west <= lon <= zone.east or (abs(lon) == 180.0 and 180.0 in (-zone.west, zone.east))


@cache
def register():
    return {info.code: info.area_of_use for info in query_utm_crs_info("WGS 84")}


@pytest.mark.parametrize(("tile", "epsg"), [("33UUP", 32633), ("01NAA", 32601), ("34HEJ", 32734)])
def test_zone_of_a_tile_name(tile, epsg):
    assert mgrs_epsg(tile) == epsg


@given(longitudes, latitudes)
def test_the_footprint_covers_the_ground_of_the_patch(lon, lat):
    grid = patch_grid(lon, lat, 264)
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(grid.footprint)
    # The scale of UTM within a zone (32V reaches 6 degrees from its meridian) squared.
    assert abs(area) == pytest.approx(2640.0**2, rel=0.012)
    assert grid.footprint.is_valid


def test_footprint_corners_are_those_of_proj():
    grid = patch_grid(11.6, 48.1, 264)
    left, bottom, right, top = grid.bounds
    to_lonlat = Transformer.from_crs(grid.epsg, 4326, always_xy=True)
    vertices = shapely.MultiPoint(shapely.get_coordinates(grid.footprint))
    for corner in [(left, bottom), (left, top), (right, bottom), (right, top)]:
        distance = vertices.distance(shapely.Point(to_lonlat.transform(*corner)))
        assert distance < 1e-12
    assert grid.footprint.contains(shapely.Point(grid.centre_lonlat))


@pytest.mark.parametrize("lon", [180.0, 179.995, -179.995])
def test_a_footprint_across_the_antimeridian_is_cut_there(lon):
    grid = patch_grid(lon, -16.8, 264)
    west, _, east, _ = grid.footprint.bounds
    assert (west, east) == (-180.0, 180.0)
    assert len(grid.footprint.geoms) == 2
    for part in grid.footprint.geoms:
        assert part.bounds[2] - part.bounds[0] < 0.03


def test_real_places_lie_in_the_zone_of_their_scenes():
    path = SAMPLE_DATA / "ssl4eo_v11_val_metadata.parquet"
    if not path.exists():
        pytest.skip("sample data are not here; set NOLDO_SAMPLE_DATA")
    rows = pd.read_parquet(path).drop_duplicates("sample_id")
    centres = shapely.centroid(shapely.from_wkb(rows.geometry))
    own_zone = [utm_epsg(point.x, point.y) for point in centres]
    assert (rows.tile_crs == own_zone).mean() == pytest.approx(0.959, abs=0.001)
    assert list(rows.tile_crs) == [mgrs_epsg(tile.removeprefix("T")) for tile in rows.tile_id]
