"""The overlap rule: exact within a zone, true across zones, the antimeridian and cells."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from pipeline.grid import PatchGrid, patch_grid
from pipeline.locations.overlap import PatchIndex, patches_overlap

SIDE_M = 2640.0


def shared_area(first: PatchGrid, second: PatchGrid) -> float:
    """Square metres on an azimuthal projection around the first patch, by another way."""
    lon, lat = first.centre_lonlat
    local = f"+proj=laea +lon_0={lon} +lat_0={lat} +datum=WGS84"
    outlines = []
    for grid in (first, second):
        to_local = Transformer.from_crs(grid.epsg, local, always_xy=True)
        dense = shapely.segmentize(shapely.box(*grid.bounds), 100.0)
        outlines.append(
            shapely.transform(
                dense, lambda xy, move=to_local: np.column_stack(move.transform(*xy.T))
            )
        )
    return outlines[0].intersection(outlines[1]).area


def test_a_shared_edge_is_no_overlap_but_one_metre_is():
    grid = PatchGrid(32633, 300_000.0, 5_000_040.0, 264, 264)
    beside = PatchGrid(32633, 302_640.0, 5_000_040.0, 264, 264)
    nearly = PatchGrid(32633, 302_639.0, 5_002_679.0, 264, 264)
    above = PatchGrid(32633, 300_000.0, 5_002_680.0, 264, 264)
    for one, other in ((grid, beside), (beside, grid), (grid, above), (above, grid)):
        assert not patches_overlap(one, other)
    assert patches_overlap(grid, nearly)
    assert patches_overlap(grid, grid)


@given(
    st.sampled_from([6.0, -60.0, 179.9999, -180.0, 12.0]),
    st.floats(-79.0, 83.0),
    st.floats(-4000.0, 4000.0),
    st.floats(-4000.0, 4000.0),
)
def test_overlap_across_zone_edges_is_that_of_the_ground(edge, lat, east_m, north_m):
    first = patch_grid(edge, lat, 264)
    degree_m = 111_320.0
    lon = edge + east_m / (degree_m * np.cos(np.radians(lat)))
    second = patch_grid((lon + 180.0) % 360.0 - 180.0, lat + north_m / degree_m, 264)
    shared = shared_area(first, second)
    found = patches_overlap(first, second)
    assert found == patches_overlap(second, first)
    if shared > 100.0:  # a seam of four centimetres
        assert found
    if shared == 0.0 and first.epsg == second.epsg:
        assert not found


@given(
    st.floats(-180.0, 180.0),
    st.floats(-79.0, 83.5),
    st.lists(
        st.tuples(st.floats(-9000.0, 9000.0), st.floats(-9000.0, 9000.0)), min_size=2, max_size=12
    ),
)
def test_the_index_finds_what_comparing_all_pairs_finds(lon, lat, offsets):
    scale = 111_320.0
    grids = [
        patch_grid(
            (lon + east / (scale * np.cos(np.radians(lat))) + 180.0) % 360.0 - 180.0,
            min(lat + north / scale, 84.0),
            264,
        )
        for east, north in offsets
    ]
    index = PatchIndex(SIDE_M)
    for number, grid in enumerate(grids):
        expected = [k for k in range(number) if patches_overlap(grids[k], grid)]
        assert index.first_overlap(grid) == min(expected, default=None)
        index.add(number, grid)


@pytest.mark.parametrize("pixels", [6, 264, 2640])
def test_patches_corner_to_corner_are_found(pixels):
    # The largest distance between centres at which patches still overlap.
    side = pixels * 10.0
    index = PatchIndex(side)
    for zone_edge in (500_000.0, 170_040.0):
        first = PatchGrid(32601, zone_edge, 60_000.0, pixels, pixels)
        index.add(0, first)
        for dx, dy in [(1, 1), (1, -1), (-1, 1), (-1, -1)]:
            corner = PatchGrid(
                32601, zone_edge + dx * (side - 1), 60_000.0 + dy * (side - 1), pixels, pixels
            )
            assert index.first_overlap(corner) == 0


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (1, -1)])
def test_corners_are_found_where_the_diagonal_lies_along_the_lattice(dx, dy):
    """Near the pole at 45 degrees east the corners lie across a single face of the cells."""
    place = patch_grid(45.0, 82.0, 264)
    for step in range(0, 4000, 250):
        first = replace(place, left=place.left + step, top=place.top + step * dy)
        reach = SIDE_M - 1.0
        corner = replace(first, left=first.left + dx * reach, top=first.top + dy * reach)
        index = PatchIndex(SIDE_M)
        index.add(0, first)
        assert index.first_overlap(corner) == 0


def test_a_patch_wider_than_the_index_is_refused():
    with pytest.raises(ValueError, match="wider than 60"):
        PatchIndex(60.0).add(0, patch_grid(11.0, 48.0, 264))


def test_an_empty_index_has_no_overlap():
    assert PatchIndex(SIDE_M).first_overlap(patch_grid(11.0, 48.0, 264)) is None
