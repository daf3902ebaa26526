import numpy as np
import pytest

from pipeline.padding import pad_image, pad_label


def test_a_label_gets_an_unlabelled_border_of_one_pixel():
    label = np.arange(510 * 510, dtype=np.uint32).reshape(510, 510).astype(np.uint8)
    padded = pad_label(label)
    assert padded.shape == (512, 512)
    assert padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[1:-1, 1:-1], label)
    for edge in (padded[0], padded[-1], padded[:, 0], padded[:, -1]):
        assert (edge == 255).all()


@pytest.mark.parametrize(("border", "corner"), [("zero", 0), ("edge", 7)])
def test_an_image_gets_zeros_or_its_own_edge(border, corner):
    image = np.full((13, 510, 510), 7, np.uint16)
    padded = pad_image(image, border)
    assert padded.shape == (13, 512, 512)
    assert padded.dtype == np.uint16
    assert (padded[:, 0, :] == corner).all()
    np.testing.assert_array_equal(padded[:, 1:-1, 1:-1], image)


def test_a_tile_of_the_right_size_stays_as_it_is():
    label = np.ones((512, 512), np.uint8)
    np.testing.assert_array_equal(pad_label(label), label)


def test_a_tile_too_large_is_refused():
    with pytest.raises(ValueError, match="514 x 510"):
        pad_label(np.zeros((514, 510), np.uint8))
