"""How well a build uses its slots: at least 90 % of 40 busy at 2 s latency, never a 41st request.

The real workflow, with four jobs side by side, against one simulated Earth Engine that answers
every request after 2 s and writes down what is in flight. Measured from the first pixel request to
the last one, so that the start of jobs, the change from shard to shard and their ends all count.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.journal import WORK, RequestRecord
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import TINY, Workflow

LOCATIONS = 512
SLOTS = 40
LATENCY_S = 2.0
CORES = 4
SHARE_MIN = 0.9
REQUESTS_MAX = 4.1


def main() -> None:
    """Build, then read the server's journal."""
    with (
        SimulatedEarthEngine(ProceduralArchive(7), latency_s=LATENCY_S) as server,
        tempfile.TemporaryDirectory() as directory,
    ):
        workflow = Workflow(Path(directory), configuration(server.url))
        workflow.build(cores=CORES)
        kept = int(pd.read_parquet(workflow.folder / "nol.index.parquet")["valid"].sum())
        records = list(server.journal)
    pixels = [record for record in records if record.kind == "pixels"]
    share, peak = busy_share(pixels, SLOTS), most_in_flight(pixels)
    per_location = sum(record.kind in WORK for record in records) / kept
    computing_s = sum(record.seconds for record in pixels) / len(pixels) - LATENCY_S
    print(f"{LOCATIONS} locations, {kept} kept, {len(pixels)} pixel requests")
    print(f"a request waits {LATENCY_S:g} s, its pixels take {computing_s * 1000:.0f} ms")
    print(f"slots busy {share:.1%} (limit {SHARE_MIN:.0%}), most in flight {peak} (limit {SLOTS})")
    print(f"{per_location:.3f} requests per kept location (limit {REQUESTS_MAX})")
    sys.exit(share < SHARE_MIN or peak > SLOTS or per_location > REQUESTS_MAX)


def configuration(url: str) -> dict[str, object]:
    """Eight shards of small patches, served from outside the jobs."""
    locations = TINY["locations"] | {"count": LOCATIONS}
    service = {"service": url, "slots": SLOTS}
    return {
        "name": "slots",
        "grid": {"pixels": 66},
        "locations": locations,
        "earthengine": service,
    }


def busy_share(records: Sequence[RequestRecord], slots: int) -> float:
    """Time that requests spent at the server, as a share of what the slots offered."""
    begin = min(record.started for record in records)
    end = max(record.started + record.seconds for record in records)
    return sum(record.seconds for record in records) / (slots * (end - begin))


def most_in_flight(records: Sequence[RequestRecord]) -> int:
    """The largest number of requests that the server was working on at one time."""
    ends = [(record.started + record.seconds, -1) for record in records]
    changes = sorted([(record.started, 1) for record in records] + ends)
    in_flight = peak = 0
    for _, change in changes:
        in_flight += change
        peak = max(peak, in_flight)
    return peak


if __name__ == "__main__":
    main()
