"""The simulated WMS as a run starts it: a process of its own."""

import json
import subprocess
import sys

import numpy as np
import requests

from pipeline.grid import PatchGrid, patch_grid
from pipeline.osm_landuse.contract import check_contract
from pipeline.osm_landuse.decode import TileStatus, decode_tile
from pipeline.osm_landuse.fetch import fetch_tile, read_fetched
from pipeline.osm_landuse.rate_limit import RateLimit
from pipeline.osm_landuse.service import open_service
from pipeline.osm_landuse.wms import WmsClient
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.simulator.osm_layer import simulated_land_use

SEED = 7
SETTINGS = OsmLanduseSettings(requests_per_second=100)


def test_a_run_starts_its_own_server_and_reads_the_simulated_map(tmp_path):
    grid = patch_grid(11.9, 48.1, 120)
    with open_service(SETTINGS, SEED, tmp_path / "cache") as url:
        with WmsClient(url, SETTINGS, RateLimit(tmp_path / "rate", 100)) as client:
            record = fetch_tile(client, check_contract(client), "tile", grid, tmp_path / "raw")
        assert url.startswith("http://127.0.0.1:")
    _, picture = read_fetched(tmp_path / "raw", "tile")
    decoded = decode_tile(picture, record.request, grid, SETTINGS)
    finer = PatchGrid(grid.epsg, grid.left, grid.top, 240, 240, 5.0)
    drawn = simulated_land_use(finer, SEED)
    same = np.stack([drawn[0::2, 0::2], drawn[1::2, 0::2], drawn[0::2, 1::2], drawn[1::2, 1::2]])
    settled = (same == same[0]).all(axis=0)
    assert decoded.status is TileStatus.LABELLED
    assert (decoded.label == same[0])[settled].mean() > 0.97
    assert set(np.unique(decoded.label)) <= set(np.unique(drawn))
    try:
        requests.get(url, timeout=2)
    except requests.ConnectionError:
        return
    raise AssertionError("the server outlives the run")


def test_the_server_ends_when_its_parent_does(tmp_path):
    command = [sys.executable, "-m", "pipeline.simulator.wms", "--exit-with-parent"]
    process = subprocess.Popen(
        [*command, "--cache", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    announced = json.loads(process.stdout.readline())
    assert requests.get(announced["url"], timeout=60).status_code in (200, 400, 404, 500)
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def test_a_real_service_is_used_as_it_is(tmp_path):
    settings = OsmLanduseSettings(service="https://maps.example.org/osmlanduse/service")
    with open_service(settings, SEED, tmp_path) as url:
        assert url == settings.service
    assert not list(tmp_path.iterdir())
