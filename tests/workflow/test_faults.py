"""A whole build against a service that fails: nothing changes but the time it takes."""

from collections import Counter

import pandas as pd
import pytest

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.faults import FaultPlan, FaultRule
from pipeline.simulator.journal import WORK
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import TINY, error_lines

TEN_FAULTS = (
    "throttled",
    "throttled_retry_after",
    "error_500",
    "error_503",
    "error_504",
    "html_502",
    "html_200",
    "reset",
    "truncated",
    "garbage",
)


@pytest.fixture
def server():
    """One simulated Earth Engine for all jobs, whose journal tells what was asked."""
    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as running:
        yield running


@pytest.fixture
def asking(server):
    """Settings of a workflow that asks that server, a few places at a time."""
    return {"service": server.url, "selection_batch": 2}


def answered(server, kind):
    """How many requests of a kind got the right answer."""
    return sum(record.kind == kind and record.fault is None for record in server.journal)


def test_a_quarter_of_the_calls_failing_in_ten_ways_changes_no_byte(
    workflow, asking, server, finished
):
    requests = frozenset({"compute", "pixels"})
    server.faults = FaultPlan(
        FaultRule(kind, positions=frozenset(range(4 * turn, 10_000, 40)), requests=requests)
        for turn, kind in enumerate(TEN_FAULTS)
    )
    workflow.configuration["earthengine"] = asking
    workflow.build()
    assert workflow.digests() == finished.digests()
    met = Counter(record.fault for record in server.journal if record.kind in WORK)
    assert met.keys() == {None, *TEN_FAULTS}
    assert 0.24 < 1 - met[None] / met.total() < 0.27


def test_what_throttling_and_time_outs_left_open_is_asked_for_again(
    half, asking, server, finished, tmp_path
):
    """A shard that is there, one that grows, one that is new: none is lost, none is half there."""
    growing = half.copied_to(
        tmp_path / "growing", locations=TINY["locations"], earthengine=asking | {"attempts": 1}
    )
    for fault, requests, first, reason in [
        ("throttled", "compute", 0, "quota"),
        ("throttled", "pixels", 0, "quota"),
        ("error_504", "pixels", 4, "timeout"),
    ]:
        positions = frozenset(range(first, 10_000))
        rule = FaultRule(fault, positions=positions, requests=frozenset({requests}))
        server.faults = FaultPlan([rule])
        run = growing.run("build_nol", cores=1)
        assert run.returncode == 1
        lines = error_lines(run)
        assert lines and "Traceback" not in run.stdout + run.stderr
        assert all(f"({reason}" in line and "run the same command" in line for line in lines)
        assert nothing_half_written(growing)

    server.faults = FaultPlan()
    growing.build(cores=1)
    assert growing.digests() == finished.digests()
    assert answered(server, "pixels") <= selected(growing) - selected(half)
    assert answered(server, "compute") == 2  # two more places of the second shard, two of the third


def selected(workflow):
    """Seasons of locations for which there are scenes."""
    return pd.read_parquet(workflow.folder / "selection")["status"].eq("selected").sum()


def nothing_half_written(workflow):
    """Pixels and commit record of a shard are both there or both not."""
    committed = {file.stem for file in workflow.folder.glob("shards/*.parquet")}
    written = {file.parts[-5] for file in workflow.store.glob("s1/c/*/0/0/0/0")}
    return committed == written and not list(workflow.store.rglob("*.partial"))
