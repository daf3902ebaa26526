import csv
import datetime as dt
import hashlib
import io
import json
from dataclasses import asdict

import numpy as np
import pytest
import rasterio
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.agreement import Verdict
from pipeline.osm_landuse.assess import DwTile, assess_tile, conclude
from pipeline.osm_landuse.fetch import FetchRecord
from pipeline.osm_landuse.map_request import aligned_request
from pipeline.osm_landuse.tile_table import write_tile_table
from pipeline.osm_landuse.vetoes import Action, Veto
from pipeline.settings.osm_landuse import OsmLanduseSettings

GRID = PatchGrid(32632, 475_000.0, 5_475_000.0, 20, 20)
SETTINGS = OsmLanduseSettings(test_tiles=1)
COLOURS = {row.id: row.rgb for row in load_legend("osm_landuse")}
FOREST, WATER = 4, 6
DW_TREES, DW_WATER = 1, 0


@pytest.fixture
def store(tmp_path):
    """Put a picture of one class where fetching would have put it."""

    def put(tile_id, rgb):
        request = aligned_request(GRID, 5.0)
        body = io.BytesIO()
        Image.new("RGB", (request.width, request.height), rgb).save(body, "PNG")
        digest = hashlib.sha256(body.getvalue()).hexdigest()
        moment = dt.datetime(2024, 5, 1, tzinfo=dt.UTC).isoformat()
        record = FetchRecord(tile_id, "http://127.0.0.1/", moment, digest, request, 1)
        (tmp_path / f"{tile_id}.png").write_bytes(body.getvalue())
        (tmp_path / f"{tile_id}.json").write_text(json.dumps(asdict(record)))
        return tmp_path

    return put


def dw_tile(tile_id, number, split="train"):
    return DwTile(tile_id, split, GRID, np.full(GRID.shape, number, np.uint8))


def test_a_tile_that_agrees_is_kept(store):
    assessment, label = assess_tile(
        dw_tile("a", DW_TREES), store("a", COLOURS[FOREST]), SETTINGS, {}
    )
    assert assessment.verdict is Verdict.KEPT
    assert assessment.agreement.share == 1.0
    assert (label == FOREST).all()
    assert assessment.class_pixels[FOREST] == 400


@pytest.mark.parametrize(
    ("rgb", "verdict"),
    [
        (COLOURS[WATER], Verdict.LOW_AGREEMENT),
        ((255, 255, 255), Verdict.EMPTY),
        ((9, 9, 9), Verdict.UNKNOWN_COLOURS),
    ],
)
def test_other_tiles_are_dropped_for_a_reason(store, rgb, verdict):
    assessment, _ = assess_tile(dw_tile("a", DW_TREES), store("a", rgb), SETTINGS, {})
    assert assessment.verdict is verdict


def test_a_veto_drops_a_tile(store):
    veto = Veto("a", Action.DROP, None, "mapped after the flood")
    folder = store("a", COLOURS[FOREST])
    assessment, _ = assess_tile(dw_tile("a", DW_TREES), folder, SETTINGS, {"a": veto})
    assert assessment.verdict is Verdict.VETOED
    assert assessment.note == "mapped after the flood"


def test_a_correction_replaces_the_label_and_is_judged_anew(store, tmp_path):
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": GRID.crs}
    profile |= {"height": 20, "width": 20, "transform": GRID.transform}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as file:
        file.write(np.full((20, 20), WATER, np.uint8), 1)
    veto = Veto("a", Action.CORRECT, tmp_path / "a.tif", "a new reservoir")
    folder = store("a", COLOURS[FOREST])
    assessment, label = assess_tile(dw_tile("a", DW_WATER), folder, SETTINGS, {"a": veto})
    assert (label == WATER).all()
    assert assessment.verdict is Verdict.KEPT


def test_the_table_lists_every_tile_with_figures_and_reason(store, tmp_path):
    tiles = [
        ("forest", DW_TREES, COLOURS[FOREST], "train"),
        ("lake", DW_WATER, COLOURS[WATER], "test"),
        ("wrong", DW_TREES, COLOURS[WATER], "train"),
        ("sea", DW_WATER, (255, 255, 255), "train"),
    ]
    found = [
        assess_tile(dw_tile(name, number, split), store(name, rgb), SETTINGS, {})[0]
        for name, number, rgb, split in tiles
    ]
    rows = conclude(found, SETTINGS, seed=0)
    write_tile_table(tmp_path / "tiles.csv", rows)
    with (tmp_path / "tiles.csv").open(newline="") as file:
        table = {row["tile_id"]: row for row in csv.DictReader(file)}
    assert {name: (row["split"], row["verdict"]) for name, row in table.items()} == {
        "forest": ("train", "kept"),
        "lake": ("test", "kept"),
        "wrong": ("", "low_agreement"),
        "sea": ("", "empty"),
    }
    assert table["forest"]["agreement"] == "1.0000"
    assert table["sea"]["agreement"] == ""
    assert table["lake"]["fetched_at"].startswith("2024-05-01")


def test_a_row_tells_shares_colours_and_picture(store):
    half = dw_tile("half", DW_TREES)
    half.label[:10] = UNLABELLED
    tiles = [
        (half, COLOURS[FOREST]),
        (dw_tile("grey", DW_TREES), (9, 9, 9)),
        (dw_tile("lake", DW_WATER, "test"), COLOURS[WATER]),
    ]
    found = [assess_tile(tile, store(tile.tile_id, rgb), SETTINGS, {})[0] for tile, rgb in tiles]
    first, grey, _ = conclude(found, SETTINGS, seed=0)
    assert (first.osm_share, first.joint_share, first.agreement) == (1.0, 0.5, 1.0)
    assert (first.unknown_share, first.unknown_colours) == (0.0, "")
    assert (grey.osm_share, grey.unknown_share, grey.unknown_colours) == (0.0, 1.0, "#090909")
    picture = (store("half", COLOURS[FOREST]) / "half.png").read_bytes()
    assert first.picture_sha256 == hashlib.sha256(picture).hexdigest()


def test_a_build_in_another_numbering_goes_no_further(store):
    found = [
        assess_tile(dw_tile(name, DW_TREES), store(name, COLOURS[WATER]), SETTINGS, {})[0]
        for name in ("a", "b", "c")
    ]
    with pytest.raises(PipelineError, match="is this the released numbering"):
        conclude(found, SETTINGS, seed=0)
