"""Pairing on 30 simulated tiles, against the released script's own loop over the same archive.

The loop below asks scene by scene, as the script does; ours asks once for all tiles.
"""

import datetime as dt

import ee
import numpy as np
import pytest

from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.fetch import pair_tile
from pipeline.dynamic_world.pixels import fetch_images
from pipeline.dynamic_world.queries import ask_candidates
from pipeline.earthengine.queries import S1_COLLECTION, S2_COLLECTION
from pipeline.earthengine.session import earth_engine
from pipeline.ledger import Status
from pipeline.sensors import cube_bands
from pipeline.settings.tree import validate_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.expert_tiles import draw_places
from pipeline.simulator.server import SimulatedEarthEngine

COUNT, SIZE = 30, 64
S2_BANDS = [band.name for band in cube_bands("sentinel-2")]
AREA = (29.0, -2.5, 31.0, -0.5)
"""Across the border of two UTM zones, and near the equator, where swaths hardly overlap."""


@pytest.fixture(scope="module")
def server():
    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as running:
        yield running


def session(server, tmp_path, endpoint, rule="released"):
    settings = validate_settings(
        {
            "results": str(tmp_path),
            "earthengine": {"service": server.url},
            "dynamic_world": {"rule": rule, "selection_batch": 10},
        }
    )
    return settings.dynamic_world, earth_engine(settings, endpoint, 4)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    drawn = draw_places(AREA, [SIZE] * COUNT, seed=1)
    return [
        ExpertTile(k, tile.name, "train", tile.date, tile.grid, tmp_path_factory.getbasetemp(), "")
        for k, tile in enumerate(drawn)
    ]


@pytest.fixture(scope="module")
def found(server, tiles, tmp_path_factory):
    """What one request a batch tells about each tile."""
    settings, opened = session(server, tmp_path_factory.mktemp("asked"), "standard")
    with opened as client:
        answers = {tile.tile_id: answer for tile, answer in ask_candidates(client, tiles, settings)}
        assert client.statistics.calls.total() == 3
    return answers


class Refused(Exception):
    """The script's ``except:``; whatever goes wrong, the other window is next."""


def script_s2(tile, start, end):
    """First scene in the tile's CRS, in the order of the collection; masked pixels fail."""
    box = ee.Geometry.Rectangle(list(tile.grid.bounds), proj=tile.grid.crs, evenOdd=False)
    scenes = ee.ImageCollection(S2_COLLECTION).filterBounds(box).filterDate(start, end)
    scenes = scenes.filter(ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 20))
    ids = scenes.aggregate_array("system:index").getInfo()
    for index in ids:
        image = ee.Image(f"{S2_COLLECTION}/{index}")
        if image.select("B2").projection().getInfo()["crs"] == tile.grid.crs:
            bands = image.select(S2_BANDS).toFloat().resample("bilinear")
            refuse_masked(bands.reproject(image.select("B2").projection()), tile)
            return index, image.get("system:time_start").getInfo()
    raise Refused


def script_s1(tile, start, end, after):
    box = ee.Geometry.Rectangle(list(tile.grid.bounds), proj=tile.grid.crs, evenOdd=False)
    scenes = ee.ImageCollection(S1_COLLECTION).filterBounds(box).filterDate(start, end)
    for polarisation in ("VV", "VH"):
        both = ee.Filter.listContains("transmitterReceiverPolarisation", polarisation)
        scenes = scenes.filter(both)
    scenes = scenes.filter(ee.Filter.eq("instrumentMode", "IW"))
    if after:
        scenes = scenes.sort("system:time_start", False)
    ids = scenes.aggregate_array("system:index").getInfo()
    if not ids:
        raise Refused
    chosen = ids[0]
    if not after:
        for index in ids:
            band = ee.Image(f"{S1_COLLECTION}/{index}").select("VV")
            if band.projection().getInfo()["crs"] == tile.grid.crs:
                chosen = index
                break
    bands = ee.Image(f"{S1_COLLECTION}/{chosen}").select(["VV", "VH"]).toFloat()
    refuse_masked(bands.resample("bilinear"), tile)
    return chosen


