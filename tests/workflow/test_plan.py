"""What `plan` says a build will ask for, against what the service was asked for."""

import pytest

from pipeline.plan import plan_build
from pipeline.plan_facts import kept_locations, shard_sizes
from pipeline.settings.tree import load_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.journal import WORK
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import executed_rules


@pytest.fixture
def server(workflow, monkeypatch):
    monkeypatch.chdir(workflow.directory)
    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as running:
        workflow.configuration |= {
            "grid": {"pixels": 6},
            "earthengine": {"service": running.url, "selection_batch": 3},
            "store": {"shard_size": 6},
        }
        yield running


def planned(workflow):
    """The plan at this point of a build."""
    settings = load_settings(workflow.folder / "settings.yaml")
    sizes = shard_sizes(settings)
    return plan_build(settings, sizes, kept_locations(settings, sum(sizes)))


def asked(server, tag) -> int:
    """Requests so far that carry a workload tag."""
    return sum(record.kind in WORK and record.workload_tag == tag for record in server.journal)


def test_requests_are_bounded_before_the_selection_and_exact_after_it(workflow, server):
    said = workflow.build("plan")
    before = planned(workflow)
    assert str(before.pixel_requests) in said
    workflow.build("build_nol", "--until", "select_scenes")
    assert asked(server, "noldo-selection") == before.selection_requests == 4
    after = planned(workflow)
    assert after.pixel_requests.exact
    assert not before.pixel_requests.exact
    built = workflow.build("build_nol", "--until", "fetch_pixels")
    assert "select_scenes" not in executed_rules(built)
    fetched = asked(server, "noldo-pixels")
    assert before.pixel_requests.least <= fetched <= before.pixel_requests.most
    assert fetched == after.pixel_requests.expected > 0
