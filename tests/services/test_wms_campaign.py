"""Many tiles in one run: interrupted, repeated, and with a server that fails in between."""

import hashlib
import json
import logging
import subprocess
import sys
import time

import pytest

from pipeline.errors import PipelineError
from pipeline.grid import patch_grid
from pipeline.osm_landuse.campaign import TilePlace, fetch_tiles
from pipeline.osm_landuse.errors import WmsContractError
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.simulator.osm_layer import SimulatedOsmLayer
from pipeline.simulator.wms_server import LandUseServer
from tests.services.wms_faults import FaultyWms, exception, fixed, flat

SEED = 7
LONGITUDES = (11.5, 11.6, 11.7, 11.8)
TILES = [TilePlace(f"dw_{lon}_48.1-20190603", patch_grid(lon, 48.1, 60)) for lon in LONGITUDES]


@pytest.fixture(scope="module")
def faulty():
    return FaultyWms()


@pytest.fixture(scope="module")
def server(faulty, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wms")
    with LandUseServer(SimulatedOsmLayer(SEED), folder, middleware=faulty.wrap) as running:
        yield running


@pytest.fixture
def settings(server, faulty):
    faulty.fail(fixed("", "", b""), times=0)
    return OsmLanduseSettings(
        service=server.url, requests_per_second=100, attempts=2, backoff_s=0.01
    )


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.png")
    }


def test_all_tiles_are_fetched_once(settings, faulty, tmp_path):
    fetch_tiles(TILES, tmp_path, settings, SEED)
    assert len(faulty.maps) == len(TILES)
    assert sorted(digests(tmp_path)) == sorted(f"{tile.tile_id}.png" for tile in TILES)
    contract = json.loads((tmp_path / "contract.json").read_text())["contract"]
    assert len(contract["legend_order"]) == 13
    asked = faulty.requests
    fetch_tiles(TILES, tmp_path, settings, SEED)
    assert faulty.requests == asked, "nothing was missing, so the server was left alone"


def test_pictures_of_two_services_are_never_mixed(settings, tmp_path):
    fetch_tiles(TILES[:1], tmp_path, settings, SEED)
    simulated = settings.model_copy(update={"service": "simulated"})
    with pytest.raises(PipelineError, match="holds pictures of http.*not of simulated, seed 7"):
        fetch_tiles(TILES, tmp_path, simulated, SEED)


def test_pictures_of_two_layers_are_never_mixed(settings, tmp_path):
    fetch_tiles(TILES[:1], tmp_path, settings, SEED)
    other = settings.model_copy(update={"layer": "osmlanduse:osm_lulc_combined"})
    with pytest.raises(PipelineError, match="holds pictures .*osm_lulc.*not of .*combined"):
        fetch_tiles(TILES[:1], tmp_path, other, SEED)


def test_a_damaged_contract_is_one_line(settings, tmp_path):
    fetch_tiles(TILES[:1], tmp_path, settings, SEED)
    (tmp_path / "contract.json").write_text("{")
    with pytest.raises(PipelineError, match="contract.json is damaged; delete it if"):
        fetch_tiles(TILES[:1], tmp_path, settings, SEED)


def test_flat_pictures_are_asked_for_again_when_all_others_are_there(settings, faulty, tmp_path):
    fetch_tiles(TILES, tmp_path / "whole", settings, SEED)
    faulty.fail(flat((255, 255, 255)), times=1)
    fetch_tiles(TILES, tmp_path / "doubted", settings, SEED)
    assert len(faulty.maps) == len(TILES) + 1
    assert digests(tmp_path / "doubted") == digests(tmp_path / "whole")
    records = [json.loads(path.read_text()) for path in (tmp_path / "doubted").glob("dw_*.json")]
    asked = {record["tile_id"]: record["asked"] for record in records}
    assert asked == {tile.tile_id: 1 + (tile is TILES[0]) for tile in TILES}


def test_a_server_that_asks_for_a_long_pause_is_left_alone(settings, faulty, tmp_path):
    pause = fixed("429 Too Many Requests", "text/plain", b"later", Retry_After="2000")
    faulty.fail(pause, times=99)
    with pytest.raises(PipelineError, match="4 of 4 pictures"):
        fetch_tiles(TILES, tmp_path, settings, SEED)
    assert len(faulty.maps) == 1


def test_a_run_that_failed_goes_on_and_ends_with_the_same_bytes(settings, faulty, tmp_path):
    fetch_tiles(TILES, tmp_path / "whole", settings, SEED)
    faulty.fail(fixed("503 Service Unavailable", "text/plain", b"busy"), times=4)
    with pytest.raises(PipelineError, match="2 of 4 pictures .* run the same command again"):
        fetch_tiles(TILES, tmp_path / "broken", settings, SEED)
    assert len(digests(tmp_path / "broken")) == 2
    faulty.fail(fixed("", "", b""), times=0)
    fetch_tiles(TILES, tmp_path / "broken", settings, SEED)
    assert len(faulty.maps) == 2
    assert digests(tmp_path / "broken") == digests(tmp_path / "whole")


def test_a_server_that_answers_nobody_is_left_alone(settings, faulty, tmp_path, caplog):
    faulty.fail(exception("500 Internal Server Error", "database down"), times=999)
    with caplog.at_level(logging.WARNING), pytest.raises(PipelineError, match="4 of 4 pictures"):
        fetch_tiles(TILES, tmp_path, settings, SEED)
    assert len(faulty.maps) == 3 * settings.attempts
    assert "database down" in caplog.text


def test_a_server_without_the_layer_is_refused_before_the_first_tile(settings, faulty, tmp_path):
    other = settings.model_copy(update={"layer": "roads"})
    with pytest.raises(WmsContractError, match="no layer 'roads'"):
        fetch_tiles(TILES, tmp_path, other, SEED)
    assert faulty.maps == []


def test_other_settings_ask_for_other_pictures(settings, faulty, tmp_path):
    fetch_tiles(TILES[:1], tmp_path, settings, SEED)
    before = digests(tmp_path)
    released = settings.model_copy(update={"decoding": "released"})
    fetch_tiles(TILES[:1], tmp_path, released, SEED)
    assert digests(tmp_path) != before


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(settings, tmp_path):
    fetch_tiles(TILES, tmp_path / "whole", settings, SEED)
    slow = {"service": settings.service, "requests_per_second": 8}
    script = (
        "from pathlib import Path\n"
        "from pipeline.grid import patch_grid\n"
        "from pipeline.osm_landuse.campaign import TilePlace, fetch_tiles\n"
        "from pipeline.settings.osm_landuse import OsmLanduseSettings\n"
        f"tiles = [TilePlace(f'dw_{{lon}}_48.1-20190603', patch_grid(lon, 48.1, 60))"
        f" for lon in {LONGITUDES}]\n"
        "print('ready', flush=True)\n"
        f"fetch_tiles(tiles, Path({str(tmp_path / 'killed')!r}), OsmLanduseSettings(**{slow}), 7)\n"
    )
    for seconds in (0.15, 0.4, 0.6):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        process.communicate()
    fetch_tiles(TILES, tmp_path / "killed", settings, SEED)
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
