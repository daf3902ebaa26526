"""Memory of a build is flat: 10,000 locations take at most 1.25 times that of 100.

Jobs about one shard cannot see how many there are; their peaks come from whole builds of 100 and of
1,000 locations, together with that of Snakemake itself. The steps that see every location run on
stand-ins of 100 and 10,000: tables, ledgers and metadata of a build of that size, small patches.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import yaml

from pipeline.settings.tree import Settings, validate_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine
from tests.benchmarks.measured_run import POLL_S, Run, measured
from tests.benchmarks.stand_in_build import stand_in_build
from tests.workflow.conftest import TINY, Workflow

FEW, MANY, MANY_BUILT = 100, 10_000, 1_000
PIXELS = 6
RATIO_MAX = 1.25

_STEP = re.compile(r"-m (pipeline\.\S+|snakemake)")


def main() -> None:
    """Measure both kinds of peaks at both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--built", type=int, default=MANY_BUILT, help="locations really built")
    built = parser.parse_args().built
    flat = compare(f"whole builds of {FEW} and {built:,} locations", built_peaks, FEW, built)
    flat &= compare(f"steps that see {FEW} and {MANY:,} locations", step_peaks, FEW, MANY)
    sys.exit(not flat)


def compare(what: str, peaks: Callable[[int], Mapping[str, float]], few: int, many: int) -> bool:
    """Print the peaks of every step at both sizes; whether all of them are flat."""
    small, large = peaks(few), peaks(many)
    print(f"\n{what}; limit of the ratio {RATIO_MAX}")
    for step in sorted(small):
        ratio = large[step] / small[step]
        print(f"  {step:<28}{small[step]:7.0f} MB {large[step]:7.0f} MB {ratio:6.2f}", flush=True)
    return all(large[step] <= RATIO_MAX * small[step] for step in small)


def built_peaks(count: int) -> dict[str, float]:
    """Build so many locations; peak memory by step, of Snakemake itself too, in 1e6 bytes."""
    peaks: dict[str, float] = {}
    with (
        SimulatedEarthEngine(ProceduralArchive(7)) as server,
        tempfile.TemporaryDirectory() as directory,
    ):
        configuration = {
            "name": "memory",
            "grid": {"pixels": PIXELS},
            "locations": TINY["locations"] | {"count": count},
            "earthengine": {"service": server.url},
        }
        workflow = Workflow(Path(directory), configuration)
        process = subprocess.Popen(
            workflow.command("build_nol", cores=4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            env=workflow.environment,
        )
        while process.poll() is None:
            _note_peaks(psutil.Process(process.pid), peaks)
            time.sleep(POLL_S)
    if process.returncode:
        sys.exit("error: the build failed")
    return peaks


def _note_peaks(root: psutil.Process, peaks: dict[str, float]) -> None:
    try:
        for process in (root, *root.children(recursive=True)):
            step = _STEP.search(" ".join(process.cmdline()))
            if step and process.name().startswith("python"):
                used = process.memory_info().rss / 1e6
                peaks[step[1]] = max(peaks.get(step[1], 0.0), used)
    except psutil.Error:
        pass  # it ended while we looked


def step_peaks(count: int) -> dict[str, float]:
    """Peak memory of the steps that see all of so many locations, in 1e6 bytes."""
    with tempfile.TemporaryDirectory() as directory:
        settings = validate_settings(
            {"results": directory, "grid": {"pixels": PIXELS}, "locations": {"count": count}}
        )
        stand_in_build(settings, count)
        (Path(directory) / "settings.yaml").write_text(
            yaml.safe_dump(settings.model_dump(mode="json"))
        )
        steps = ("locations", "store.create", "plan", "finish", "statistics")
        peaks = {step: run_measured(step, settings, count).peak_mb for step in steps}
        workflow = Workflow(Path(directory), {"name": "planned", "locations": {"count": count}})
        dry = workflow.command("--dry-run", "--", "build_nol", cores=4)
        return peaks | {"snakemake --dry-run": measured(dry, workflow.directory).peak_mb}


def run_measured(step: str, settings: Settings, count: int) -> Run:
    """Run a step that sees all locations on a stand-in, as the workflow runs it."""
    folder = settings.folder
    store, table = folder / "nol.zarr", folder / "locations" / f"{count}.parquet"
    options: dict[str, dict[str, object]] = {
        "locations": {"output": folder / "drawn.parquet"},
        "store.create": {
            "count": count,
            "store": folder / "other.zarr",
            "record": folder / "layout.json",
        },
        "plan": {},
        "finish": {
            "store": store,
            "ledgers": folder / "shards",
            "locations": table,
            "index": folder / "nol.index.parquet",
            "summary": folder / "nol.summary.txt",
        },
        "statistics": {"store": store, "output": folder / "nol.statistics.json", "threads": 4},
    }
    command = [sys.executable, "-m", f"pipeline.{step}"]
    if step != "statistics":
        command += ["--settings", str(settings.results / "settings.yaml")]
    for name, value in options[step].items():
        command += [f"--{name}", str(value)]
    return measured(command, settings.results)


if __name__ == "__main__":
    main()
