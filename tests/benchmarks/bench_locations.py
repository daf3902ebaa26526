"""How fast locations are chosen, and in how much memory.

``python -m tests.benchmarks.bench_locations [--count 250000] [--sampler cities]``; every sampler is
measured in a process of its own, on one core.
"""

import argparse
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.locations.sampling import draw_locations
from pipeline.locations.table import read_shard, write_locations
from pipeline.settings.tree import validate_settings

RATE_LIMIT = 2_000
"""Locations a second: 250,000 in about two minutes."""

PEAK_LIMIT_MB = 1_000
SHARD_LIMIT_MS = 200

SAMPLERS = ("cities", "land", "area", "points")
SOUTH_AMERICA = "POLYGON ((-80 -35, -35 -35, -35 5, -80 5, -80 -35))"


def measure(sampler: str, count: int, folder: Path) -> bool:
    """Choose locations, write their table, read one shard; print what it took beside the limits.

    Returns:
        Whether everything stayed within its limit.
    """
    options = {"sampler": sampler, "count": count}
    if sampler == "area":
        options["area"] = SOUTH_AMERICA
    if sampler == "points":
        options["table"] = str(random_points(folder / "points.csv", count))
    settings = validate_settings({"locations": options})
    path = folder / "locations.parquet"
    start = time.perf_counter()
    written = write_locations(path, draw_locations(settings))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    read_shard(path, written // settings.store.shard_size // 2)
    shard_ms = 1e3 * (time.perf_counter() - start)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{sampler:7} {written:,} locations, {seconds:.1f} s: {written / seconds:,.0f} a second "
        f"(at least {RATE_LIMIT:,}), peak {peak_mb:.0f} MB (below {PEAK_LIMIT_MB:,}), "
        f"a shard read in {shard_ms:.0f} ms (below {SHARD_LIMIT_MS})"
    )
    slow = written / seconds < RATE_LIMIT or shard_ms >= SHARD_LIMIT_MS
    return not slow and peak_mb < PEAK_LIMIT_MB


def random_points(path: Path, count: int) -> Path:
    """A table of points all over the globe; about one in a hundred overlaps another."""
    stream = np.random.default_rng(0)
    lon = stream.uniform(-180.0, 180.0, count)
    lat = np.degrees(np.arcsin(stream.uniform(-0.98, 0.99, count)))
    np.savetxt(path, np.column_stack([lon, lat]), "%.6f", ",", header="lon,lat", comments="")
    return path


def main() -> None:
    """Measure the samplers one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=25_000)
    parser.add_argument("--sampler", choices=SAMPLERS, help="measure this one, in this process")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if arguments.sampler:
        with tempfile.TemporaryDirectory() as folder:
            within = measure(arguments.sampler, arguments.count, Path(folder))
        sys.exit(0 if within else 1)
    beyond = []
    for sampler in SAMPLERS:
        command = [sys.executable, "-m", "tests.benchmarks.bench_locations"]
        command += ["--count", str(arguments.count), "--sampler", sampler]
        if subprocess.run(command, check=False).returncode:
            beyond.append(sampler)
    if beyond:
        sys.exit(f"error: {', '.join(beyond)} failed or went beyond a limit")


if __name__ == "__main__":
    main()
