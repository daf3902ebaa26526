"""Selection and pixels through the unmodified `ee` client, against the simulated Earth Engine."""

import datetime as dt
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pyproj import Transformer

from pipeline.earthengine.budget import read_usage
from pipeline.earthengine.errors import BudgetExhausted, EarthEngineFault, Missing, Quota
from pipeline.earthengine.pixels import fetch_season
from pipeline.earthengine.queries import S2_COLLECTION, select_candidates
from pipeline.earthengine.session import earth_engine
from pipeline.errors import PipelineError
from pipeline.grid import mgrs_epsg, patch_grid
from pipeline.ledger import Status
from pipeline.locations.location import Location
from pipeline.selection import choose_scenes
from pipeline.settings.tree import validate_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.faults import FaultPlan, FaultRule
from pipeline.simulator.server import SimulatedEarthEngine

DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22))
WORK = ("compute", "pixels")
PASSING = [
    "throttled",
    "throttled_retry_after",
    "error_500",
    "error_502",
    "error_503",
    "error_504",
    "memory_limit",
    "computation_timeout",
    "html_502",
    "html_200",
    "reset",
    "truncated",
    "truncated_no_length",
    "garbage",
    "restricted",
    "slow",
]


def place(sample, lon, lat, pixels=66):
    grid = patch_grid(lon, lat, pixels)
    return Location(sample, f"{sample:07d}", lon, lat, grid, DATES, "train", 0)


PLACES = [place(i, 9.0 + 0.7 * i, 45.0 + 0.3 * i) for i in range(10)]
FEW = PLACES[:3]


@pytest.fixture(scope="module")
def archive():
    return ProceduralArchive(7)


@pytest.fixture
def server(archive):
    with SimulatedEarthEngine(archive) as running:
        yield running


@pytest.fixture
def settings(server, tmp_path):
    """A function of `earthengine` settings: the whole settings, pointing at the server."""

    def make(**earthengine):
        return validate_settings(
            {
                "name": "test",
                "results": str(tmp_path),
                "earthengine": {"service": server.url, **earthengine},
            }
        )

    return make


def select(settings, places=PLACES, slots=4):
    with earth_engine(settings, "standard", slots) as client:
        found = select_candidates(client, places, settings)
        answers = {location.sample: answer for location, answer in found}
    return answers, client.statistics


def only(pixels, rows):
    return {(row.sample, row.season): pixels[row.sample, row.season] for row in rows}


@pytest.fixture(scope="module")
def healthy(archive, tmp_path_factory):
    """Settings of a server in good health."""
    with SimulatedEarthEngine(archive) as running:
        folder = str(tmp_path_factory.mktemp("healthy"))
        yield validate_settings({"results": folder, "earthengine": {"service": running.url}})


@pytest.fixture(scope="module")
def candidates(healthy):
    """Of `FEW` places, by sample."""
    return select(healthy, FEW)[0]


@pytest.fixture(scope="module")
def rows(candidates):
    """Eight seasons to fetch."""
    chosen_rows = [
        row
        for spot in FEW
        for row in choose_scenes(spot, candidates[spot.sample], "dw_first")
        if row.status is Status.SELECTED
    ]
    assert len(chosen_rows) >= 8
    return chosen_rows[:8]


@pytest.fixture(scope="module")
def pixels(healthy, rows):
    """Of `rows`, by (sample, season)."""
    return fetch(healthy, rows)


def fetch(settings, rows, places=PLACES, slots=4):
    grids = {spot.sample: spot.grid for spot in places}
    with earth_engine(settings, "high_volume", slots) as client:
        results = client.map(lambda row: fetch_season(client, row, grids[row.sample]), rows)
        return {(row.sample, row.season): future.result() for row, future in results}


def arrays(pixels):
    return [pixels.s2_10m, pixels.s2_20m, pixels.s2_60m, pixels.s1, pixels.label]


def same(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(a, b)
        for key in one
        for a, b in zip(arrays(one[key]), arrays(other[key]), strict=True)
    )


def count(server, kind):
    return sum(record.kind == kind for record in server.journal)


def plan(kind, *positions, share=0.0, seconds=0.0, requests=WORK):
    return FaultPlan([FaultRule(kind, share, frozenset(positions), frozenset(requests), seconds)])


