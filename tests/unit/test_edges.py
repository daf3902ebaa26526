"""The overlay of edges: a shift of one pixel is seen, an aligned stack is white."""

import numpy as np
import pytest

from pipeline.edges import LABEL_RGB, ZOOM, busiest_window, edge_overlay, edge_strength

SIZE = 60


@pytest.fixture
def scene():
    """Dark left of a border that runs down, bright right of it."""
    values = np.full((SIZE, SIZE), 500.0)
    values[:, 33:] = 3000.0
    return values


def coloured(picture):
    """Pixels that are neither grey nor white nor a boundary of the label, and bright."""
    spread = picture.max(axis=-1).astype(int) - picture.min(axis=-1)
    return int(((spread > 120) & (picture != LABEL_RGB).any(axis=-1)).sum())


def test_aligned_edges_add_up_to_white(scene):
    picture = edge_overlay(scene, scene / 100, None)
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.max(axis=(0, 1)).min() > 240
    assert (picture.min(axis=-1) > 200).any()


@pytest.mark.parametrize("pixels", [1, 2])
def test_a_shift_leaves_coloured_fringes(scene, pixels):
    aligned = edge_overlay(scene, scene / 100, None)
    shifted = edge_overlay(scene, np.roll(scene, pixels, axis=1) / 100, None)
    assert coloured(shifted) > coloured(aligned) + SIZE


def test_boundaries_of_the_label_are_drawn_where_classes_meet(scene):
    label = np.where(np.arange(SIZE) < 33, 1, 4) * np.ones((SIZE, 1))
    picture = edge_overlay(scene, None, label)
    (columns,) = np.nonzero((picture == LABEL_RGB).all(axis=-1).all(axis=0))
    assert columns.size == 1
    rows, part = busiest_window([edge_strength(np.float32(scene))])
    assert rows.stop - rows.start == SIZE // ZOOM
    assert part.start < 33 < part.stop


def test_nothing_to_see_is_no_error():
    flat = np.zeros((12, 12))
    missing = np.full((12, 12), np.nan)
    assert edge_overlay(flat, missing, np.full((12, 12), 255)).shape == (12, 12, 3)


def test_clouds_that_radar_does_not_see_attract_no_attention(scene):
    cloudy = scene.copy()
    cloudy[2:10, 2:10] = 12_000.0
    strengths = [edge_strength(np.float32(one)) for one in (cloudy, scene)]
    _, columns = busiest_window(strengths)
    assert columns.start < 33 < columns.stop


def test_the_border_of_a_padded_tile_is_no_edge(scene):
    radar = scene / 100
    padded, other = scene.copy(), radar.copy()
    padded[:, -2:], other[:, -2:] = 0.0, 90.0
    picture = edge_overlay(padded, other, None)
    np.testing.assert_array_equal(picture, edge_overlay(scene, radar, None))
