"""Intervals are those of drawing tiles again."""

import numpy as np
import pytest

from tests.training.score_rows import TILES, counts
from training.scores.bootstrap import bootstrap_intervals, mean_scores
from training.scores.rows import METRICS, scores_of


def test_the_interval_is_that_of_drawing_tiles_again():
    found = bootstrap_intervals([counts("x", "frozen", 0)], 2000)["oa"]
    tiles = counts("x", "frozen", 0)
    draw = np.random.default_rng(99)
    values = []
    for _ in range(2000):
        total = tiles[draw.integers(0, TILES, TILES)].sum(0)
        values.append(np.trace(total) / total.sum())
    np.testing.assert_allclose(found, np.percentile(values, [2.5, 97.5]), atol=4e-3)


def test_many_matrices_score_as_each_alone():
    draw = np.random.default_rng(4)
    matrices = draw.integers(0, 50, (20, 5, 5))
    matrices[:, 4] = matrices[:, :, 4] = 0
    matrices[3, 2] = 0
    matrices[7] = 0
    found = mean_scores(matrices)
    for metric in METRICS:
        expected = [getattr(scores_of(matrix), metric) for matrix in matrices]
        np.testing.assert_allclose(found[metric], expected, rtol=1e-12)


def test_tiles_without_labels_alone_give_no_interval():
    found = bootstrap_intervals([np.zeros((3, 2, 2), np.int64)], 10)
    assert all(np.isnan(found[metric]).all() for metric in METRICS)


def test_the_interval_of_seeds_is_that_of_their_mean():
    """Tiles are drawn for all seeds alike: of seeds that mirror each other the mean never moves."""
    first = np.zeros((4, 2, 2), np.int64)
    first[:, 0, 0], first[:, 0, 1] = [10, 20, 30, 40], [40, 30, 20, 10]
    mirrored = first[:, :, ::-1]
    low, high = bootstrap_intervals([first, mirrored], 200)["oa"]
    assert (low, high) == pytest.approx((0.5, 0.5))
    alone = bootstrap_intervals([first], 200)["oa"]
    assert alone.high - alone.low > 0.1
