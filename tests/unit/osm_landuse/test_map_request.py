import numpy as np
import pytest
import shapely
from pyproj import Transformer

from pipeline.grid import PatchGrid
from pipeline.osm_landuse.errors import WmsContractError
from pipeline.osm_landuse.map_request import (
    WEB_MERCATOR_EDGE_M,
    aligned_request,
    released_request,
)

TILES = [
    PatchGrid(32737, 255_000.0, 9_860_000.0, 510, 510),
    PatchGrid(32633, 333_000.0, 6_713_000.0, 510, 510),
    PatchGrid(32634, 415_000.0, 7_705_000.0, 512, 512),
    PatchGrid(32632, 475_013.7, 5_475_001.2, 510, 300),
]


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("resolution", [10 / 3, 5.0])
def test_windows_lie_on_a_zoom_levels_pixels_and_cover_the_tile(tile, resolution):
    request = aligned_request(tile, resolution)
    left, bottom, right, top = request.bounds
    pixel = (right - left) / request.width
    assert (top - bottom) / request.height == pytest.approx(pixel, rel=1e-9)
    zoom = np.log2(2 * WEB_MERCATOR_EDGE_M / 256 / pixel)
    assert zoom == pytest.approx(round(zoom), abs=1e-9)
    for edge in (left + WEB_MERCATOR_EDGE_M, WEB_MERCATOR_EDGE_M - top):
        assert edge / pixel == pytest.approx(round(edge / pixel), abs=1e-4)
    to_mercator = Transformer.from_crs(tile.epsg, 3857, always_xy=True)
    outline = shapely.segmentize(shapely.box(*tile.bounds), 50.0).exterior.coords
    eastings, northings = to_mercator.transform(*np.transpose(outline))
    for margin in (
        eastings.min() - left,
        right - eastings.max(),
        northings.min() - bottom,
        top - northings.max(),
    ):
        assert 1.99 < margin / pixel < 3.01, "two pixels, and the rest of a third"


def test_the_wanted_ground_resolution_is_reached():
    for tile in TILES:
        lat = Transformer.from_crs(tile.epsg, 4326, always_xy=True).transform(tile.left, tile.top)[
            1
        ]
        request = aligned_request(tile, 5.0)
        pixel = -request.transform.e * np.cos(np.radians(lat))
        assert 2.45 < pixel <= 5.01


def test_a_small_server_limit_lowers_the_zoom():
    free, limited = aligned_request(TILES[0], 10 / 3), aligned_request(TILES[0], 10 / 3, 2000, 2000)
    assert max(free.width, free.height) > 2000 >= max(limited.width, limited.height)
    assert limited.transform.a == pytest.approx(2 * free.transform.a)


def test_a_server_limit_below_the_tiles_own_pixels_is_refused():
    with pytest.raises(WmsContractError, match="400 x 400"):
        aligned_request(TILES[0], 5.0, 400, 400)


def test_the_released_window_is_a_fifth_wider_at_twice_the_pixels():
    tile = TILES[1]
    request = released_request(tile)
    assert (request.width, request.height) == (1224, 1224)
    of_512 = released_request(TILES[2])
    assert (of_512.width, of_512.height) == (1228, 1228), "int(512 * 1.2 * 2)"
    left, _, right, _ = request.bounds
    transformer = Transformer.from_crs(tile.epsg, 3857, always_xy=True)
    inner_left, _, inner_right, _ = transformer.transform_bounds(*tile.bounds)
    assert (right - left) / (inner_right - inner_left) == pytest.approx(1.2, abs=0.001)
