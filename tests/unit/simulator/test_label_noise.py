import datetime
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from pipeline.grid import patch_grid
from pipeline.legend import load_legend
from pipeline.simulator.clouds import CloudField
from pipeline.simulator.label_noise import DynamicWorldPainter
from pipeline.simulator.noise import mix
from pipeline.simulator.world import truth
from tests.unit.simulator.viewing import SEED, SUMMER, clear_sky, random_grids, surroundings

SEASONS = [datetime.date(2021, month, 5) for month in (1, 4, 7, 10)]


def painter(grid, date=SUMMER, salt=None, sky=None):
    salt = int(mix(np.array([date.toordinal()], np.uint64))[0]) if salt is None else salt
    return DynamicWorldPainter(date, SEED, salt, sky or clear_sky(grid))


@pytest.fixture(scope="module")
def pairs():
    """Truth and label of 120 patches on all inhabited continents, in four seasons."""
    found = []
    for number, grid in enumerate(random_grids(120, 96, seed=21)):
        date = SEASONS[number % 4]
        found.append((truth(grid, date, SEED), painter(grid, date)("label", grid)[0]))
    return found


def test_overall_accuracy_is_that_of_the_real_labels(pairs):
    right = np.mean([np.mean(known == label) for known, label in pairs])
    assert 0.66 < right < 0.74


def test_grass_shrub_and_crops_are_confused_most(pairs):
    known = np.concatenate([one.ravel() for one, _ in pairs])
    label = np.concatenate([two.ravel() for _, two in pairs])
    table = np.zeros((9, 9))
    np.add.at(table, (known, label), 1)
    recall = np.diag(table) / table.sum(axis=1)
    assert recall[0] > 0.8
    assert recall[1] > 0.7
    assert max(recall[2], recall[5]) < 0.65
    wrong_grass = table[2].copy()
    wrong_grass[2] = 0.0
    assert set(np.argsort(wrong_grass)[-2:]) == {4, 5}


def test_errors_lie_in_patches(pairs):
    together = [
        np.mean((known != label)[:, 1:] == (known != label)[:, :-1]) for known, label in pairs
    ]
    shares = np.array([np.mean(known != label) for known, label in pairs])
    by_chance = np.mean(shares**2 + (1.0 - shares) ** 2)
    assert np.mean(together) > 0.5 * (1.0 + by_chance)


def test_labels_are_rounder_than_the_land_and_small_things_are_lost(pairs):
    def small_objects(label):
        return sum(
            np.count_nonzero(np.bincount(ndimage.label(label == value)[0].ravel())[1:] < 8)
            for value in range(9)
        )

    def edges(label):
        return np.mean(label[:, 1:] != label[:, :-1])

    rough = [(known, label) for known, label in pairs if edges(known) > 0.03]
    assert len(rough) > 30
    assert sum(small_objects(label) for _, label in rough) < 0.25 * sum(
        small_objects(known) for known, _ in rough
    )
    assert np.mean([edges(label) for _, label in rough]) < np.mean([edges(k) for k, _ in rough])


def test_labels_of_two_dates_differ_while_the_land_stays():
    differing = []
    for grid in random_grids(20, 96, seed=3):
        first, second = (painter(grid, date)("label", grid)[0] for date in SEASONS[1:3])
        same = truth(grid, SEASONS[1], SEED) == truth(grid, SEASONS[2], SEED)
        differing.append(np.mean((first != second)[same]))
    assert 0.1 < np.mean(differing) < 0.45


def test_a_part_of_a_label_equals_the_label_asked_for_at_once():
    grid = patch_grid(11.97, 48.1, 120)
    part = replace(grid, left=grid.left + 330.0, top=grid.top - 170.0, height=40, width=21)
    for band in ("label", "trees"):
        whole, again = painter(grid)(band, grid)[0], painter(grid)(band, part)[0]
        np.testing.assert_array_equal(again, whole[17:57, 33:54])


def test_the_label_is_the_most_probable_class_and_probabilities_add_to_one():
    grid = patch_grid(-60.0, -31.2, 96)
    names = [row.flag_meaning for row in load_legend("dynamic_world")]
    planes = np.stack([painter(grid)(name, grid)[0] for name in names])
    assert planes.dtype == np.float32
    np.testing.assert_allclose(planes.sum(axis=0), 1.0, atol=1e-5)
    np.testing.assert_array_equal(planes.argmax(axis=0), painter(grid)("label", grid)[0])


def test_clouds_and_their_shadows_are_not_classified():
    grid = patch_grid(11.97, 48.1, 120)
    sky = CloudField(5, 30.0, surroundings(grid), (40.0, 150.0))
    masked = 0
    for east in range(0, 30_000, 1_200):
        here = replace(grid, left=grid.left + east)
        _, clear = painter(here, sky=sky)("label", here)
        assert not clear[sky.opacity(here) >= 0.5].any()
        assert not clear[sky.shadow(here) >= 0.9].any()
        masked += np.count_nonzero(~clear)
    assert masked > 0
    assert painter(grid)("label", grid)[1].all()
