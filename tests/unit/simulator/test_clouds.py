import numpy as np
import pytest
from shapely.geometry import Polygon, box

from pipeline.grid import PatchGrid
from pipeline.simulator.clouds import CLOUDY, CloudField

LEFT, TOP = 600_000.0, 5_300_040.0
TILE = box(LEFT, TOP - 109_800.0, LEFT + 109_800.0, TOP)
LINES = [PatchGrid(32632, LEFT, TOP - south, 1, 366, 300.0) for south in range(0, 109_800, 1_800)]
SUN = (50.0, 160.0)


def opacity_of_the_tile(sky):
    """Opacity on 61 lines across the tile, (lines, columns)."""
    return np.concatenate([sky.opacity(line) for line in LINES])


@pytest.mark.parametrize("percent", [1.0, 6.0, 19.9, 55.0, 97.0])
@pytest.mark.parametrize("salt", [1, 2**63 + 5])
def test_clouds_cover_the_share_that_the_metadata_declare(percent, salt):
    sky = CloudField(salt, percent, TILE, SUN)
    share = 100.0 * np.mean(opacity_of_the_tile(sky) >= CLOUDY)
    assert share == pytest.approx(percent, abs=0.6 + 0.05 * percent)


def test_the_share_counts_valid_data_only():
    bottom = TOP - 109_800.0
    corners = [(LEFT, TOP), (LEFT + 60_000, TOP), (LEFT + 30_000, bottom), (LEFT, bottom)]
    part = Polygon(corners)
    sky = CloudField(9, 30.0, part, SUN)
    x = LINES[0].pixel_centres()[0]
    y = np.array([line.pixel_centres()[1][0] for line in LINES])
    border = LEFT + 60_000.0 - (TOP - y) * (30_000.0 / 109_800.0)
    inside = x[None, :] < border[:, None]
    assert 100.0 * np.mean(opacity_of_the_tile(sky)[inside] >= CLOUDY) == pytest.approx(
        30.0, abs=2.5
    )


def test_a_clear_sky_is_clear():
    sky = CloudField(4, 0.0, TILE, SUN)
    for line in LINES[::6]:
        assert not sky.opacity(line).any()
        assert not sky.shadow(line).any()


def test_shadows_are_the_clouds_moved_away_from_the_sun():
    sky = CloudField(12, 30.0, TILE, (45.0, 180.0))
    grid = PatchGrid(32632, LEFT + 30_000.0, TOP - 30_000.0, 900, 90)
    cloud, shadow = sky.opacity(grid), sky.shadow(grid)
    matches = [
        north for north in range(1, 400) if np.array_equal(shadow[: 900 - north], cloud[north:])
    ]
    assert len(matches) == 1
    assert 1_000.0 <= 10.0 * matches[0] <= 3_200.0


def test_a_part_of_the_sky_equals_the_whole_asked_for_at_once():
    sky = CloudField(7, 40.0, TILE, SUN)
    whole = sky.opacity(PatchGrid(32632, LEFT + 9_000.0, TOP - 9_000.0, 120, 120))
    part = sky.opacity(PatchGrid(32632, LEFT + 9_330.0, TOP - 9_170.0, 40, 21))
    np.testing.assert_array_equal(part, whole[17:57, 33:54])


def test_edges_of_clouds_are_soft():
    grid = PatchGrid(32632, LEFT + 9_000.0, TOP - 9_000.0, 600, 600)
    opacity = CloudField(3, 50.0, TILE, SUN).opacity(grid)
    assert 0.02 < np.mean((opacity > 0.0) & (opacity < 1.0)) < 0.6
