import numpy as np
import pytest

from pipeline.store.interpolation import interpolate


def test_a_plane_stays_a_plane_inside():
    rows, columns = np.mgrid[0:6, 0:6].astype(np.float64)
    coarse = 100 + 12 * rows + 6 * columns
    fine_rows, fine_columns = ((np.mgrid[0:36, 0:36] + 0.5) / 6) - 0.5
    expected = 100 + 12 * fine_rows + 6 * fine_columns
    inside = slice(12, 24)
    for method in ("bilinear", "bicubic"):
        fine = interpolate(coarse, (36, 36), method, nodata=0)
        np.testing.assert_allclose(fine[inside, inside], expected[inside, inside], rtol=1e-5)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_a_constant_stays_constant_up_to_the_edge(method):
    fine = interpolate(np.full((3, 4), 777, np.uint16), (18, 24), method, nodata=0)
    assert fine.shape == (18, 24)
    np.testing.assert_allclose(fine, 777, rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 6])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_equals_pillow(method, factor):
    image = pytest.importorskip("PIL.Image")
    coarse = np.random.default_rng(0).uniform(1, 9999, (11, 11)).astype(np.float32)
    size = (11 * factor, 11 * factor)
    reference = image.fromarray(coarse).resize(size, getattr(image.Resampling, method.upper()))
    fine = interpolate(coarse, size, method, nodata=0)
    np.testing.assert_allclose(fine, np.asarray(reference), rtol=2e-4, atol=0.1)


def test_nodata_covers_whole_coarse_pixels():
    coarse = np.full((3, 3), 500, np.uint16)
    coarse[1, 1] = 0
    fine = interpolate(coarse, (6, 6), "bilinear", nodata=0)
    assert (fine[2:4, 2:4] == 0).all() and (fine[:2] > 0).all()


@pytest.mark.parametrize("factor", [2, 6])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_pixels_beside_nodata_do_not_become_darker(method, factor):
    coarse = np.full((5, 5), 500, np.uint16)
    coarse[2, 2:] = 0
    coarse[4, 0] = 0
    nearest = interpolate(coarse, (5 * factor, 5 * factor), "nearest", nodata=0)
    fine = interpolate(coarse, (5 * factor, 5 * factor), method, nodata=0)
    np.testing.assert_allclose(fine, nearest, rtol=1e-6)
