import numpy as np
import pytest
from scipy import ndimage

from pipeline.legend import UNLABELLED
from pipeline.osm_landuse.cleaning import opened, sieved


@pytest.fixture
def label():
    random = np.random.default_rng(3)
    coarse = random.choice([0, 4, 6, UNLABELLED], (20, 20)).astype(np.uint8)
    fine = random.choice([0, 4, 6, UNLABELLED], (60, 60)).astype(np.uint8)
    return np.where(random.random((60, 60)) < 0.1, fine, np.kron(coarse, np.ones((3, 3), np.uint8)))


def test_opening_equals_the_textbook_one(label):
    expected = np.full(label.shape, UNLABELLED, np.uint8)
    for number in (0, 4, 6):
        eroded = ndimage.binary_erosion(label == number, border_value=1)
        expected[ndimage.binary_dilation(eroded)] = number
    np.testing.assert_array_equal(opened(label, UNLABELLED), expected)


def test_sieving_equals_counting_connected_pixels(label):
    expected = label.copy()
    for number in (0, 4, 6):
        patches, _ = ndimage.label(label == number)
        small = np.bincount(patches.ravel()) < 4
        small[0] = False
        expected[small[patches]] = UNLABELLED
    np.testing.assert_array_equal(sieved(label), expected)


def test_sieving_sees_the_hole_in_a_ring():
    label = np.full((9, 9), UNLABELLED, np.uint8)
    label[2:5, 2:5] = 4
    label[3, 3] = 6
    cleaned = sieved(label)
    assert cleaned[3, 3] == UNLABELLED
    assert (cleaned == 4).sum() == 8


def test_nothing_to_clean_is_no_error():
    empty = np.full((5, 5), UNLABELLED, np.uint8)
    np.testing.assert_array_equal(sieved(empty), empty)
    np.testing.assert_array_equal(opened(empty, UNLABELLED), empty)


def test_a_hole_is_no_part_of_the_patch_around_it():
    ring = np.full((5, 5), UNLABELLED, np.uint8)
    ring[1:4, 1:4] = 3
    ring[2, 2] = UNLABELLED
    np.testing.assert_array_equal(sieved(ring, smallest=8), ring)
    assert (sieved(ring, smallest=9) == UNLABELLED).all()
