"""``finish`` at the planning size: linear in the locations, and within 2 GB at 250,000.

The ledgers, the table of places and the store's metadata are those of a real build of that many
locations; the patches are small and the files of all shards are links to those of one, so that what
is measured is the work for each location and not the disk.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import yaml

from pipeline.settings.tree import validate_settings
from tests.benchmarks.bench_build_memory import run_measured
from tests.benchmarks.stand_in_build import stand_in_build

LOCATIONS = 250_000
PIXELS = 30
LIMIT_GB = 2.0
LINEAR_WITHIN = 1.3


def main() -> None:
    """Finish a fifth of the locations, then all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locations", type=int, default=LOCATIONS)
    count = parser.parse_args().locations
    part_s, _ = finish(count // 5)
    seconds, peak_gb = finish(count)
    growth = seconds / (5 * part_s)
    print(f"five times the locations take {growth:.2f} x 5 the time (limit {LINEAR_WITHIN})")
    print(f"peak {peak_gb:.2f} GB (limit {LIMIT_GB} GB)")
    sys.exit(growth > LINEAR_WITHIN or peak_gb > LIMIT_GB)


def finish(count: int) -> tuple[float, float]:
    """Make a stand-in of so many locations and finish it: CPU seconds and peak memory in GB."""
    with tempfile.TemporaryDirectory() as directory:
        settings = validate_settings(
            {"results": directory, "grid": {"pixels": PIXELS}, "locations": {"count": count}}
        )
        started = time.perf_counter()
        stand_in_build(settings, count)
        print(f"{count:,} locations made up in {time.perf_counter() - started:.0f} s", flush=True)
        (Path(directory) / "settings.yaml").write_text(
            yaml.safe_dump(settings.model_dump(mode="json"))
        )
        run = run_measured("finish", settings, count)
    print(
        f"{count:,} locations: finish took {run.seconds:.0f} s, {run.cpu_s:.0f} s of CPU,"
        f" {run.peak_mb:.0f} MB",
        flush=True,
    )
    return run.cpu_s, run.peak_mb / 1e3


if __name__ == "__main__":
    main()
