"""Pixels that the real client gets: where they lie, how they are resampled, masked and cast."""

import io

import ee
import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from pipeline.grid import PatchGrid, patch_grid
from tests.services.coordinate_images import COORDINATES, PRAGUE, coordinates, fetch, request_grid

CAPE_TOWN = patch_grid(18.55, -33.91, 48)
BETWEEN_ZONES = patch_grid(17.97, 48.6, 48)


def moved_centres(grid, epsg):
    x, y = np.meshgrid(*grid.pixel_centres())
    return Transformer.from_crs(grid.epsg, epsg, always_xy=True).transform(x, y)


@pytest.mark.usefixtures("ee_client")
class TestWhereThePixelsLie:
    @pytest.mark.parametrize("grid", [PRAGUE, CAPE_TOWN, BETWEEN_ZONES])
    def test_in_the_native_zone_every_centre_is_exact(self, grid):
        pixels = fetch(coordinates(grid.epsg), grid)
        x, y = grid.pixel_centres()
        assert np.array_equal(pixels["x"], np.broadcast_to(x, grid.shape))
        assert np.array_equal(pixels["y"], np.broadcast_to(y[:, None], grid.shape))

    def test_across_zones_bilinear_agrees_with_proj_within_a_centimetre(self):
        grid = BETWEEN_ZONES
        assert grid.epsg == 32633
        pixels = fetch(coordinates(32634).resample("bilinear"), grid)
        x, y = moved_centres(grid, 32634)
        assert max(np.abs(pixels["x"] - x).max(), np.abs(pixels["y"] - y).max()) < 0.01

    def test_across_zones_nearest_takes_the_pixel_that_holds_the_centre(self):
        pixels = fetch(coordinates(32634), BETWEEN_ZONES)
        x, y = moved_centres(BETWEEN_ZONES, 32634)
        assert max(np.abs(pixels["x"] - x).max(), np.abs(pixels["y"] - y).max()) <= 5.0
        assert np.all(pixels["x"] % 10 == 5)

    @pytest.mark.parametrize("method", ["nearest", "bilinear"])
    @pytest.mark.parametrize("epsg", [32633, 32634])
    def test_a_window_equals_the_crop_of_a_larger_one(self, method, epsg):
        image = coordinates(epsg)
        image = image if method == "nearest" else image.resample("bilinear")
        whole = fetch(image, BETWEEN_ZONES)
        window = PatchGrid(
            BETWEEN_ZONES.epsg, BETWEEN_ZONES.left + 110, BETWEEN_ZONES.top - 70, 9, 13
        )
        assert np.array_equal(fetch(image, window), whole[7:16, 11:24])

    def test_reprojecting_first_means_the_pixels_of_that_grid(self):
        coarse = coordinates(PRAGUE.epsg).reproject(
            PRAGUE.crs, [60, 0, PRAGUE.left, 0, -60, PRAGUE.top]
        )
        pixels = fetch(coarse, PRAGUE)
        assert np.array_equal(pixels["x"], np.kron(pixels["x"][::6, ::6], np.ones((6, 6))))

    def test_a_grid_in_degrees(self):
        grid = PatchGrid(4326, 14.4, 50.1, 20, 30, 0.0001)
        pixels = fetch(coordinates(32633).resample("bilinear"), grid)
        x, y = moved_centres(grid, 32633)
        assert max(np.abs(pixels["x"] - x).max(), np.abs(pixels["y"] - y).max()) < 0.01

    def test_get_pixels_and_compute_pixels_agree(self):
        request = {"fileFormat": "NUMPY_NDARRAY", "grid": request_grid(PRAGUE)}
        asset = f"{COORDINATES}/{PRAGUE.epsg}"
        stored = ee.data.getPixels({"assetId": asset, "bandIds": ["y", "x"], **request})
        assert stored.dtype.names == ("y", "x")
        assert np.array_equal(stored, fetch(ee.Image(asset).select(["y", "x"]), PRAGUE))

    def test_a_geotiff_says_where_it_lies(self):
        data = ee.data.computePixels(
            {
                "expression": coordinates(PRAGUE.epsg),
                "fileFormat": "GEO_TIFF",
                "grid": request_grid(PRAGUE),
            }
        )
        with rasterio.open(io.BytesIO(data)) as raster:
            assert raster.crs.to_epsg() == PRAGUE.epsg
            assert raster.transform == PRAGUE.transform
            assert raster.descriptions == ("x", "y")
            assert np.array_equal(raster.read(1)[0], PRAGUE.pixel_centres()[0])


