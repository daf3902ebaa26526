"""Resampling, reprojection and casts of bands."""

import numpy as np
import pytest
from affine import Affine

from pipeline.simulator.image import constant_image
from pipeline.simulator.projection import LONLAT, PixelGrid, Projection, parse_projection, reproject
from pipeline.simulator.raster import Band, cast, on_any_grid
from pipeline.simulator.refusal import EarthEngineError

VALUES = np.array([[0, 10, 20, 30], [40, 50, 60, 70], [80, 90, 100, 110]], np.uint16)
ZONE_33 = Projection(32633, Affine(10, 0, 500_000, 0, -10, 5_000_000))


def band_of(values=VALUES, valid=None, projection=ZONE_33):
    """A band of stored pixels; beyond them nothing is valid."""
    values = np.asarray(values)
    valid = np.ones(values.shape, bool) if valid is None else np.asarray(valid)
    margin = 100

    def window(row_start, row_stop, col_start, col_stop):
        rows = slice(row_start + margin, row_stop + margin)
        columns = slice(col_start + margin, col_stop + margin)
        return np.pad(values, margin)[rows, columns], np.pad(valid, margin)[rows, columns]

    return Band("b", values.dtype, projection, on_any_grid(window, projection, "nearest"))


def grid(column, row, width, height, size=10.0, epsg=32633):
    """A grid whose corner lies at a column and row of the stored pixels."""
    x, y = ZONE_33.transform @ (column, row)
    return PixelGrid(Projection(epsg, Affine(size, 0, x, 0, -size, y)), width, height)


class TestNearest:
    def test_the_own_grid_gives_the_stored_pixels(self):
        values, valid = band_of().evaluate(grid(0, 0, 4, 3))
        assert np.array_equal(values, VALUES)
        assert valid.all()

    def test_finer_pixels_repeat_coarser_ones(self):
        values, _ = band_of().evaluate(grid(0, 0, 12, 9, size=10 / 3))
        assert np.array_equal(values, np.kron(VALUES, np.ones((3, 3), np.uint16)))

    def test_a_centre_on_a_border_takes_the_pixel_to_the_right_and_below(self):
        values, _ = band_of().evaluate(grid(0.5, 0.5, 2, 1))
        assert values.tolist() == [[50, 60]]

    def test_beyond_the_stored_pixels_nothing_is_valid(self):
        _, valid = band_of().evaluate(grid(-1, -1, 3, 3))
        assert np.array_equal(valid, [[False] * 3, [False, True, True], [False, True, True]])

    def test_a_rotated_grid(self):
        turned = Projection(32633, Affine(0, 10, 500_000, -10, 0, 5_000_000))
        values, _ = band_of().evaluate(PixelGrid(turned, 3, 4))
        assert np.array_equal(values, VALUES.T)


class TestBilinear:
    def test_half_way_between_pixels_is_the_mean(self):
        band = band_of().resampled("bilinear")
        assert band.dtype == np.float64
        values, valid = band.evaluate(grid(0.5, 0.5, 1, 1))
        assert values.tolist() == [[25.0]]
        assert valid.all()

    def test_a_plane_is_reproduced(self):
        values, _ = band_of().resampled("bilinear").evaluate(grid(0.8, 0.7, 2, 1))
        assert values == pytest.approx(np.array([[0.8 * 10 + 0.7 * 40, 1.8 * 10 + 0.7 * 40]]))

    def test_on_the_own_grid_values_stay_and_edges_stay_valid(self):
        values, valid = band_of().resampled("bilinear").evaluate(grid(0, 0, 4, 3))
        assert np.array_equal(values, VALUES)
        assert valid.all()

    def test_an_invalid_neighbour_invalidates_only_where_it_weighs(self):
        hole = np.ones((3, 4), bool)
        hole[1, 2] = False
        band = band_of(valid=hole).resampled("bilinear")
        _, valid = band.evaluate(grid(0.5, 1.0, 3, 1))
        assert valid.tolist() == [[True, False, False]]

    def test_a_nan_without_weight_does_not_spread(self):
        values = np.array([[1.0, np.nan], [2.0, np.nan]])
        band = band_of(values, ~np.isnan(values)).resampled("bilinear")
        values, valid = band.evaluate(grid(0.0, 0.5, 1, 1))
        assert (values.tolist(), valid.tolist()) == ([[1.5]], [[True]])

    def test_float32_stays_float32(self):
        band = band_of(VALUES.astype(np.float32)).resampled("bilinear")
        assert band.dtype == band.evaluate(grid(0.5, 0, 1, 1))[0].dtype == np.float32

    def test_a_constant_has_nothing_to_interpolate(self):
        band = constant_image(3).bands[0]
        assert band.resampled("bilinear") is band


class TestReprojection:
    def test_positions_are_those_of_proj(self):
        x, y = reproject([500_000.0], [5_000_000.0], 32633, LONLAT)
        assert (x[0], y[0]) == pytest.approx((15.0, 45.1535), abs=1e-4)

    def test_a_window_sees_the_same_centres_as_the_whole(self):
        whole = grid(0, 0, 60, 50)
        window = grid(17, 23, 9, 7)
        for part, full in zip(window.centres_in(32634), whole.centres_in(32634), strict=True):
            assert np.array_equal(part, full[23:30, 17:26])

    def test_reprojecting_first_fixes_the_pixels(self):
        coarse = Projection(32633, ZONE_33.transform @ Affine.scale(2))
        values, _ = band_of().reprojected(coarse).evaluate(grid(0, 0, 4, 2))
        assert values.tolist() == [[50, 50, 70, 70]] * 2

    @pytest.mark.parametrize("crs", ["EPSG:999999", "UTM33", "EPSG:", "SR-ORG:6627"])
    def test_an_unknown_crs_is_refused(self, crs):
        with pytest.raises(EarthEngineError, match="could not be parsed"):
            parse_projection(crs)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (3.99, "uint8", 3),
        (-3.99, "int16", -3),
        (-1.0, "uint16", 0),
        (70_000, "uint16", 65_535),
        (-200, "int8", -128),
        (np.nan, "uint8", 0),
        (np.inf, "uint8", 255),
        (1e20, "int32", 2_147_483_647),
        (7, "float32", 7.0),
    ],
)
def test_casts_clamp_and_truncate(value, dtype, expected):
    result = cast(np.array([value]), dtype)
    assert result.dtype == dtype
    assert result[0] == expected
