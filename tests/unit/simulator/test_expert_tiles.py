"""Simulated expert tiles: the truth, but for what experts leave out."""

import numpy as np
import pytest

from pipeline.dynamic_world.expert_tile import label_from_codes
from pipeline.errors import PipelineError
from pipeline.legend import UNLABELLED
from pipeline.simulator.expert_tiles import EARLIEST, LATEST, draw_places, expert_codes
from pipeline.simulator.world import truth

AREA = (11.8, 47.6, 12.2, 48.0)


@pytest.fixture(scope="module")
def tile():
    return draw_places(AREA, [120], seed=3)[0]


def test_marked_pixels_are_the_truth_of_the_day(tile):
    label = label_from_codes(expert_codes(tile, 7))
    marked = label != UNLABELLED
    assert 0.3 < marked.mean() < 0.95
    np.testing.assert_array_equal(label[marked], truth(tile.grid, tile.date, 7)[marked])


def test_some_pixels_are_unmarked_and_some_cloud(tile):
    codes = expert_codes(tile, 7)
    assert (codes == 0).any() and (codes == 10).any() and codes.max() == 10


def test_same_seed_same_tiles_none_overlapping_within_the_dates():
    tiles = draw_places(AREA, [60] * 12, seed=5)
    assert tiles == draw_places(AREA, [60] * 12, seed=5)
    assert tiles != draw_places(AREA, [60] * 12, seed=6)
    outlines = [tile.grid.footprint for tile in tiles]
    assert not any(
        one.intersects(other) for k, one in enumerate(outlines) for other in outlines[:k]
    )
    assert all(EARLIEST <= tile.date <= LATEST for tile in tiles)
    assert {tile.grid.epsg for tile in tiles} == {32632, 32633}


def test_more_tiles_keep_the_earlier_ones():
    assert draw_places(AREA, [60] * 8, seed=5)[:4] == draw_places(AREA, [60] * 4, seed=5)


def test_an_area_that_is_too_small():
    with pytest.raises(PipelineError, match="do not fit"):
        draw_places((11.8, 47.6, 11.81, 47.61), [510] * 4, seed=5)
