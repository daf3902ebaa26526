"""Windows cover a scene once, and blend where they overlap."""

import tracemalloc

import numpy as np

from training.maps.blending import blended_strips, edge_weights, window_starts


def test_windows_cover_everything_and_weights_cancel():
    assert window_starts(100, 40, 10) == [0, 30, 60]
    assert window_starts(101, 40, 10) == [0, 30, 60, 61]
    assert window_starts(30, 40, 10) == [0]
    assert edge_weights(20, 30, 5).min() > 0 and edge_weights(20, 30, 5).max() == 1
    truth = np.random.default_rng(0).random((3, 101, 67)).astype(np.float32)

    def exact(window):
        row, column, height, width = window
        return truth[:, row : row + height, column : column + width]

    strips = list(blended_strips((101, 67), 3, 40, 10, exact))
    assert [strip.row for strip in strips] == [0, 30, 60, 61]
    joined = np.concatenate([strip.shares_CHW for strip in strips], axis=1)
    np.testing.assert_allclose(joined, truth, rtol=1e-5)


def test_weights_fall_linearly_over_the_overlap_and_are_never_nothing():
    ramp = [0.125, 0.375, 0.625, 0.875, 1.0, 0.875, 0.625, 0.375, 0.125]
    weights = edge_weights(9, 3, 4)
    np.testing.assert_allclose(weights[:, 1], np.array(ramp) * 0.375)
    np.testing.assert_allclose(weights[4], [0.125, 0.375, 0.125])
    assert (edge_weights(9, 3, 0) == 1).all()


def test_a_seam_is_a_transition():
    """Two windows that disagree blend into each other instead of meeting at an edge."""
    sides = iter([0.0, 1.0])
    (strip,) = blended_strips((8, 30), 1, 20, 10, lambda w: np.full((1, 8, 20), next(sides), "f4"))
    row = strip.shares_CHW[0, 4]
    assert row[0] == 0 and row[-1] == 1
    assert (np.diff(row) >= 0).all() and np.diff(row).max() < 0.2


def test_memory_does_not_grow_with_the_rows():
    def peak(rows):
        tracemalloc.start()
        strips = blended_strips(
            (rows, 800), 2, 32, 8, lambda window: np.ones((2, window.height, window.width), "f4")
        )
        total = sum(strip.shares_CHW.shape[1] for strip in strips)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == rows
        return most

    assert peak(20_000) < 1.5 * peak(400)