# --- selection ------------------------------------------------------------------------------------


def test_a_batch_says_the_same_as_single_questions(server, settings):
    batch, _ = select(settings(selection_batch=25))
    assert count(server, "compute") == 1
    single, _ = select(settings(selection_batch=1))
    assert count(server, "compute") == 1 + len(PLACES)
    assert batch == single
    assert sum(len(season.optical) for season in itertools.chain(*batch.values())) > 20


def test_candidates_hold_the_patch_and_come_newest_first(archive, settings):
    answers, _ = select(settings())
    for spot in PLACES:
        for season in answers[spot.sample]:
            times = [scene.time for scene in season.optical]
            assert times == sorted(times, reverse=True)
            assert all(scene.cloud_cover < 20 for scene in season.optical)
            for scene in season.optical:
                footprint = archive.get(f"{S2_COLLECTION}/{scene.index}").footprint
                assert footprint.contains(spot.grid.footprint)
                day = dt.datetime.fromtimestamp(scene.time / 1000, dt.UTC).date()
                assert season.window_start <= day < season.window_end


def test_requests_carry_the_tag_of_their_endpoint(server, settings, rows):
    select(settings(), FEW)
    fetch(settings(), rows[:1])
    tags = {record.kind: record.workload_tag for record in server.journal}
    assert (tags["compute"], tags["pixels"]) == ("noldo-selection", "noldo-pixels")


@pytest.mark.parametrize("kind", ["memory_limit", "computation_timeout", "error_504"])
def test_a_batch_that_is_too_much_is_halved(server, settings, kind):
    whole, _ = select(settings())
    server.journal.clear()
    server.faults = plan(kind, 0, 1)
    halves, statistics = select(settings(), slots=1)
    assert halves == whole
    assert count(server, "compute") == 5  # 10 and 5 in vain, 2 + 3, 5
    assert not statistics.retries


def test_a_batch_that_takes_too_long_is_halved_down_to_one(server, settings):
    places = PLACES[:2]
    whole, _ = select(settings(), places)
    server.faults = plan("slow", 0, 1, seconds=6.0)
    halves, statistics = select(settings(request_timeout_s=3.0), places, slots=1)
    assert halves == whole
    assert statistics.retries == {"TimedOut": 1}


@pytest.mark.parametrize(("kind", "requests"), [("refused", 3), ("error_500", 3), ("error_503", 1)])
def test_a_fault_that_is_no_places_is_not_sought_among_them(server, settings, kind, requests):
    server.faults = plan(kind, share=1.0, requests=("compute",))
    answers, _ = select(settings(attempts=1))
    assert len(answers) == len(PLACES)
    assert all(isinstance(answer, EarthEngineFault) for answer in answers.values())
    assert count(server, "compute") == requests


def test_throttling_is_a_fault_and_no_answer(server, settings):
    server.faults = plan("throttled", share=1.0)
    answers, _ = select(settings(attempts=1))
    assert all(isinstance(answer, Quota) for answer in answers.values())
    assert len(answers) == len(PLACES)


# --- pixels ---------------------------------------------------------------------------------------


def test_native_values_come_back_exactly(archive, settings):
    places = [place(0, 11.2, 47.1), place(1, 18.6, -33.7)]  # north and south of the equator
    found, _ = select(settings(), places)
    north_and_south = [choose_scenes(spot, found[spot.sample], "dw_first")[0] for spot in places]
    answers = fetch(settings(), north_and_south, places)
    for row in north_and_south:
        pixels, grid = answers[row.sample, 0], places[row.sample].grid
        assert mgrs_epsg(row.mgrs_tile) == grid.epsg
        scene = archive.get(f"{S2_COLLECTION}/{row.s2_id}")
        for array, names in (
            (pixels.s2_10m, ["B2", "B3", "B4", "B8"]),
            (pixels.s2_20m, ["B5", "B6", "B7", "B8A", "B11", "B12"]),
            (pixels.s2_60m, ["B1", "B9", "B10"]),
        ):
            for layer, name in zip(array, names, strict=True):
                assert np.array_equal(layer, read_native(scene, name, grid, layer.shape))


