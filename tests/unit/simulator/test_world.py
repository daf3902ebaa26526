"""The land: the same from every window, zone and process, and with all classes in fair shares."""

import datetime
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import shapely
from scipy import ndimage

from pipeline.grid import PatchGrid, patch_grid, utm_epsg
from pipeline.simulator import utm
from pipeline.simulator.landscape import survey
from pipeline.simulator.noise import stable_hash
from pipeline.simulator.seasons import state_on
from pipeline.simulator.surfaces import labels, surface_id
from pipeline.simulator.world import scenery_around, truth

SUMMER = datetime.date(2021, 7, 5)
WINTER = datetime.date(2021, 1, 15)
SEED = 3
PLACES = [(11.97, 48.1), (-59.99, -31.2), (29.5, -1.4), (102.3, 33.0), (-101.0, 44.0)]


def cropped(grid, row, column, height, width):
    return replace(
        grid,
        left=grid.left + column * grid.resolution,
        top=grid.top - row * grid.resolution,
        height=height,
        width=width,
    )


def single_pixel(epsg, x, y):
    return PatchGrid(epsg, x - 5.0, y + 5.0, 1, 1)


@pytest.mark.parametrize(("lon", "lat"), PLACES)
def test_a_part_of_a_window_equals_the_window_asked_for_alone(lon, lat):
    grid = patch_grid(lon, lat, 96)
    whole = survey(grid, SEED)
    part = survey(cropped(grid, 17, 40, 31, 23), SEED)
    for name, plane in vars(whole).items():
        if isinstance(plane, np.ndarray):
            np.testing.assert_array_equal(getattr(part, name), plane[17:48, 40:63], err_msg=name)


@pytest.mark.parametrize(
    ("lon", "lat"), [(12.0, 47.3), (18.0, -33.1), (-102.0, 19.5), (6.0, 49.999), (180.0, 65.0)]
)
def test_both_zones_at_a_border_hold_the_same_land(lon, lat):
    west = patch_grid(lon, lat, 66, epsg=utm_epsg(lon - 0.5, lat))
    east = utm_epsg(lon + 0.5, lat)
    assert east != west.epsg
    known = truth(west, SUMMER, SEED)
    x, y = west.pixel_centres()
    pixels = np.random.default_rng(5).integers(0, 66, (60, 2))
    equal = []
    for row, column in pixels:
        place = utm.to_lonlat(west.epsg, x[column], y[row])
        other = single_pixel(east, *map(float, utm.from_lonlat(east, *place)))
        equal.append(truth(other, SUMMER, SEED)[0, 0] == known[row, column])
    assert np.mean(equal) >= 0.98  # 2 mm of interpolated projection may change a border pixel


def test_land_is_continuous_over_the_edge_of_two_sheets():
    grid = patch_grid(9.0, 48.0, 66)
    land = survey(grid, SEED)
    assert len(land.belts) == 2
    edge = int(round((grid.top - float(utm.from_lonlat(grid.epsg, 9.0, 48.0)[1])) / 10.0))
    for plane in (land.warmth, land.soil, land.vigour):
        jump = np.abs(plane[edge + 2] - plane[edge - 2]).mean()
        usual = np.abs(plane[4:] - plane[:-4]).mean()
        assert jump < 3.0 * usual + 0.02


def test_truth_of_any_grid_samples_the_same_land():
    grid = patch_grid(*PLACES[0], 120)
    fine = truth(grid, SUMMER, SEED)
    centres_of_30_m = truth(grid.coarsened(3), SUMMER, SEED)
    np.testing.assert_array_equal(centres_of_30_m, fine[1::3, 1::3])


def test_what_was_asked_before_changes_nothing():
    grid = patch_grid(*PLACES[1], 72)
    alone = truth(grid, SUMMER, SEED)
    scenery_around(replace(grid, left=grid.left - 300.0, width=200), 120.0, SUMMER, SEED)
    np.testing.assert_array_equal(truth(grid, SUMMER, SEED), alone)
    assert (truth(grid, SUMMER, SEED + 1) != alone).any()


def test_another_process_sees_the_same_world():
    code = (
        "import datetime\n"
        "from pipeline.grid import patch_grid\n"
        "from pipeline.simulator.noise import stable_hash\n"
        "from pipeline.simulator.world import truth\n"
        f"label = truth(patch_grid(29.5, -1.4, 60), datetime.date(2021, 7, 5), {SEED})\n"
        "print(stable_hash(label.tobytes()))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = stable_hash(truth(patch_grid(29.5, -1.4, 60), SUMMER, SEED).tobytes())
    assert int(answer.stdout) == expected


def test_all_classes_occur_in_fair_shares():
    rng = np.random.default_rng(11)
    counts = np.zeros(9)
    for number in range(160):
        lon, lat = rng.uniform(-175.0, 175.0), np.degrees(np.arcsin(rng.uniform(-0.75, 0.9)))
        date = datetime.date(2021, 1 + 3 * (number % 4), 20)
        label = truth(patch_grid(lon, lat, 24, resolution=100.0), date, 0)
        counts += np.bincount(label.ravel(), minlength=9)
    shares = counts / counts.sum()
    assert shares.min() >= 0.005
    assert shares.max() <= 0.45
    assert shares[0] <= 0.08


def test_snow_falls_in_winter_and_on_mountains():
    def share(lat, date):
        label = [truth(patch_grid(lon, lat, 24, 100.0), date, SEED) for lon in range(-170, 171, 17)]
        return np.mean(np.stack(label) == 8)

    assert share(62.0, WINTER) > 0.25
    assert share(62.0, SUMMER) < 0.1
    assert share(-48.0, SUMMER) > share(-48.0, WINTER)
    assert share(5.0, WINTER) < 0.02


def test_snow_leaves_woods_and_houses_their_label():
    buried = 0
    for lon in range(10, 60, 5):
        land = survey(patch_grid(lon, 57.0, 30, 40.0), SEED)
        label = state_on(land, WINTER, SEED).label
        lasting = labels().take(land.surface)
        standing = np.isin(lasting, (1, 6))
        np.testing.assert_array_equal(label[standing], lasting[standing])
        buried += int((standing & (state_on(land, WINTER, SEED).snow > 0.3)).sum())
    assert buried > 500


def test_fields_turn_green_and_brown_half_a_year_apart_in_the_two_hemispheres():
    def green(lat, date):
        total, pixels = 0.0, 0
        for lon in range(-120, 121, 12):
            land = survey(patch_grid(lon, lat, 24, 50.0), SEED)
            wood = land.surface == surface_id("broadleaf")
            total += float(state_on(land, date, SEED).green[wood].sum())
            pixels += int(wood.sum())
        return total / pixels

    assert green(47.0, SUMMER) > green(47.0, WINTER) + 0.3
    assert green(-40.0, WINTER) > green(-40.0, SUMMER) + 0.3


def test_parcels_are_convex_polygons():
    rng = np.random.default_rng(2)
    fullness = []
    for _ in range(12):
        grid = patch_grid(rng.uniform(-120, 120), rng.uniform(40, 52), 120)
        land = survey(grid, SEED)
        fields = labels().take(land.surface) == 4
        for variant in np.unique(land.calendar[fields]):
            parts, count = ndimage.label(fields & (land.calendar == variant))
            for part in range(1, count + 1):
                pixels = np.argwhere(parts == part)
                if 80 < len(pixels) < 2_000:
                    hull = shapely.MultiPoint(pixels).convex_hull.buffer(0.5)
                    fullness.append(len(pixels) / hull.area)
    assert len(fullness) > 50
    assert np.median(fullness) > 0.85
