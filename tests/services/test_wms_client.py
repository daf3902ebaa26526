import dataclasses
import json
import time

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED
from pipeline.osm_landuse.contract import check_contract
from pipeline.osm_landuse.decode import TileStatus, decode_tile
from pipeline.osm_landuse.errors import (
    WmsContractError,
    WmsError,
    WmsPayloadError,
    WmsServiceError,
    WmsTransportError,
)
from pipeline.osm_landuse.fetch import fetch_tile, read_fetched
from pipeline.osm_landuse.map_request import MapRequest, aligned_request
from pipeline.osm_landuse.picture import read_picture
from pipeline.osm_landuse.rate_limit import RateLimit
from pipeline.osm_landuse.wms import WmsClient
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.simulator.polygon_painter import PolygonPainter
from pipeline.simulator.wms_server import LandUseServer
from tests.deaf_port import deaf_port
from tests.services.wms_faults import FaultyWms, exception, fixed, flat, png, reset, slow, truncated

GRID = PatchGrid(32632, 475_000.0, 5_475_000.0, 60, 60)
EMPTY_GRID = PatchGrid(32631, 500_000.0, 100_000.0, 60, 60)
FAST = OsmLanduseSettings(
    requests_per_second=100,
    attempts=4,
    backoff_s=0.01,
    request_timeout_s=60.0,
    contact="maps@example.org",
)


@pytest.fixture(scope="module")
def faulty():
    return FaultyWms()


@pytest.fixture(scope="module")
def server(faulty, tmp_path_factory):
    west, south, east, north = GRID.bounds
    middle = (west + east) / 2
    halves = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    to_mercator = Transformer.from_crs(GRID.epsg, 3857, always_xy=True)
    polygons = [
        shapely.transform(half, lambda xy: np.column_stack(to_mercator.transform(*xy.T)))
        for half in halves
    ]
    painter = PolygonPainter(polygons, [4, 6], antialiased=False)
    folder = tmp_path_factory.mktemp("wms")
    with LandUseServer(painter, folder, middleware=faulty.wrap) as running:
        yield running


@pytest.fixture
def client_of(server, faulty, tmp_path):
    faulty.fail(fixed("", "", b""), times=0)
    clients = []

    def make(**changed):
        settings = FAST.model_copy(update=changed)
        limit = RateLimit(tmp_path / "rate", settings.requests_per_second)
        clients.append(WmsClient(server.url, settings, limit))
        return clients[-1]

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def window():
    return aligned_request(GRID, 5.0)


def test_a_server_that_keeps_the_contract(client_of, faulty):
    contract = check_contract(client_of())
    assert contract.wms_version == "1.3.0"
    assert (contract.max_width, contract.max_height) == (4000, 4000)
    assert sorted(contract.legend_order) == list(range(13))
    assert contract.legend_order[:3] == (0, 2, 4), "rows as in the real service's legend"
    assert any("maps@example.org" in agent for agent in faulty.user_agents)


def test_a_layer_the_server_does_not_have(client_of):
    with pytest.raises(WmsContractError, match="no layer 'roads'.*osm_lulc"):
        check_contract(client_of(layer="roads"))


def test_a_map_is_asked_once_and_counted(client_of, window):
    client = client_of()
    answer = client.map_picture(window)
    assert read_picture(answer.body).shape == (window.height, window.width, 4)
    assert "REQUEST=GetMap" in answer.url
    assert client.requests_sent == 1


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"layer": "roads"}, "LayerNotDefined"),
        ({"image_format": "image/webp"}, "InvalidFormat"),
    ],
)
def test_the_servers_own_refusals_are_asked_once(client_of, window, changed, code):
    client = client_of(**changed)
    with pytest.raises(WmsServiceError) as refusal:
        client.map_picture(window)
    assert refusal.value.code == code
    assert client.requests_sent == 1


def test_a_map_too_large_is_asked_once(client_of, window):
    client = client_of()
    with pytest.raises(WmsServiceError, match="too large"):
        client.map_picture(dataclasses.replace(window, width=5000, height=5000))
    assert client.requests_sent == 1


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_a_permanent_exception_is_asked_once_whatever_its_status(client_of, faulty, window, status):
    faulty.fail(exception(status, "no such layer", "LayerNotDefined"), times=99)
    client = client_of()
    with pytest.raises(WmsServiceError, match="LayerNotDefined.*no such layer"):
        client.map_picture(window)
    assert client.requests_sent == 1


