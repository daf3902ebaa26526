import datetime as dt

import numpy as np
import pytest

from pipeline.grid import PatchGrid, patch_grid
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.agreement import measure_agreement
from pipeline.osm_landuse.map_request import aligned_request
from pipeline.simulator.osm_layer import SimulatedOsmLayer, simulated_land_use
from pipeline.simulator.world import truth

SEED = 7
PLACES = [(8.7, 49.4), (36.8, -1.3), (11.9, 48.1)]


def at_ten_metres(grid):
    finer = PatchGrid(grid.epsg, grid.left, grid.top, 2 * grid.height, 2 * grid.width, 5.0)
    return simulated_land_use(finer, SEED)[::2, ::2]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_volunteers_map_most_of_the_truth_and_not_all_of_it_rightly(place):
    grid = patch_grid(*place, 300)
    agreement = measure_agreement(at_ten_metres(grid), truth(grid, dt.date(2020, 6, 21), SEED))
    assert 0.3 < agreement.osm_share < 0.9
    assert 0.75 < agreement.share < 0.99


def test_a_value_does_not_depend_on_the_window():
    grid = patch_grid(*PLACES[0], 120)
    whole = PatchGrid(grid.epsg, grid.left, grid.top, 240, 240, 5.0)
    part = PatchGrid(grid.epsg, grid.left + 300, grid.top - 450, 100, 80, 5.0)
    cut = simulated_land_use(whole, SEED)[90:190, 60:140]
    np.testing.assert_array_equal(simulated_land_use(part, SEED), cut)


def test_another_seed_is_another_map():
    grid = PatchGrid(32632, 475_000.0, 5_475_000.0, 100, 100, 5.0)
    assert (simulated_land_use(grid, 1) != simulated_land_use(grid, 2)).any()


def test_outlines_are_generalised():
    """No mapped patch is a speck: nearly all pixels have a neighbour of their class."""
    grid = PatchGrid(32632, 475_000.0, 5_475_000.0, 400, 400, 5.0)
    ids = simulated_land_use(grid, SEED)
    inner = ids[1:-1, 1:-1]
    neighbours = (ids[:-2, 1:-1], ids[2:, 1:-1], ids[1:-1, :-2], ids[1:-1, 2:])
    alike = np.sum([neighbour == inner for neighbour in neighbours], axis=0)
    assert (alike == 0)[inner != UNLABELLED].mean() < 0.001


def test_pictures_hold_legend_colours_on_white_only():
    request = aligned_request(patch_grid(*PLACES[0], 60), 5.0)
    picture = SimulatedOsmLayer(SEED).paint(request.bounds, request.width, request.height)
    assert picture.shape == (request.height, request.width, 3)
    allowed = {row.rgb for row in load_legend("osm_landuse")} | {(255, 255, 255)}
    assert {tuple(rgb) for rgb in picture.reshape(-1, 3).tolist()} <= allowed


def test_far_out_the_map_is_white():
    picture = SimulatedOsmLayer(SEED).paint((-2e7, -2e7, 2e7, 2e7), 64, 64)
    assert (picture == 255).all()
