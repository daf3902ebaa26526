from dataclasses import replace

import numpy as np
import pytest

from pipeline.grid import patch_grid
from pipeline.sensors import cube_bands
from pipeline.simulator.clouds import CloudField
from pipeline.simulator.spectra import ReflectancePainter
from pipeline.simulator.surfaces import greenness, surface_id
from pipeline.simulator.tables import read_table
from pipeline.simulator.world import scenery_around, truth
from tests.unit.simulator.viewing import (
    SEED,
    SUMMER,
    SUN,
    WINTER,
    clear_sky,
    random_grids,
    surroundings,
)

GRID = patch_grid(11.97, 48.1, 120)


def painter(grid, date=SUMMER, sky=None, offset=0, sun=SUN):
    return ReflectancePainter(date, SEED, 77, sky or clear_sky(grid), sun, offset)


def native(grid, band):
    return grid.coarsened(band.resolution_m // 10) if band.resolution_m > 10 else grid


@pytest.mark.parametrize("band", cube_bands("sentinel-2"), ids=lambda band: band.name)
def test_a_part_of_a_band_equals_the_band_asked_for_at_once(band):
    whole = painter(GRID)(band.name, native(GRID, band))[0]
    step = band.resolution_m // 10
    part = replace(GRID, left=GRID.left + 240.0, top=GRID.top - 360.0, height=60, width=72)
    again = painter(GRID)(band.name, native(part, band))[0]
    row, column = 36 // step, 24 // step
    expected = whole[row : row + 60 // step, column : column + 72 // step]
    np.testing.assert_array_equal(again, expected)


def test_values_are_reflectances_of_the_level_1c_kind():
    for grid in random_grids(6, 60):
        for band in cube_bands("sentinel-2"):
            values, valid = painter(grid)(band.name, native(grid, band))
            assert values.dtype == np.uint16
            assert valid is None
            assert values.shape == native(grid, band).shape
            assert values.min() >= 1
            assert values.max() < 16_000


def test_the_offset_is_added_to_every_pixel():
    plain = painter(GRID)("B4", GRID)[0].astype(int)
    shifted = painter(GRID, offset=1000)("B4", GRID)[0].astype(int)
    np.testing.assert_array_equal(shifted - plain, 1000)


def test_each_class_looks_like_itself():
    mean = {}
    for grid in random_grids(30, 120, seed=8):
        label = truth(grid, SUMMER, SEED)
        red, infrared, green, short = (
            painter(grid)(name, grid)[0] for name in ("B4", "B8", "B3", "B2")
        )
        for value in range(9):
            here = label == value
            sums = mean.setdefault(value, np.zeros(5))
            sums += [here.sum(), *(plane[here].sum() for plane in (red, infrared, green, short))]
    spectra = {value: sums[1:] / sums[0] for value, sums in mean.items() if sums[0] > 500}
    vegetation = {value: (s[1] - s[0]) / (s[1] + s[0]) for value, s in spectra.items()}
    assert vegetation[1] > 0.6
    assert vegetation[0] < 0.0
    assert vegetation[7] < 0.3
    assert vegetation[1] > vegetation[6] + 0.2
    assert spectra[0][1] < 900
    assert spectra[7][0] > spectra[1][0] + 800


def test_snow_is_bright_in_the_visible_and_dark_in_the_short_wave_infrared():
    for lon in range(10, 60, 5):
        grid = patch_grid(lon, 60.0, 60)
        snow = truth(grid, WINTER, SEED) == 8
        if snow.mean() > 0.5:
            break
    visible = painter(grid, WINTER)("B3", grid)[0][snow].mean()
    infrared = painter(grid, WINTER)("B11", grid.coarsened(2))[0].mean()
    assert visible > 4_000
    assert infrared < 0.6 * visible


def test_summer_is_greener_than_winter():
    def vegetation(grid, date):
        red, infrared = (painter(grid, date)(name, grid)[0].astype(float) for name in ("B4", "B8"))
        return np.mean((infrared - red) / (infrared + red))

    grids = [patch_grid(lon, 46.0, 60) for lon in range(-100, 120, 20)]
    gain = [vegetation(grid, SUMMER) - vegetation(grid, WINTER) for grid in grids]
    assert np.mean(gain) > 0.08


def test_coarse_bands_are_means_over_their_own_pixels():
    """A 20 m band varies less than its 10 m neighbour, and follows its block means."""
    fine = painter(GRID)("B8", GRID)[0].astype(float)
    coarse = painter(GRID)("B8A", GRID.coarsened(2))[0].astype(float)
    blocks = fine.reshape(60, 2, 60, 2).mean(axis=(1, 3))
    assert np.corrcoef(coarse.ravel(), blocks.ravel())[0, 1] > 0.95


def test_edges_are_mixed_by_the_point_spread_function():
    scenery = scenery_around(GRID, 0.0, SUMMER, SEED)
    values = painter(GRID)("B8", GRID)[0].astype(float)
    change = scenery.landscape.surface[:, 1:] != scenery.landscape.surface[:, :-1]
    step = np.abs(np.diff(values, axis=1))[change]
    clear = change & np.roll(~change, 1, axis=1) & np.roll(~change, -1, axis=1)
    far = np.abs(values[:, 3:] - values[:, :-3])[clear[:, 1:-1]]
    assert np.median(step) < 0.85 * np.median(far)


def test_slopes_towards_the_sun_are_brighter():
    for grid in random_grids(60, 60, seed=12):
        land = scenery_around(grid, 0.0, SUMMER, SEED).landscape
        steep = np.hypot(land.east, land.north)
        if steep.mean() > 0.25:
            break
    morning = painter(grid, sun=(60.0, 90.0))("B4", grid)[0].astype(float)
    evening = painter(grid, sun=(60.0, 270.0))("B4", grid)[0].astype(float)
    assert np.corrcoef((morning - evening).ravel(), -land.east.ravel())[0, 1] > 0.7


def test_clouds_are_bright_shadows_are_dark_and_qa60_marks_the_clouds():
    sky = CloudField(5, 45.0, surroundings(GRID), SUN)
    for east in range(0, 40_000, 1_200):
        grid = replace(GRID, left=GRID.left + east)
        cloud = sky.opacity(grid)
        shade = (sky.shadow(grid) == 1.0) & (cloud == 0.0)
        if 0.1 < np.mean(cloud == 1.0) < 0.6 and shade.mean() > 0.05:
            break
    cloudy = painter(grid, sky=sky)("B2", grid)[0].astype(float)
    clear = painter(grid)("B2", grid)[0].astype(float)
    assert cloudy[cloud == 1.0].mean() > 3_500
    assert cloudy[shade].mean() < clear[shade].mean()
    marks = painter(grid, sky=sky)("QA60", grid.coarsened(6))[0]
    assert set(np.unique(marks)) == {0, 1024}
    assert np.mean(marks == 1024) == pytest.approx(np.mean(cloud >= 0.5), abs=0.03)


def test_noise_of_bands_is_independent():
    scenes = [replace(painter(GRID), salt=salt)("B2", GRID)[0].astype(float) for salt in (1, 2)]
    difference = scenes[0] - scenes[1]
    fine = difference - difference.mean()
    assert 5.0 < fine.std() < 60.0


def test_every_surface_has_its_spectra_calendar_and_sources():
    names = {row["surface"] for row in read_table("surfaces.csv")}
    for table in ("spectra.csv", "backscatter.csv"):
        states = {(row["surface"], row["state"]) for row in read_table(table)}
        assert {(name, state) for name in names for state in ("dormant", "green")} <= states
    for table in (
        "surfaces.csv",
        "spectra.csv",
        "backscatter.csv",
        "phenology.csv",
        "confusion.csv",
        "fields.csv",
        "processing_baselines.csv",
    ):
        assert all(row["source"] for row in read_table(table))


def test_calendars_of_wild_plants_flatten_towards_the_equator():
    wood = surface_id("broadleaf")
    for lat, swing in ((0.5, 0.2), (50.0, 0.6)):
        values = [
            greenness(SUMMER.replace(month=month), lat)[wood].mean() for month in range(1, 13)
        ]
        assert (max(values) - min(values) > swing) == (lat > 10.0)