FAULTS = {
    "exception with 200": exception("200 OK", "Could not get any sources"),
    "exception with 500": exception("500 Internal Server Error", "Could not get any sources"),
    "503": fixed("503 Service Unavailable", "text/plain", b"busy"),
    "408": fixed("408 Request Timeout", "text/plain", b"slow"),
    "429": fixed("429 Too Many Requests", "text/plain", b"busy"),
    "HTML": fixed("200 OK", "text/html", b"<html>maintenance</html>"),
    "empty body": fixed("200 OK", "image/png", b"", Content_Length="0"),
    "wrong size": fixed("200 OK", "image/png", png(np.zeros((9, 9, 3)))),
    "truncated, length declared": truncated(0.5, declared=True),
    "truncated, no length": truncated(0.5, declared=False),
    "last bytes missing": truncated(0.98, declared=False),
    "reset": reset,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_passing_fault_is_recovered(client_of, faulty, window, name):
    expected = client_of().map_picture(window).body
    faulty.fail(FAULTS[name], times=2)
    client = client_of()
    assert client.map_picture(window).body == expected
    assert client.requests_sent == 3


@pytest.mark.parametrize("name", FAULTS)
def test_a_lasting_fault_is_reported_after_all_attempts(client_of, faulty, window, name):
    faulty.fail(FAULTS[name], times=99)
    client = client_of()
    with pytest.raises(WmsError) as failure:
        client.map_picture(window)
    assert failure.value.retryable
    assert client.requests_sent == FAST.attempts


def test_a_slow_answer_is_asked_again(client_of, faulty, window):
    client = client_of(request_timeout_s=1.5)
    client.map_picture(window)  # by now the server has drawn the window once
    faulty.fail(slow(4.0), times=1)
    client.map_picture(window)
    assert client.requests_sent == 1 + 2


@pytest.mark.parametrize(
    "busy",
    [
        fixed("503 Service Unavailable", "text/plain", b"busy", Retry_After="1"),
        exception("429 Too Many Requests", "invalid: too many", Retry_After="1"),
        exception("200 OK", "overloaded", Retry_After="1"),
    ],
    ids=["503", "429 with an exception", "200 with an exception"],
)
def test_retry_after_is_honoured_by_everybody(client_of, faulty, window, busy):
    faulty.fail(busy, times=1)
    client = client_of()
    client.map_picture(window)
    assert faulty.maps[1] - faulty.maps[0] >= 0.99


def test_a_pause_beyond_our_patience_is_not_waited_for(client_of, faulty, window):
    busy = fixed("503 Service Unavailable", "text/plain", b"busy", Retry_After="3000")
    faulty.fail(busy, times=1)
    client = client_of(patience_s=5.0)
    started = time.monotonic()
    with pytest.raises(WmsTransportError) as failure:
        client.map_picture(window)
    assert failure.value.retry_after_s == 3000
    assert time.monotonic() - started < 30.0


def test_a_server_that_is_gone(tmp_path, window):
    with (
        deaf_port() as port,
        WmsClient(
            f"http://127.0.0.1:{port}/service", FAST, RateLimit(tmp_path / "rate", 100)
        ) as client,
    ):
        with pytest.raises(WmsTransportError, match="no complete answer"):
            client.map_picture(window)
        assert client.requests_sent == FAST.attempts


def test_a_fetched_tile_keeps_its_raw_answer_and_is_not_asked_again(client_of, tmp_path):
    client = client_of()
    contract = check_contract(client)
    before = client.requests_sent
    record = fetch_tile(client, contract, "dw_8.6_49.4-20190603", GRID, tmp_path / "raw")
    again = fetch_tile(client, contract, "dw_8.6_49.4-20190603", GRID, tmp_path / "raw")
    assert again == record
    assert client.requests_sent == before + 1
    stored, picture = read_fetched(tmp_path / "raw", "dw_8.6_49.4-20190603")
    assert stored == record
    assert record.url.startswith(client.url)
    assert record.fetched_at.endswith("+00:00")
    decoded = decode_tile(picture, stored.request, GRID, client.settings)
    assert decoded.status is TileStatus.LABELLED
    assert (decoded.label[:, 1:29] == 4).all()
    assert (decoded.label[:, 31:59] == 6).all()


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[1]", b"\xff", b'{"tile_id": "tile"}'])
def test_a_damaged_record_is_fetched_again(client_of, tmp_path, rubbish):
    client = client_of()
    contract = check_contract(client)
    fetch_tile(client, contract, "tile", GRID, tmp_path)
    whole = json.loads((tmp_path / "tile.json").read_text())
    (tmp_path / "tile.json").write_bytes(rubbish)
    fetch_tile(client, contract, "tile", GRID, tmp_path)
    assert json.loads((tmp_path / "tile.json").read_text())["sha256"] == whole["sha256"]


def test_a_damaged_raw_answer_is_fetched_again(client_of, tmp_path):
    client = client_of()
    contract = check_contract(client)
    record = fetch_tile(client, contract, "tile", GRID, tmp_path)
    whole = (tmp_path / "tile.png").read_bytes()
    (tmp_path / "tile.png").write_bytes(whole[:100])
    repaired = fetch_tile(client, contract, "tile", GRID, tmp_path)
    assert repaired.sha256 == record.sha256
    assert (tmp_path / "tile.png").read_bytes() == whole


@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (77, 255, 0)])
def test_a_flat_picture_is_asked_for_twice(client_of, faulty, tmp_path, rgb):
    client = client_of()
    contract = check_contract(client)
    faulty.fail(flat(rgb), times=1)
    assert fetch_tile(client, contract, "tile", GRID, tmp_path) is None
    assert not list(tmp_path.glob("tile*"))
    record = fetch_tile(client, contract, "tile", GRID, tmp_path, second_look=True)
    assert record.asked == 2
    _, picture = read_fetched(tmp_path, "tile")
    decoded = decode_tile(picture, record.request, GRID, client.settings)
    assert set(np.unique(decoded.label)) <= {4, 6, UNLABELLED}
    assert (decoded.label == 6).mean() > 0.4


