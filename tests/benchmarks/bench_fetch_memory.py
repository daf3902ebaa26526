"""Peak memory of one fetch worker on a full shard: under 500 MB, simulator not counted.

The real command, the real client, 64 places of 264 pixels, 40 slots.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

LOCATIONS = 64
SLOTS = 40
LIMIT_MB = 500.0
SETTINGS = {
    "name": "memory",
    "locations": {
        "sampler": "area",
        "area": "POLYGON ((10 47, 13.4 47, 13.4 49.2, 10 49.2, 10 47))",
        "count": LOCATIONS,
    },
}


def main() -> None:
    """Prepare a shard, fetch it, watch the memory of the worker."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
        run_step(folder, "locations", output="locations.parquet")
        places = {"locations": "locations.parquet", "shard": 0}
        run_step(folder, "selection", **places, slots=8, output="selection.parquet")
        run_step(folder, "store.create", count=LOCATIONS, store="nol.zarr", record="layout.json")
        options = {"selection": "selection.parquet", "store": "nol.zarr", "ledger": "0.parquet"}
        fetch = step_command("fetch", **places, **options, slots=SLOTS, log="fetch.log")
        started = time.perf_counter()
        peak_mb = peak_memory_mb(subprocess.Popen(fetch, cwd=folder))
        seconds = time.perf_counter() - started
        print((folder / "fetch.log").read_text().splitlines()[-1])
    print(f"{seconds:.0f} s, peak {peak_mb:.0f} MB (limit {LIMIT_MB:.0f} MB)")
    sys.exit(peak_mb > LIMIT_MB)


def step_command(step: str, **options: object) -> list[str]:
    """The command line of a step."""
    words = [sys.executable, "-m", f"pipeline.{step}", "--settings", "settings.yaml"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words


def run_step(folder: Path, step: str, **options: object) -> None:
    """Run a step that is not measured."""
    subprocess.run(step_command(step, **options), cwd=folder, check=True)


def peak_memory_mb(process: "subprocess.Popen[bytes]") -> float:
    """Watch a process until it ends; its children do not count."""
    peak = 0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.01)
    if process.wait():
        sys.exit("error: the fetch failed")
    return peak / 1e6


if __name__ == "__main__":
    main()