def read_native(scene, name, grid, shape):
    column, row = ~scene.bands[name].transform @ (grid.left, grid.top)
    assert (column % 1, row % 1) == (0, 0)
    values, valid = scene.read(
        name, int(row), int(row) + shape[0], int(column), int(column) + shape[1]
    )
    return np.where(valid, values, 0)


def test_across_zones_the_nearest_value_is_taken(archive, settings):
    spot = place(0, 12.02, 47.1)  # just east of the border between zones 32 and 33
    answers, _ = select(settings(), [spot])
    found = [replace_zone(season, spot.grid.epsg) for season in answers[0]]
    rows = [row for row in choose_scenes(spot, found, "paper") if row.s2_id and row.s1_id]
    row = replace(rows[0], dw_id=rows[0].s2_id)
    assert mgrs_epsg(row.mgrs_tile) != spot.grid.epsg
    (pixels,) = fetch(settings(), [row], [spot]).values()
    scene = archive.get(f"{S2_COLLECTION}/{row.s2_id}")
    coarse = spot.grid.coarsened(6)
    x, y = np.meshgrid(*coarse.pixel_centres())
    to_scene = Transformer.from_crs(spot.grid.epsg, scene.epsg, always_xy=True)
    columns, lines = ~scene.bands["B1"].transform @ to_scene.transform(x + 5.0, y - 5.0)
    expected = [
        scene.read("B1", int(line), int(line) + 1, int(column), int(column) + 1)[0].item()
        for line, column in zip(lines.ravel(), columns.ravel(), strict=True)
    ]
    assert pixels.s2_60m[0].ravel().tolist() == expected


def replace_zone(season, epsg):
    """The candidates as if the zone of the place had none."""
    foreign = tuple(s for s in season.optical if mgrs_epsg(s.mgrs_tile) != epsg)
    return replace(season, optical=foreign)


def test_one_request_a_season_and_one_per_sensor_if_that_is_too_much(
    server, settings, rows, pixels
):
    assert same(fetch(settings(), rows[:1]), only(pixels, rows[:1]))
    assert count(server, "pixels") == 1
    server.faults = plan("memory_limit", 0, 2)
    assert same(fetch(settings(), rows[:1]), only(pixels, rows[:1]))
    assert count(server, "pixels") == 1 + 1 + 4  # whole; whole in vain; three, one of them twice


def test_what_a_scene_does_not_cover_is_nodata(settings, rows):
    elsewhere = [place(spot.sample, spot.lon + 5.0, spot.lat - 5.0) for spot in FEW]
    (pixels,) = fetch(settings(), rows[:1], elsewhere).values()
    s2_10m, s2_20m, s2_60m, s1, label = arrays(pixels)
    assert not s2_10m.any() and not s2_20m.any() and not s2_60m.any()
    assert (s1 == -32768).all()
    assert (label == 255).all()


def test_types_and_shapes_are_those_of_the_store(pixels):
    for season in pixels.values():
        described = [(array.dtype.name, array.shape) for array in arrays(season)]
        assert described == [
            ("uint16", (4, 66, 66)),
            ("uint16", (6, 33, 33)),
            ("uint16", (3, 11, 11)),
            ("int16", (2, 66, 66)),
            ("uint8", (66, 66)),
        ]


def test_a_scene_that_is_gone_is_missing(settings, rows):
    gone = replace(rows[0], s1_id=rows[0].s1_id[:-4] + "0000")
    with pytest.raises(Missing):
        fetch(settings(), [gone])


@pytest.mark.parametrize("index", ["", "../../users/somebody/image", "a/b", "a b"])
def test_what_is_no_index_is_never_asked_for(server, settings, rows, index):
    row = replace(rows[0], s2_id=index)
    with pytest.raises(ValueError, match="is not the index of a scene"):
        fetch(settings(), [row])
    assert count(server, "pixels") == 0