def test_a_lasting_foreign_picture_labels_nothing(client_of, faulty, tmp_path):
    client = client_of()
    contract = check_contract(client)
    faulty.fail(flat((90, 90, 90)), times=99)
    record = fetch_tile(client, contract, "tile", GRID, tmp_path, second_look=True)
    _, picture = read_fetched(tmp_path, "tile")
    decoded = decode_tile(picture, record.request, GRID, client.settings)
    assert decoded.status is TileStatus.UNKNOWN_COLOURS
    assert decoded.unknown_colours == ((90, 90, 90),)
    assert (decoded.label == UNLABELLED).all()


def test_an_empty_area_is_a_status(client_of, tmp_path):
    client = client_of()
    contract = check_contract(client)
    assert fetch_tile(client, contract, "sea", EMPTY_GRID, tmp_path) is None
    record = fetch_tile(client, contract, "sea", EMPTY_GRID, tmp_path, second_look=True)
    _, picture = read_fetched(tmp_path, "sea")
    decoded = decode_tile(picture, record.request, EMPTY_GRID, client.settings)
    assert decoded.status is TileStatus.EMPTY
    assert record.asked == 2


def test_no_file_is_left_of_a_tile_that_could_not_be_fetched(client_of, faulty, tmp_path):
    client = client_of()
    contract = check_contract(client)
    faulty.fail(FAULTS["truncated, no length"], times=99)
    with pytest.raises(WmsPayloadError):
        fetch_tile(client, contract, "tile", GRID, tmp_path / "raw")
    assert not list(tmp_path.glob("raw/*"))


@pytest.mark.parametrize("tile_id", ["../escape", "a/b", "", ".hidden", "a\\b", "x" * 200])
def test_a_tile_id_never_becomes_a_path(client_of, tmp_path, tile_id):
    client = client_of()
    with pytest.raises(PipelineError, match="cannot be a file name"):
        fetch_tile(client, check_contract(client), tile_id, GRID, tmp_path)


def test_a_window_elsewhere_is_white(client_of):
    request = MapRequest((0.0, 0.0, 1000.0, 1000.0), 100, 100)
    picture = read_picture(client_of().map_picture(request).body)
    assert (picture[..., :3] == 255).all()
