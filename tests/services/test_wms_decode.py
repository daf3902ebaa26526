"""Labels that went through a real WMS server against the truth behind them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from rasterio import features
from shapely.geometry import shape

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.contract import check_contract
from pipeline.osm_landuse.decode import decode_tile
from pipeline.osm_landuse.fetch import fetch_tile, read_fetched
from pipeline.osm_landuse.map_request import released_request
from pipeline.osm_landuse.picture import read_picture
from pipeline.osm_landuse.rate_limit import RateLimit
from pipeline.osm_landuse.wms import WmsClient
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.simulator.polygon_painter import PolygonPainter
from pipeline.simulator.wms_server import LandUseServer
from tests.services.synthetic_land_use import PLACES, compare, land_use, truth_of

SAMPLE_DATA = Path(os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real"))
EXTRACT = SAMPLE_DATA / "osm" / "liechtenstein-2013-08-03_landuse.geojson"
SETTINGS = OsmLanduseSettings(requests_per_second=100)

TILE_PIXELS = 300
SCENES = {
    place: land_use(PatchGrid(grid.epsg, grid.left, grid.top, TILE_PIXELS, TILE_PIXELS), seed)
    for seed, (place, grid) in enumerate(PLACES.items())
}


def labels_through(server, settings, grid, folder):
    with WmsClient(server.url, settings, RateLimit(folder / "rate", 100)) as client:
        contract = check_contract(client)
        record = fetch_tile(client, contract, "tile", grid, folder)
        _, picture = read_fetched(folder, "tile")
        return decode_tile(picture, record.request, grid, settings)


@pytest.fixture(scope="module")
def truths():
    return {place: truth_of(scene) for place, scene in SCENES.items()}


@pytest.fixture(scope="module", params=[False, True], ids=["sharp", "antialiased"])
def server(request, tmp_path_factory):
    polygons = [shape for scene in SCENES.values() for shape in scene.mercator_polygons()]
    ids = [number for scene in SCENES.values() for number in scene.ids]
    painter = PolygonPainter(polygons, ids, antialiased=request.param)
    with LandUseServer(painter, tmp_path_factory.mktemp("wms")) as running:
        yield running


@pytest.mark.parametrize("place", SCENES)
def test_labels_equal_the_truth_from_the_equator_to_69_north(server, truths, place, tmp_path):
    decoded = labels_through(server, SETTINGS, SCENES[place].grid, tmp_path)
    figures = compare(decoded.label, truths[place])
    assert figures.accuracy >= 0.995
    assert figures.recall >= 0.985
    assert figures.invented == 0
    assert decoded.unknown_colours == ()


def test_the_server_blends_whatever_is_not_on_its_own_pixel_grid(server, tmp_path):
    """Else the figures above would prove little."""
    grid = SCENES["Heidelberg"].grid
    with WmsClient(server.url, SETTINGS, RateLimit(tmp_path / "rate", 100)) as client:
        picture = read_picture(client.map_picture(released_request(grid)).body)
    colours = np.array([*(row.rgb for row in load_legend("osm_landuse")), (255, 255, 255)])
    exact = (picture[..., None, :3] == colours).all(axis=-1).any(axis=-1)
    assert exact.mean() < 0.9


def test_the_released_procedure_recalls_less_but_stays_in_place(server, truths, tmp_path):
    released = OsmLanduseSettings(requests_per_second=100, decoding="released")
    decoded = labels_through(server, released, SCENES["Heidelberg"].grid, tmp_path)
    figures = compare(decoded.label, truths["Heidelberg"])
    assert figures.accuracy >= 0.99
    assert 0.7 < figures.recall < 0.9


TAGS = {
    ("landuse", "residential"): 0,
    ("landuse", "industrial"): 1,
    ("landuse", "commercial"): 1,
    ("landuse", "farmland"): 2,
    ("landuse", "recreation_ground"): 3,
    ("landuse", "cemetery"): 3,
    ("landuse", "allotments"): 3,
    ("leisure", "park"): 3,
    ("leisure", "pitch"): 3,
    ("landuse", "forest"): 4,
    ("natural", "wood"): 4,
    ("landuse", "quarry"): 5,
    ("landuse", "construction"): 5,
    ("natural", "water"): 6,
    ("landuse", "reservoir"): 6,
    ("landuse", "meadow"): 8,
    ("natural", "scrub"): 9,
    ("landuse", "vineyard"): 10,
    ("natural", "wetland"): 11,
}
"""Tags to classes after the table of Schultz et al. 2017, doi:10.1016/j.jag.2017.07.014."""


def liechtenstein():
    """Polygons in longitude and latitude, large ones first, with their class ids."""
    found = []
    for feature in json.loads(EXTRACT.read_text())["features"]:
        tags = feature["properties"]
        keys = [(key, tags.get(key)) for key in ("landuse", "natural", "leisure")]
        ids = [TAGS[key] for key in keys if key in TAGS]
        if ids:
            found.append((shape(feature["geometry"]), ids[0]))
    found.sort(key=lambda pair: -pair[0].area)
    return [polygon for polygon, _ in found], [number for _, number in found]


def reprojected(polygons, epsg):
    transformer = Transformer.from_crs(4326, epsg, always_xy=True)
    return [
        shapely.transform(polygon, lambda xy: np.column_stack(transformer.transform(*xy.T)))
        for polygon in polygons
    ]


@pytest.mark.skipif(not EXTRACT.exists(), reason=f"sample data {EXTRACT} not found")
@pytest.mark.parametrize("antialiased", [False, True], ids=["sharp", "antialiased"])
def test_a_real_extract_comes_back_as_its_classes_on_a_utm_grid(tmp_path, antialiased):
    polygons, ids = liechtenstein()
    grid = PatchGrid(32632, 536_000.0, 5_226_000.0, 510, 510)
    painter = PolygonPainter(reprojected(polygons, 3857), ids, antialiased)
    with LandUseServer(painter, tmp_path / "wms") as server:
        label = labels_through(server, SETTINGS, grid, tmp_path).label
    expected = np.full(grid.shape, UNLABELLED, np.uint8)
    inside = np.zeros(grid.shape, bool)
    for polygon, number in zip(reprojected(polygons, grid.epsg), ids, strict=True):
        drawn = {"out_shape": grid.shape, "transform": grid.transform, "dtype": "uint8"}
        touched = features.rasterize([polygon.boundary], all_touched=True, **drawn).astype(bool)
        covered = features.rasterize([polygon], **drawn).astype(bool)
        expected[covered] = number
        inside = (inside | covered) & ~touched
    assert len(set(expected[inside])) >= 6, "the tile shows too few classes to prove anything"
    assert (label == expected)[inside].mean() > 0.999
    assert set(np.unique(label)) <= {*ids, UNLABELLED}
    assert abs((label != UNLABELLED).mean() - (expected != UNLABELLED).mean()) < 0.005
