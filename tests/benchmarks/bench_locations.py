"""How fast locations are chosen, and in how much memory.

``python -m tests.benchmarks.bench_locations [--count 250000] [--sampler cities]``; every sampler is
measured in a process of its own, on one core.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.locations.sampling import draw_locations
from pipeline.locations.table import read_shard, write_locations
from pipeline.settings import validate_settings

SAMPLERS = ("cities", "land", "area", "points")
SOUTH_AMERICA = "POLYGON ((-80 -35, -35 -35, -35 5, -80 5, -80 -35))"


def measure(sampler: str, count: int, folder: Path) -> None:
    """Choose locations, write their table, read one shard; print rate, times and peak memory."""
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
        f"{sampler:8} {written:8,} locations {seconds:6.1f} s {written / seconds:7,.0f} /s "
        f"peak {peak_mb:5.0f} MB  table {path.stat().st_size / 1e6:5.0f} MB  shard {shard_ms:4.0f} ms"
    )


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
    if arguments.sampler:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments.sampler, arguments.count, Path(folder))
        return
    for sampler in SAMPLERS:
        command = [sys.executable, "-m", "tests.benchmarks.bench_locations"]
        command += ["--count", str(arguments.count), "--sampler", sampler]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