def refuse_masked(image, tile):
    """What ``sampleRectangle`` without a default does, if any band is masked anywhere."""
    grid = {
        "dimensions": {"width": SIZE, "height": SIZE},
        "crsCode": tile.grid.crs,
        "affineTransform": {
            "scaleX": 10,
            "translateX": tile.grid.left,
            "scaleY": -10,
            "translateY": tile.grid.top,
        },
    }
    expression = image.unmask(-9999, False).toFloat()
    request = {"expression": expression, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
    pixels = ee.data.computePixels(request)
    if any((pixels[name] == -9999).any() for name in pixels.dtype.names):
        raise Refused


def script_pair(tile):
    days = dt.timedelta(days=15)
    date, before, after = (
        day.isoformat() for day in (tile.date, tile.date - days, tile.date + days)
    )
    try:
        try:
            s2, moment = script_s2(tile, date, after)
        except Refused:
            s2, moment = script_s2(tile, before, date)
        middle = dt.datetime.fromtimestamp(moment / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        try:
            return s2, script_s1(tile, middle, after, after=True)
        except Refused:
            return s2, script_s1(tile, before, middle, after=False)
    except Refused:
        return None


@pytest.fixture(scope="module")
def paired(server, tiles, found, tmp_path_factory):
    """Rows of the ledger by rule and tile; and how many pixel requests they took."""
    rows, requests = {}, {}
    for rule in ("released", "covering"):
        folder = tmp_path_factory.mktemp(rule)
        settings, opened = session(server, folder, "high_volume", rule)
        with opened as client:
            rows[rule] = {
                tile.tile_id: pair_tile(
                    tile, found[tile.tile_id], settings, images_of(client, tile)
                )[0]
                for tile in tiles
            }
            requests[rule] = client.statistics.calls.total()
    return rows, requests


def images_of(client, tile):
    return lambda pair: fetch_images(client, pair.optical.index, pair.radar.index, tile.grid)


def test_rule_released_is_the_loop_of_the_released_script(server, tiles, found, paired, tmp_path):
    _, opened = session(server, tmp_path, "standard")
    with opened:
        expected = {tile.tile_id: script_pair(tile) for tile in tiles}
    rows = paired[0]["released"]
    ours = {name: (row.s2_id, row.s1_id) if row.s2_id else None for name, row in rows.items()}
    assert ours == expected
    kept = [tile for tile in tiles if ours[tile.tile_id]]
    after = [tile for tile in kept if day(rows[tile.tile_id]) >= tile.date]
    assert 0 < len(after) < len(kept), "both windows are seen"
    assert any(skips_a_foreign_scene(found[tile.tile_id], rows[tile.tile_id]) for tile in kept), (
        "the CRS loop passes over scenes"
    )


def day(row):
    return dt.datetime.fromtimestamp(row.s2_time / 1000, dt.UTC).date()


def skips_a_foreign_scene(candidates, row):
    """Whether a scene in another zone comes before the chosen one, in the collection's order."""
    return any(
        scene.index < row.s2_id and scene.mgrs_tile[:2] != row.mgrs_tile[:2]
        for scene in candidates.optical
    )


def test_rule_covering_loses_no_tile_that_released_keeps(paired):
    rows, requests = paired
    kept = {
        rule: {name for name, row in by_tile.items() if row.status is Status.DONE}
        for rule, by_tile in rows.items()
    }
    assert kept["released"] <= kept["covering"]
    assert requests["covering"] <= COUNT * 1.2, "footprints spare requests"


def test_pixels_lie_on_the_grid_of_the_label(server, tiles, found, tmp_path):
    """One request a tile; 10 m bands on the scene's own lattice are not resampled."""
    settings, opened = session(server, tmp_path, "high_volume", "covering")
    with opened as client:
        row, arrays, tile = first_kept(client, tiles, found, settings)
        direct = ee.Image(f"{S2_COLLECTION}/{row.s2_id}").select("B4")
        grid = {
            "dimensions": {"width": SIZE, "height": SIZE},
            "crsCode": tile.grid.crs,
            "affineTransform": {
                "scaleX": 10,
                "translateX": tile.grid.left,
                "scaleY": -10,
                "translateY": tile.grid.top,
            },
        }
        request = {"expression": direct, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
        expected = ee.data.computePixels(request)["B4"]
    assert arrays["s2"].shape == (13, SIZE, SIZE) and arrays["s2"].dtype == np.uint16
    assert arrays["s1"].shape == (2, SIZE, SIZE) and arrays["s1"].dtype == np.int16
    np.testing.assert_array_equal(arrays["s2"][3], expected)
    assert -4000 < np.median(arrays["s1"]) < 500


def first_kept(client, tiles, found, settings):
    for tile in tiles:
        before = client.statistics.calls.total()
        row, arrays = pair_tile(tile, found[tile.tile_id], settings, images_of(client, tile))
        if row.status is Status.DONE:
            assert client.statistics.calls.total() == before + 1
            return row, arrays, tile
    raise AssertionError("no tile was kept")
