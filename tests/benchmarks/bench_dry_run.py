"""``snakemake -n build_nol`` for 250,000 locations: at most 30 seconds and 2 GB."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.workflow.conftest import ROOT, executed_rules

LOCATIONS = 250_000
LIMIT_S = 30.0
LIMIT_GB = 2.0


def main() -> None:
    """Time a dry run of the planning size and read its peak memory."""
    with tempfile.TemporaryDirectory() as directory:
        configfile = Path(directory) / "large.yaml"
        configfile.write_text(f"name: large\nlocations: {{count: {LOCATIONS}}}\n")
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        options = ["--directory", directory, "--configfile", str(configfile), "--cores", "4"]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*snakemake, *options, "--dry-run", "--", "build_nol"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=directory,
        )
        output = process.communicate()[0]
        seconds = time.perf_counter() - started
    peak_gb = _peak_memory_of_children_gb()
    jobs = executed_rules(output)
    if process.returncode:
        sys.exit(output[-2000:])
    print(f"{LOCATIONS:,} locations, {sum(jobs.values()):,} jobs planned")
    print(
        f"time {seconds:.1f} s (limit {LIMIT_S:.0f} s),"
        f" memory {peak_gb:.2f} GB (limit {LIMIT_GB} GB)"
    )
    sys.exit(seconds > LIMIT_S or peak_gb > LIMIT_GB)


def _peak_memory_of_children_gb() -> float:
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * scale / 1e9


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(ROOT)
    main()
