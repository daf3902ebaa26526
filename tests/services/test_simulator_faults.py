"""Declared faults as the real client sees them, and the limit of requests in flight."""

import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import ee
import numpy as np
import pytest

from pipeline.simulator.faults import KINDS, FaultPlan, FaultRule
from tests.processes import within
from tests.services.coordinate_images import PRAGUE, coordinates, fetch

STATUSES = {name: kind.status for name, kind in KINDS.items() if kind.status}
pytestmark = pytest.mark.usefixtures("ee_client")


def always(kind, seconds=0.0):
    return FaultPlan([FaultRule(kind, share=1.0, seconds=seconds)])


def get_pixels():
    return fetch(coordinates(32633), PRAGUE)


def failure(request):
    with pytest.raises(Exception) as raised:  # noqa: B017, PT011  (which one is the question)
        request()
    return raised.value


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_a_status_is_found_behind_the_exception(kind, status, simulated_earth_engine):
    simulated_earth_engine.faults = always(kind, seconds=7)
    error = failure(get_pixels)
    if status == 401:
        assert "google" in type(error).__module__
    else:
        assert isinstance(error, ee.EEException)
        assert int(error.__context__.resp.status) == status
        assert KINDS[kind].message in str(error)
    record = simulated_earth_engine.journal[-1]
    assert (record.status, record.fault) == (status, kind)


@pytest.mark.parametrize(
    ("kind", "retry_after"), [("throttled", None), ("throttled_retry_after", "7")]
)
def test_retry_after_is_sent_where_it_is_declared(kind, retry_after, simulated_earth_engine):
    simulated_earth_engine.faults = always(kind, seconds=7)
    assert failure(get_pixels).__context__.resp.get("retry-after") == retry_after


def test_html_with_502_loses_its_text(simulated_earth_engine):
    simulated_earth_engine.faults = always("html_502")
    error = failure(get_pixels)
    assert isinstance(error, ee.EEException)
    assert int(error.__context__.resp.status) == 502


@pytest.mark.parametrize("kind", ["html_200", "garbage"])
def test_nonsense_with_200_is_no_array_and_no_value(kind, simulated_earth_engine):
    simulated_earth_engine.faults = always(kind)
    assert isinstance(failure(get_pixels), ValueError)
    assert isinstance(failure(ee.Number(1).getInfo), TypeError | ValueError)


@pytest.mark.parametrize("kind", ["reset", "truncated"])
def test_a_broken_connection_is_a_connection_error(kind, simulated_earth_engine):
    simulated_earth_engine.faults = always(kind)
    assert isinstance(failure(get_pixels), ConnectionError)


def test_a_body_cut_short_without_length_is_no_array(simulated_earth_engine):
    simulated_earth_engine.faults = always("truncated_no_length")
    assert isinstance(failure(get_pixels), ValueError)
    assert simulated_earth_engine.journal[-1].bytes_out < 48 * 48 * 16


def test_slowness_is_waited_for(simulated_earth_engine):
    simulated_earth_engine.faults = always("slow", seconds=0.3)
    begin = time.monotonic()
    assert np.array_equal(get_pixels()["x"][0], PRAGUE.pixel_centres()[0])
    assert time.monotonic() - begin > 0.3


def test_slowness_beyond_the_deadline_is_a_timeout(simulated_earth_engine):
    ee.data.setDeadline(200)
    simulated_earth_engine.faults = always("slow", seconds=1.0)
    assert isinstance(failure(get_pixels), TimeoutError)


def test_restricted_mode_is_only_a_warning(simulated_earth_engine):
    simulated_earth_engine.faults = always("restricted")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert ee.Number(1).getInfo() == 1
    assert seen


def test_faults_fall_on_the_chosen_requests_only(simulated_earth_engine):
    simulated_earth_engine.faults = FaultPlan.from_json(
        '{"requests": ["pixels"], "faults": [{"kind": "error_503", "positions": [1]}]}'
    )
    get_pixels()
    assert ee.Number(1).getInfo() == 1
    assert isinstance(failure(get_pixels), ee.EEException)
    get_pixels()


def test_a_quarter_of_the_requests_fails_and_every_one_succeeds_in_the_end(
    simulated_earth_engine,
):
    simulated_earth_engine.faults = FaultPlan.from_json(
        '{"seed": 3, "faults": [{"kind": "error_503", "share": 0.15},'
        ' {"kind": "throttled", "share": 0.1}]}'
    )
    begin = len(simulated_earth_engine.journal)
    for number in range(80):
        for _ in range(20):
            try:
                assert ee.Number(number).add(1).getInfo() == number + 1
            except ee.EEException:
                continue
            break
        else:
            pytest.fail(f"request {number} never succeeded")
    records = simulated_earth_engine.journal[begin:]
    failed = sum(record.fault is not None for record in records)
    assert 0.15 < failed / len(records) < 0.35
    assert {record.fault for record in records} == {None, "error_503", "throttled"}


@contextmanager
def answering_nobody(server):
    """Keep every answer that has to be computed back until the end of the block."""
    with server.computing, server.computing:
        assert not server.computing.acquire(blocking=False)
        yield


def outcome_of(request):
    try:
        return request()
    except ee.EEException as error:
        return error


class TestConcurrency:
    def test_more_than_the_limit_are_throttled(self, simulated_earth_engine):
        simulated_earth_engine.max_concurrent = 4
        with ThreadPoolExecutor(12) as pool, answering_nobody(simulated_earth_engine):
            asked = [pool.submit(outcome_of, ee.Number(1).getInfo) for _ in range(12)]
            assert within(60, lambda: sum(future.done() for future in asked) == 8)
        outcomes = [future.result() for future in asked]
        refused = [outcome for outcome in outcomes if isinstance(outcome, ee.EEException)]
        assert len(refused) == 8
        assert all("Concurrent requests" in str(error) for error in refused)
        assert {int(error.__context__.resp.status) for error in refused} == {429}

    def test_a_client_that_keeps_to_the_limit_is_never_throttled(self, simulated_earth_engine):
        simulated_earth_engine.max_concurrent = 8
        begin = len(simulated_earth_engine.journal)

        def many_in_a_row(_):
            return [ee.Number(n).getInfo() for n in range(25)]

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(many_in_a_row, range(8)))
        assert outcomes == [list(range(25))] * 8
        records = simulated_earth_engine.journal[begin:]
        assert {record.status for record in records} == {200}

    def test_the_log_tells_how_busy_the_slots_were(self, simulated_earth_engine):
        simulated_earth_engine.latency_s = 0.2
        begin = len(simulated_earth_engine.in_flight_log)
        with ThreadPoolExecutor(5) as pool, answering_nobody(simulated_earth_engine):
            for _ in range(5):
                pool.submit(ee.Number(1).getInfo)
            assert within(60, lambda: len(simulated_earth_engine.in_flight_log) == begin + 5)
        log = simulated_earth_engine.in_flight_log[begin:]
        assert max(count for _, count in log) == 5
        assert log[-1][1] == 0
        assert log[-1][0] - log[0][0] >= 0.2
        assert simulated_earth_engine.peak >= 5
