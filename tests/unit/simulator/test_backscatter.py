import datetime
from dataclasses import replace

import numpy as np
import pytest

from pipeline.grid import PatchGrid, patch_grid
from pipeline.simulator.backscatter import LOOKS, BackscatterPainter
from pipeline.simulator.world import scenery_around, truth
from tests.unit.simulator.viewing import SEED, SUMMER, random_grids, surroundings


def painter(grid, salt=9, date=SUMMER, descending=False):
    return BackscatterPainter(date, SEED, salt, descending, surroundings(grid))


def off_lattice(grid):
    return replace(grid, left=grid.left + 3.75, top=grid.top - 1.25)


GRID = off_lattice(patch_grid(11.97, 48.1, 120))


@pytest.mark.parametrize("band", ["VV", "VH", "HH", "HV"])
def test_a_part_of_a_scene_equals_the_scene_asked_for_at_once(band):
    whole = painter(GRID)(band, GRID)[0]
    part = replace(GRID, left=GRID.left + 330.0, top=GRID.top - 170.0, height=40, width=21)
    np.testing.assert_array_equal(painter(GRID)(band, part)[0], whole[17:57, 33:54])
    assert whole.dtype == np.float64


def ratio_of_two_passes(band="VV"):
    """Quotient of two scenes of one day: the land cancels, speckle remains."""
    quiet = []
    for grid in random_grids(4, 120):
        first, second = (10.0 ** (painter(grid, salt)(band, grid)[0] / 10.0) for salt in (1, 2))
        dry = truth(grid, SUMMER, SEED) != 0
        quiet.append((first / second)[dry & (np.abs(np.log10(first / second)) < 3)])
    return np.concatenate(quiet)


def test_speckle_has_the_published_number_of_looks():
    """The variance of the logarithm of a gamma variable of L looks is the trigamma of L."""
    from scipy.special import polygamma

    variance = np.var(np.log(ratio_of_two_passes()))
    assert variance == pytest.approx(2.0 * polygamma(1, LOOKS), rel=0.12)


def test_speckle_is_correlated_between_neighbours_only():
    grid = off_lattice(patch_grid(29.5, -1.4, 240))
    first, second = (painter(grid, salt)("VH", grid)[0] for salt in (1, 2))
    noise = first - second
    noise -= noise.mean()

    def correlation(lag):
        return np.mean(noise[:, lag:] * noise[:, :-lag]) / noise.var()

    assert 0.3 < correlation(1) < 0.65
    assert abs(correlation(3)) < 0.12


def test_towns_shine_water_is_dark_and_cross_polarisation_is_weaker():
    level = {}
    for grid in random_grids(40, 120, seed=8):
        label = truth(grid, SUMMER, SEED)
        for band in ("VV", "VH"):
            power = 10.0 ** (painter(grid)(band, grid)[0] / 10.0)
            for value in range(9):
                total = level.setdefault((band, value), [0.0, 0])
                total[0] += power[label == value].sum()
                total[1] += (label == value).sum()
    mean = {key: 10.0 * np.log10(total / count) for key, (total, count) in level.items() if count}
    assert mean["VV", 6] > mean["VV", 1] > mean["VV", 0] + 5.0
    assert mean["VV", 6] > mean["VV", 4] + 3.0
    assert mean["VH", 1] > mean["VH", 2] > mean["VH", 0]
    assert all(mean["VV", value] > mean["VH", value] + 4.0 for value in (0, 1, 2, 4, 6))
    assert all(-32.0 < value < 3.0 for value in mean.values())


def test_slopes_facing_the_radar_are_brighter():
    for grid in random_grids(60, 60, seed=12):
        land = scenery_around(grid, 0.0, SUMMER, SEED).landscape
        if np.abs(land.east).mean() > 0.2:
            break
    eastwards, westwards = (
        painter(grid, descending=descending)("VV", grid)[0] for descending in (False, True)
    )
    assert np.corrcoef((eastwards - westwards).ravel(), land.east.ravel())[0, 1] > 0.4


def test_radar_and_land_are_aligned_to_a_fraction_of_a_pixel():
    """Shifting the radar image against the land by a pixel makes them agree less."""
    score = dict.fromkeys((-1, 0, 1), 0.0)
    for grid in random_grids(25, 120, seed=8):
        dark = (truth(grid, SUMMER, SEED) == 0).astype(float)
        if not 0.02 < dark.mean() < 0.9:
            continue
        image = sum(painter(grid, salt)("VV", off_lattice(grid))[0] for salt in range(4))
        for shift in score:
            moved = np.roll(image, shift, axis=1)[:, 2:-2]
            score[shift] -= np.corrcoef(moved.ravel(), dark[:, 2:-2].ravel())[0, 1]
    assert score[0] == max(score.values())
    assert score[0] > 0.0


def test_old_scenes_have_border_noise():
    area = surroundings(GRID)
    left, _, _, top = area.bounds
    rim = PatchGrid(GRID.epsg, left + 100.0, top - 20_000.0, 30, 30)
    old, new = (
        BackscatterPainter(date, SEED, 1, False, area)("VV", rim)[0]
        for date in (datetime.date(2017, 7, 5), datetime.date(2019, 7, 5))
    )
    assert np.median(old) < -35.0 < np.median(new)
    inner = replace(rim, left=rim.left + 30_000.0)
    values = BackscatterPainter(datetime.date(2017, 7, 5), SEED, 1, False, area)("VV", inner)[0]
    assert np.median(values) > -30.0


def test_incidence_angle_grows_away_from_the_radar():
    wide = PatchGrid(GRID.epsg, GRID.left - 40_000.0, GRID.top, 4, 80, 1000.0)
    ascending, descending = (
        painter(GRID, descending=side)("angle", wide)[0] for side in (False, True)
    )
    assert (np.diff(ascending, axis=1) > 0.0).all()
    assert (np.diff(descending, axis=1) < 0.0).all()
    assert 30.0 < ascending.min() < ascending.max() < 46.5
