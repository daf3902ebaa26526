import multiprocessing
import time

from pipeline.osm_landuse.rate_limit import RateLimit


def _take_turns(path, turns, queue, together):
    limit = RateLimit(path, requests_per_second=20)
    together.wait()
    queue.put(time.time())
    for _ in range(turns):
        limit.wait()
        queue.put(time.time())


def test_the_rate_holds_across_processes(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue, together = context.Queue(), context.Barrier(3)
    arguments = (tmp_path / "rate", 4, queue, together)
    workers = [context.Process(target=_take_turns, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    moments = sorted(queue.get(timeout=120) for _ in range(3 + 12))
    for worker in workers:
        worker.join()
    assert moments[-1] - moments[0] >= 11 * 0.05 * 0.99


def test_the_first_turn_is_free(tmp_path):
    started = time.monotonic()
    RateLimit(tmp_path / "rate", requests_per_second=0.01).wait()
    assert time.monotonic() - started < 50.0


def test_a_hold_stops_everybody(tmp_path):
    first, second = RateLimit(tmp_path / "rate", 1000), RateLimit(tmp_path / "rate", 1000)
    started = time.monotonic()
    first.hold(0.4)
    second.wait()
    assert time.monotonic() - started >= 0.35


def test_a_damaged_file_is_no_obstacle(tmp_path):
    (tmp_path / "rate").write_bytes(b"abc")
    started = time.monotonic()
    RateLimit(tmp_path / "rate", 0.01).wait()
    assert time.monotonic() - started < 50.0


def test_a_clock_set_back_does_not_block_for_ever(tmp_path, monkeypatch):
    limit = RateLimit(tmp_path / "rate", 10)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_400.0)
    limit.wait()
    monkeypatch.undo()
    started = time.monotonic()
    limit.wait()
    assert time.monotonic() - started < 100.0
