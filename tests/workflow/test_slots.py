"""What a build asks of the service, counted by the server; `bench_slots` measures the time."""

import pandas as pd
import pytest

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.journal import WORK
from pipeline.simulator.server import SimulatedEarthEngine
from tests.benchmarks.bench_slots import most_in_flight

SLOTS = 6
"""Three jobs side by side may have six requests in flight each: more than there are slots."""


@pytest.fixture
def journal(workflow):
    """The requests of a build with three jobs at once."""
    with SimulatedEarthEngine(ProceduralArchive(seed=7), latency_s=0.1) as server:
        workflow.configuration |= {"earthengine": {"service": server.url, "slots": SLOTS}}
        workflow.build(cores=3)
        return list(server.journal)


def test_all_jobs_share_the_slots_and_ask_for_nothing_twice(journal, workflow):
    pixels = [record for record in journal if record.kind == "pixels"]
    assert 2 < most_in_flight(pixels) <= SLOTS
    index = pd.read_parquet(workflow.folder / "nol.index.parquet")
    ledger = pd.read_parquet(workflow.folder / "selection")
    chosen = int(ledger["status"].eq("selected").sum())
    assert 4 * index["valid"].sum() <= len(pixels) <= chosen
    assert sum(record.kind == "compute" for record in journal) == 3  # one batch for each shard
    assert sum(record.kind in WORK for record in journal) == len(pixels) + 3
