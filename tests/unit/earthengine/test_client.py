"""The client around requests that are plain functions; with a server, see tests/services."""

import os
import threading
import time

import pytest

from pipeline.earthengine.budget import PIXELS, Budget, read_usage
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import (
    BudgetExhausted,
    Fatal,
    Missing,
    Quota,
    TimedOut,
    TooBig,
    Transient,
)
from pipeline.earthengine.shared_slots import SharedSlots
from pipeline.earthengine.transport import PooledTransport
from pipeline.settings.services import EarthEngineSettings


@pytest.fixture
def open_client(tmp_path):
    """A function of settings: a client of four slots in the test's own folder."""
    opened = []

    def open_with(**settings):
        limits = EarthEngineSettings(**settings)
        budget = Budget(tmp_path, limits)
        shared = SharedSlots(tmp_path / "slots", 4)
        opened.extend([budget, shared])
        return Client(limits, 4, budget, PooledTransport(4, 5.0, loopback=True), shared)

    yield open_with
    for each in opened:
        each.__exit__()


def failing(*faults):
    """A request that fails as told, then answers."""
    left = list(faults)

    def request():
        if left:
            raise left.pop(0)
        return "answer"

    return request


def call(client, request, check=str, **options):
    return client.call(request, check, PIXELS, **options)


def test_passing_faults_are_repeated_and_counted(open_client):
    client = open_client(attempts=4)
    request = failing(Transient("reset", retry_after=0.01), TimedOut("slow"))
    assert call(client, request) == "answer"
    assert client.statistics.calls == {PIXELS: 3}
    assert client.statistics.retries == {"Transient": 1, "TimedOut": 1}


@pytest.mark.parametrize("fault", [Missing("gone"), TooBig("memory"), Fatal("no")])
def test_hopeless_faults_are_not_repeated(open_client, fault):
    client = open_client()
    with pytest.raises(type(fault)):
        call(client, failing(fault))
    assert client.statistics.calls == {PIXELS: 1}


def test_attempts_run_out(open_client):
    client = open_client(attempts=2)
    with pytest.raises(Quota, match="slow down"):
        call(client, failing(*[Quota("slow down", 429)] * 3))
    assert client.statistics.calls == {PIXELS: 2}


def test_patience_runs_out_before_a_wait_that_is_too_long(open_client):
    client = open_client(patience_s=100.0)
    started = time.monotonic()
    with pytest.raises(Quota):
        call(client, failing(Quota("come back tomorrow", 429, retry_after=86_400.0)))
    assert time.monotonic() - started < 50


def test_the_wait_is_at_least_what_the_server_asks_for(open_client):
    client = open_client()
    started = time.monotonic()
    call(client, failing(Transient("restarting", 503, retry_after=0.8)))
    assert time.monotonic() - started >= 0.8


def test_the_caller_says_what_is_worth_repeating(open_client):
    client = open_client()
    with pytest.raises(TimedOut):
        call(client, failing(TimedOut("slow")), repeat=(Quota,))
    assert call(client, failing(TooBig("memory")), repeat=(TooBig,)) == "answer"


def test_garbage_found_by_the_check_is_repeated(open_client):
    client = open_client()
    answers = iter(["garbage", "good"])

    def check(answer):
        if answer == "garbage":
            raise Transient("garbled")
        return answer.upper()

    assert call(client, lambda: next(answers), check) == "GOOD"


def test_a_defect_of_ours_is_not_taken_for_a_fault(open_client):
    client = open_client()
    with pytest.raises(ZeroDivisionError):
        call(client, lambda: 1 / 0)
    assert client.statistics.calls == {PIXELS: 1}


def test_every_attempt_is_paid_for_before_it_is_sent(open_client, tmp_path):
    client = open_client(request_budget=2)
    sent = []

    def request():
        sent.append(1)
        raise Transient("reset")

    with pytest.raises(BudgetExhausted, match="request_budget = 2"):
        call(client, request)
    assert len(sent) == 2
    assert read_usage(tmp_path).reserved[PIXELS] == 2


def test_a_disk_that_refuses_the_counter_is_no_fault_of_the_service(open_client, tmp_path):
    client = open_client(attempts=3)
    (tmp_path / "requests.json").mkdir()
    with pytest.raises(IsADirectoryError):
        call(client, failing())
    (tmp_path / "requests.json").rmdir()
    assert not client.statistics.calls and not client.statistics.retries


def test_a_session_inherited_through_fork_is_refused(open_client):
    client = open_client()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            call(client, lambda: "answer")
        except RuntimeError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert b"belongs to process" in os.read(reading, 1000)


def test_map_takes_at_most_twice_the_slots_ahead(open_client):
    client = open_client()
    taken = []
    results = client.map(lambda item: item, (taken.append(i) or i for i in range(1000)))
    next(results)
    time.sleep(0.05)
    assert len(taken) <= 8
    assert sum(future.result() for _, future in results) <= sum(range(1000))
    assert len(taken) == 1000


def test_map_gives_every_item_with_its_own_answer_or_fault(open_client):
    client = open_client()

    def odd_only(number):
        if number % 2:
            return call(client, lambda: number, int)
        raise Missing(f"{number} is gone")

    results = dict(client.map(odd_only, range(50)))
    assert [results[n].result() for n in range(1, 50, 2)] == list(range(1, 50, 2))
    assert all(isinstance(results[n].exception(), Missing) for n in range(0, 50, 2))


def test_leaving_a_map_early_ends_waits_at_once(open_client):
    client = open_client()
    waiting = threading.Event()

    def ask(number):
        if number == 0:
            waiting.wait(60)
            return "first"
        waiting.set()
        return call(client, failing(Transient("later", 503, retry_after=300.0)))

    started = time.monotonic()
    for _, future in client.map(ask, range(20)):
        assert future.result() == "first"
        break
    assert time.monotonic() - started < 100
    assert call(client, lambda: "still usable")