@pytest.mark.usefixtures("ee_client")
class TestValues:
    def masked(self):
        """The coordinates where x is beyond the middle of the patch."""
        image = coordinates(PRAGUE.epsg)
        middle = PRAGUE.left + 240
        return image.updateMask(image.select("x").gt(middle))

    def test_masked_pixels_are_zero(self):
        pixels = fetch(self.masked(), PRAGUE)
        assert np.all(pixels["x"][:, :24] == 0)
        assert np.all(pixels["x"][:, 24:] > 0)

    def test_unmask_fills_masked_pixels(self):
        pixels = fetch(self.masked().unmask(-1), PRAGUE)
        assert np.all(pixels["y"][:, :24] == -1)
        assert np.all(pixels["y"][:, 24:] > 0)

    @pytest.mark.parametrize(("same_footprint", "beyond"), [(True, 0), (False, 255)])
    def test_unmask_fills_beyond_the_footprint_only_if_told_so(self, same_footprint, beyond):
        elsewhere = PatchGrid(32633, 99_960 - 100 * 60, 5_500_000, 6, 6)
        image = coordinates(32633).unmask(255, same_footprint)
        assert np.all(fetch(image, elsewhere)["x"] == beyond)

    def test_a_cast_clamps_and_truncates(self):
        values = ee.Image([-3.7, 2.9, 70000.2]).rename(["low", "middle", "high"])
        pixels = fetch(values.toUint16(), PRAGUE)[0, 0]
        assert pixels.dtype.descr == [("low", "<u2"), ("middle", "<u2"), ("high", "<u2")]
        assert pixels.tolist() == (0, 2, 65535)

    def test_round_goes_to_the_nearest_whole_number(self):
        pixels = fetch(ee.Image([2.5, 2.49, -2.6]).round().toInt16(), PRAGUE)[0, 0]
        assert list(pixels.tolist()) == [3, 2, -3]

    def test_bands_keep_their_types_side_by_side(self):
        image = ee.Image(7).toUint8().rename("a").addBands(ee.Image(0.5).toFloat().rename("b"))
        assert fetch(image, PRAGUE).dtype.descr == [("a", "|u1"), ("b", "<f4")]

    def test_equal_names_are_numbered(self):
        image = ee.Image(1).addBands(ee.Image(2)).addBands(ee.Image(3))
        pixels = fetch(image, PRAGUE)[0, 0]
        assert pixels.dtype.names == ("constant", "constant_1", "constant_2")
        assert list(pixels.tolist()) == [1, 2, 3]

    def test_arithmetic_between_bands(self):
        image = coordinates(PRAGUE.epsg)
        total = image.select("x").add(image.select("y")).subtract(ee.Image(1000))
        x, y = PRAGUE.pixel_centres()
        assert np.array_equal(fetch(total, PRAGUE)["x"], x + y[:, None] - 1000)

    def test_a_mosaic_takes_the_last_valid_pixel(self):
        layers = [
            ee.Image(1).toUint8(),
            ee.Image(2).toUint8().updateMask(self.masked().select("x").gt(0)),
        ]
        pixels = fetch(ee.ImageCollection(layers).mosaic(), PRAGUE)["constant"]
        assert np.all(pixels[:, :24] == 1)
        assert np.all(pixels[:, 24:] == 2)


class TestSentinel2:
    """The native values of 20 and 60 m bands come out of one request on the snapped grid."""

    @pytest.mark.parametrize("grid", [PRAGUE, CAPE_TOWN])
    @pytest.mark.parametrize(("band", "factor"), [("B5", 2), ("B1", 6)])
    def test_by_nearest_coarse_bands_are_whole_blocks(self, grid, band, factor, ee_client):
        box = ee.Geometry.Rectangle(list(grid.bounds), proj=grid.crs, geodesic=False)
        scenes = ee.ImageCollection("COPERNICUS/S2_HARMONIZED").filterBounds(box)
        scenes = scenes.filterDate("2020-06-01", "2020-08-01").filter(
            ee.Filter.contains(leftField=".geo", rightValue=box)
        )
        pixels = fetch(ee.Image(scenes.first()).select(band), grid)[band]
        coarse = pixels[::factor, ::factor]
        assert len(np.unique(coarse)) > 20
        assert np.array_equal(pixels, np.kron(coarse, np.ones((factor, factor), np.uint16)))
