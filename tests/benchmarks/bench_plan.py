"""What `plan` says against what a simulated build of all three stores asks for and takes.

The requests must be exact: those of the selection from the beginning, those of the pixels once the
selection is made. The time, foretold with nothing but the settings and the selection, must be
within 20 % of that of ``build_nol``.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pipeline.plan import BuildPlan, TilePlan, plan_build, planned_tiles
from pipeline.plan_facts import kept_locations, shard_sizes
from pipeline.settings.tree import load_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.journal import WORK
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import TINY, Workflow

LOCATIONS = 256
LATENCY_S = 2.0
OFF_BY_MAX = 0.2
TILES = {"simulated_train": 40, "simulated_test": 10, "train_pixels": 48, "test_pixels": 48}
SELECTION, PIXELS = "noldo-selection", "noldo-pixels"


def main() -> None:
    """Build ``nol.zarr``, then ``dw.zarr``, and compare each with its plan."""
    with (
        SimulatedEarthEngine(ProceduralArchive(7), latency_s=LATENCY_S) as server,
        tempfile.TemporaryDirectory() as directory,
    ):
        workflow = Workflow(Path(directory), configuration(server.url, directory))
        workflow.build("plan")
        settings = load_settings(workflow.folder / "settings.yaml")
        sizes = shard_sizes(settings)
        before = plan_build(settings, sizes, kept_locations(settings, sum(sizes)))
        tiles = planned_tiles(settings)
        assert tiles is not None, "simulated tiles are known from the beginning"
        begin = time.time()
        workflow.build("build_nol", cores=4)
        seconds = time.time() - begin
        after = plan_build(settings, sizes, kept_locations(settings, sum(sizes)))
        asked = requests(server)
        server.latency_s = 0.0
        workflow.build("build_dw", cores=4)
        of_tiles = requests(server) - asked
    sys.exit(not held(before, after, tiles, asked, of_tiles, seconds))


def held(
    before: BuildPlan,
    after: BuildPlan,
    tiles: TilePlan,
    asked: Counter[str],
    of_tiles: Counter[str],
    seconds: float,
) -> bool:
    """Print what was planned beside what was asked for and taken; whether the limits hold."""
    foretold, planned = before.pixel_requests, after.pixel_requests
    off_by = abs((after.seconds or 0.0) / seconds - 1)
    print(
        f"selection requests: {after.selection_requests} planned, {asked[SELECTION]} asked for"
        " (limit: exactly)"
    )
    print(
        f"pixel requests: {foretold} before the selection, {planned} after it,"
        f" {asked[PIXELS]} asked for (limit: within, then exactly)"
    )
    print(
        f"expert tiles: {tiles.selection_requests} selection requests planned,"
        f" {of_tiles[SELECTION]} asked for (limit: exactly); {tiles.pixel_requests} pixel requests"
        f" and those for scenes with holes planned, {of_tiles[PIXELS]} asked for"
    )
    print(
        f"time {after.seconds:.0f} s planned, {seconds:.0f} s taken, off by {off_by:.0%}"
        f" (limit {OFF_BY_MAX:.0%})"
    )
    exact = asked == {SELECTION: after.selection_requests, PIXELS: planned.expected}
    exact &= foretold.least <= asked[PIXELS] <= foretold.most
    exact &= of_tiles[SELECTION] == tiles.selection_requests
    return exact and off_by <= OFF_BY_MAX


def configuration(url: str, directory: str) -> dict[str, object]:
    """Small patches and tiles, served from outside the jobs."""
    return {
        "name": "plan",
        "results": directory,
        "grid": {"pixels": 30},
        "locations": TINY["locations"] | {"count": LOCATIONS},
        "dynamic_world": TILES,
        "earthengine": {"service": url},
        "plan": {"selection_latency_s": LATENCY_S, "pixel_latency_s": LATENCY_S},
    }


def requests(server: SimulatedEarthEngine) -> Counter[str]:
    """Requests that took a slot, by workload tag."""
    return Counter(str(r.workload_tag) for r in server.journal if r.kind in WORK)


if __name__ == "__main__":
    main()
