"""Kill -9 at 20 random moments of a worker and at 20 of the whole run: no byte may differ.

Each time a finished build of six locations is asked for ten, killed once, and the same command is
given again. A reader looks at the store throughout: whatever says that it is valid must be the
final sample.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import TINY, Workflow
from tests.workflow.killed_builds import (
    Reader,
    copy_of,
    kill_all,
    kill_worker,
    start,
    valid_samples,
)

MOMENTS = 20
LOCATIONS = 10
EARLIER_LOCATIONS = 6
LATENCY_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """What came of one killed build.

    Attributes:
        victim: What was killed; None if nothing was left to kill.
        same_bytes: Whether the same command ended with the bytes of an undisturbed build.
        looks: How often the reader opened the store.
        bad_looks: Samples that were valid and not final, and looks that failed.
    """

    victim: str | None
    same_bytes: bool
    looks: int
    bad_looks: int


def main() -> None:
    """Kill, repeat, compare; a line for each moment."""
    failures = 0
    with (
        SimulatedEarthEngine(ProceduralArchive(7), latency_s=LATENCY_S) as server,
        tempfile.TemporaryDirectory() as directory,
    ):
        folder = Path(directory)
        small = build(folder / "small", server.url, EARLIER_LOCATIONS)
        whole = build(folder / "whole", server.url, LOCATIONS)
        grown = copy_of(small, folder / "grown", LOCATIONS)
        begin = time.monotonic()
        grown.build()
        duration_s = time.monotonic() - begin
        print(f"undisturbed: {duration_s:.1f} s; killed at random moments of that time")
        for name, kill in (("the whole run", kill_run), ("a worker", kill_step)):
            chance = random.Random(name)
            for number in range(MOMENTS):
                moment_s = chance.uniform(0.0, duration_s)
                disturbed = copy_of(small, folder / f"{name} {number}", LOCATIONS)
                outcome = disturb(disturbed, whole, kill, moment_s)
                failures += not outcome.same_bytes or outcome.bad_looks > 0
                print(f"{name} at {moment_s:5.1f} s: {outcome}", flush=True)
    print(f"{2 * MOMENTS} moments, {failures} with other bytes or a half-written sample (limit 0)")
    sys.exit(failures > 0)


def build(directory: Path, url: str, count: int) -> Workflow:
    """An undisturbed build."""
    directory.mkdir()
    locations = TINY["locations"] | {"count": count}
    service = {"service": url, "slots": 4}
    workflow = Workflow(directory, TINY | {"locations": locations, "earthengine": service})
    workflow.build()
    return workflow


def disturb(
    workflow: Workflow,
    whole: Workflow,
    kill: Callable[[Workflow, float], str | None],
    moment_s: float,
) -> Outcome:
    """Kill a build once and run it again, under the eyes of a reader."""
    final = valid_samples(whole.store)
    with Reader(workflow.store) as reader:
        victim = kill(workflow, moment_s)
        workflow.build()
    strange = sum(digests != {final.get(sample)} for sample, digests in reader.seen.items())
    same_bytes = workflow.digests() == whole.digests()
    return Outcome(victim, same_bytes, reader.looks, strange + len(reader.errors))


def kill_run(workflow: Workflow, moment_s: float) -> str | None:
    """Kill a run with all its jobs."""
    run = start(workflow)
    time.sleep(moment_s)
    return "snakemake" if kill_all(run) else None


def kill_step(workflow: Workflow, moment_s: float) -> str | None:
    """Kill the first step that runs at a moment or after it, and let the others end."""
    run = start(workflow)
    time.sleep(moment_s)
    victim = kill_worker(run)
    run.wait()
    return victim


if __name__ == "__main__":
    main()