# --- faults, limits, budget -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Your project has exceeded")
@pytest.mark.parametrize("kind", PASSING)
def test_a_passing_fault_changes_nothing(server, settings, candidates, rows, pixels, kind):
    server.faults = plan(kind, 0, requests=("compute",), seconds=0.1)
    assert select(settings(), FEW)[0] == candidates
    server.faults = plan(kind, 0, requests=("pixels",), seconds=0.1)
    assert same(fetch(settings(), rows[:2]), only(pixels, rows[:2]))
    assert {"compute", "pixels"} <= {r.kind for r in server.journal if r.fault == kind}


@pytest.mark.parametrize("kind", ["error_503", "reset", "garbage"])
def test_the_opening_requests_are_repeated_too(server, settings, kind):
    server.faults = plan(kind, 0, 3, requests=("discovery", "algorithms"))
    assert len(select(settings(), PLACES[:1])[0]) == 1


@pytest.mark.parametrize("kind", ["unauthenticated", "permission_denied"])
def test_refused_access_stops_the_run_with_the_remedy(server, settings, kind):
    server.faults = plan(kind, share=1.0)
    with pytest.raises(PipelineError, match=r"denied access.*earthengine authenticate"):
        select(settings())
    assert count(server, "compute") == 1


def test_never_more_in_flight_than_slots_and_hardly_ever_fewer(server, settings, rows):
    shares = []
    for latency_s in (0.25, 1.0, 4.0):  # the more a busy machine takes between two requests
        server.latency_s = latency_s
        server.in_flight_log.clear()
        fetch(settings(), [replace(rows[0], season=season) for season in range(64)], slots=8)
        shares.append(busy_share(server.in_flight_log, 8))
        if shares[-1] > 0.9:
            break
    assert server.peak == 8
    assert shares[-1] > 0.9, shares


def busy_share(log, slots):
    """Mean share of the slots in use between the first request and the last arrival."""
    last = max(i for i, (_, n) in enumerate(log) if n > log[i - 1][1])
    spans = [(t1 - t0, n) for (t0, n), (t1, _) in itertools.pairwise(log[: last + 1])]
    return sum(span * n for span, n in spans) / sum(span for span, _ in spans) / slots


def test_a_lower_limit_of_the_server_is_found(server, settings, rows, pixels):
    server.max_concurrent, server.latency_s = 2, 0.3
    assert same(fetch(settings(), rows, slots=6), pixels)
    assert any(record.status == 429 for record in server.journal)


def test_retry_after_holds_all_requests_back(server, settings, rows):
    pixels = frozenset({"pixels"})
    refusal = FaultRule("throttled_retry_after", 0.0, frozenset({0}), pixels, seconds=2.0)
    slow = FaultRule("slow", 0.0, frozenset({1}), pixels, seconds=1.5)
    server.faults = FaultPlan([refusal, slow])  # the other slot is taken when the refusal arrives
    fetch(settings(), rows, slots=2)
    asked = [record for record in server.journal if record.kind == "pixels"]
    (refused,) = (record for record in asked if record.status == 429)
    later = [r.started - refused.started for r in asked if r.fault is None]
    assert len(later) == len(rows) - 1
    assert min(later) >= 2.0


def test_the_budget_ends_the_run_and_is_never_overshot(server, settings, rows, tmp_path):
    select(settings(), FEW)
    server.faults = plan("error_500", share=0.3)
    with pytest.raises(BudgetExhausted, match="request_budget = 6"):
        fetch(settings(request_budget=6), rows)
    assert count(server, "pixels") == 5
    assert read_usage(tmp_path / "test" / "usage").requests == Counter(selection=1, pixels=5)


def test_usage_tells_what_the_server_saw(server, settings, rows, tmp_path):
    server.faults = plan("error_503", 1, 2, requests=("pixels",))
    fetch(settings(), rows)
    usage = read_usage(tmp_path / "test" / "usage")
    assert usage.requests["pixels"] == count(server, "pixels") == len(rows) + 2
    assert usage.retries["Transient"] == 2
    assert usage.bytes_sent == sum(record.bytes_in for record in server.journal)
    assert usage.bytes_received == sum(record.bytes_out for record in server.journal)


def test_one_session_per_process(settings):
    with (
        earth_engine(settings(), "standard", 1),
        pytest.raises(RuntimeError, match="open in this process already"),
        earth_engine(settings(), "standard", 1),
    ):
        pytest.fail("a second session opened")
