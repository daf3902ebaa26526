import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from pipeline.earthengine.limiter import AdaptiveLimiter


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_never_more_in_flight_than_the_ceiling():
    limiter = AdaptiveLimiter(3)
    lock, in_flight, peak = threading.Lock(), 0, 0

    def request(_):
        nonlocal in_flight, peak
        with limiter.slot():
            with lock:
                in_flight += 1
                peak = max(peak, in_flight)
            time.sleep(0.002)
            with lock:
                in_flight -= 1
        limiter.succeeded()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(request, range(120)))
    assert peak == 3


def test_a_burst_of_refusals_halves_once_a_second_and_never_below_one():
    clock = Clock()
    limiter = AdaptiveLimiter(40, clock)
    for _ in range(40):
        limiter.throttled(None)
    assert limiter.limit == 20
    for expected in (10, 5, 2, 1, 1):
        clock.now += 1.0
        limiter.throttled(None)
        assert limiter.limit == expected


def test_success_grows_the_limit_back_to_the_ceiling_only():
    limiter = AdaptiveLimiter(4)
    limiter.throttled(None)
    assert limiter.limit == 2
    for _ in range(21):
        limiter.succeeded()
    assert limiter.limit == 3
    for _ in range(1000):
        limiter.succeeded()
    assert limiter.limit == 4


def test_the_pause_the_server_asks_for_holds_everybody():
    limiter = AdaptiveLimiter(4)
    started = time.monotonic()
    limiter.throttled(0.2)
    with ThreadPoolExecutor(2) as pool:
        times = list(pool.map(lambda _: _enter(limiter), range(2)))
    assert min(times) - started >= 0.2


def test_a_throttled_limiter_admits_fewer():
    limiter = AdaptiveLimiter(2)
    limiter.throttled(None)
    with limiter.slot(), ThreadPoolExecutor(1) as pool:
        second = pool.submit(_enter, limiter)
        time.sleep(0.05)
        assert not second.done()
        for _ in range(20):
            limiter.succeeded()
        second.result(timeout=60)


def test_stop_sends_away_those_who_wait_and_ends_their_sleep():
    limiter = AdaptiveLimiter(1)
    with limiter.slot(), ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(_enter, limiter)
        sleeping = pool.submit(limiter.wait, 60.0)
        time.sleep(0.05)
        limiter.stop()
        with pytest.raises(CancelledError):
            waiting.result(timeout=30)
        sleeping.result(timeout=30)
    limiter.restart()
    _enter(limiter)


def _enter(limiter):
    with limiter.slot():
        return time.monotonic()
