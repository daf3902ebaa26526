"""Run the benchmarks, or those named: ``python -m tests.benchmarks [name ...]``.

Each ``bench_<name>.py`` prints what it measured with the limit beside it. They are kept apart from
the tests because a busy machine makes any timing fail.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
LONG = {"build", "build_memory", "defects", "finish", "kills", "laboratory", "probe"}
"""Run only when named: each takes many minutes or needs a folder of its own."""


def main() -> None:
    """Run the benchmarks one after the other, each in a process of its own."""
    known = {path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py")}
    wanted = sys.argv[1:] or sorted(known - LONG)
    unknown = set(wanted) - known
    if unknown:
        sys.exit(f"error: no benchmark {', '.join(sorted(unknown))}; there are {sorted(known)}")
    failed = []
    for name in wanted:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"tests.benchmarks.bench_{name}"]).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"error: beyond the limit: {', '.join(failed)}")


if __name__ == "__main__":
    main()
