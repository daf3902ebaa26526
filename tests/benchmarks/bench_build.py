"""A whole build against its bound: at most 1.10 times requests x latency / slots.

``snakemake build_nol`` of 1,000 locations as a person types it, against one simulated Earth Engine
that answers every request after 2 s, 40 pixel requests at a time. Everything counts: the start of
Snakemake, drawing the places, the selection, the change from shard to shard, the index and the
statistics. The patches are small, so that the computer that plays Earth Engine is not what is
measured; how busy it was stands beside the figure.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.plan import BuildPlan, plan_build
from pipeline.plan_facts import kept_locations, shard_sizes
from pipeline.settings.tree import load_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.journal import WORK, RequestRecord
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import TINY, Workflow

LOCATIONS = 1_000
PIXELS = 30
SLOTS = 40
LATENCY_S = 2.0
CORES = 4
RATIO_MAX = 1.10
PLAN_OFF_MAX = 0.2
SERVER_SHARE_MAX = 0.5
"""Of one core: Python answers one request at a time, and beyond this they would wait for it."""


def main() -> None:
    """Build, then compare the time with the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locations", type=int, default=LOCATIONS)
    locations = parser.parse_args().locations
    with (
        SimulatedEarthEngine(ProceduralArchive(7), latency_s=LATENCY_S) as server,
        tempfile.TemporaryDirectory() as directory,
    ):
        workflow = Workflow(Path(directory), configuration(server.url, locations, directory))
        begin, computed_s = time.time(), time.process_time()
        workflow.build(cores=CORES)
        end, computed_s = time.time(), time.process_time() - computed_s
        kept = int(pd.read_parquet(workflow.folder / "nol.index.parquet")["valid"].sum())
        requests = [record for record in server.journal if record.kind in WORK]
        planned = plan_of(workflow)
    bound_s = len(requests) * LATENCY_S / SLOTS
    ratio, server_share = (end - begin) / bound_s, computed_s / (end - begin)
    print(f"{locations} locations, {kept} kept, {len(requests)} requests")
    for line in phases(requests, begin, end):
        print(line)
    expected = planned.selection_requests + planned.pixel_requests.expected
    off_by = abs((planned.seconds or 0.0) / (end - begin) - 1)
    print(
        f"plan: {expected} requests (limit: exactly), {planned.seconds:.0f} s,"
        f" off by {off_by:.0%} (limit {PLAN_OFF_MAX:.0%})"
    )
    print(f"simulator busy {server_share:.0%} of one core (limit {SERVER_SHARE_MAX:.0%})")
    print(
        f"{end - begin:.1f} s, requests x latency / slots {bound_s:.1f} s:"
        f" ratio {ratio:.3f} (limit {RATIO_MAX:.2f})"
    )
    wrong_plan = expected != len(requests) or off_by > PLAN_OFF_MAX
    sys.exit(ratio > RATIO_MAX or server_share > SERVER_SHARE_MAX or wrong_plan)


def plan_of(workflow: Workflow) -> BuildPlan:
    """What `plan` says once the selection is made."""
    settings = load_settings(workflow.folder / "settings.yaml")
    sizes = shard_sizes(settings)
    return plan_build(settings, sizes, kept_locations(settings, sum(sizes)))


def configuration(url: str, locations: int, directory: str) -> dict[str, object]:
    """Small patches, served from outside the jobs; everything else as it comes."""
    return {
        "name": "build",
        "results": directory,
        "grid": {"pixels": PIXELS},
        "locations": TINY["locations"] | {"count": locations},
        "earthengine": {"service": url, "slots": SLOTS},
        "plan": {"selection_latency_s": LATENCY_S, "pixel_latency_s": LATENCY_S},
    }


def phases(requests: Sequence[RequestRecord], begin: float, end: float) -> list[str]:
    """Where the time went: before, during and after the pixels, and what the server added."""
    pixels = [record for record in requests if record.kind == "pixels"]
    others = [record for record in requests if record.kind != "pixels"]
    first, last = pixels[0].started, max(record.started + record.seconds for record in pixels)
    busy = sum(record.seconds for record in pixels) / (SLOTS * (last - first))
    answer_s = sum(record.seconds for record in pixels) / len(pixels)
    return [
        f"{len(others)} selection requests, the first after {others[0].started - begin:.1f} s",
        f"first pixels after {first - begin:.1f} s, last after {last - begin:.1f} s,"
        f" slots busy between {busy:.1%}",
        f"{end - last:.1f} s after the last pixels",
        f"a pixel answer takes {answer_s:.3f} s at the server",
    ]


if __name__ == "__main__":
    main()
