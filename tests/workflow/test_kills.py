"""Kill -9 at random moments: the same command ends with the same bytes, and readers see nothing.

Six locations are there before, and ten are asked for: so one shard grows while its samples are
read. `tests.benchmarks.bench_kills` does the same at many more moments.
"""

import random
import time

import pytest

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import TINY
from tests.workflow.killed_builds import (
    Reader,
    copy_of,
    kill_all,
    kill_worker,
    start,
    valid_samples,
)

KILLS = 3
LOCATIONS = TINY["locations"]["count"]


@pytest.fixture(scope="module")
def server():
    """One simulated Earth for all runs; slow enough that a kill finds requests on the way."""
    with SimulatedEarthEngine(ProceduralArchive(seed=7), latency_s=0.2) as running:
        yield running


@pytest.fixture
def growing(half, server, tmp_path):
    """A build of six locations that is asked for ten, a few requests at a time."""
    workflow = copy_of(half, tmp_path / "growing", LOCATIONS)
    workflow.configuration["earthengine"] = {"service": server.url, "slots": 4}
    return workflow


def assert_nothing_was_lost(workflow, reader, finished):
    """The same command goes on to the bytes of an undisturbed build; readers saw only those."""
    workflow.build()
    assert workflow.digests() == finished.digests()
    final = valid_samples(finished.store)
    assert not reader.errors
    assert reader.looks > 10 and reader.seen
    assert {k: digests for k, digests in reader.seen.items() if digests != {final[k]}} == {}


def test_the_whole_run_killed(growing, finished):
    chance = random.Random(5)
    with Reader(growing.store) as reader:
        hits = 0
        for _ in range(KILLS):
            run = start(growing)
            time.sleep(chance.uniform(2.0, 5.0))
            hits += kill_all(run)  # a fast machine may be through before the last of them
        assert hits
        assert_nothing_was_lost(growing, reader, finished)


def test_workers_killed(growing, finished):
    chance = random.Random(6)
    with Reader(growing.store) as reader:
        run = start(growing)
        killed = []
        while len(killed) < KILLS and (step := kill_worker(run)):
            killed.append(step)
            time.sleep(chance.uniform(0.3, 2.0))
        assert run.wait() == 1 and killed
        assert_nothing_was_lost(growing, reader, finished)
