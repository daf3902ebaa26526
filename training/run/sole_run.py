"""One training at a time in the folder of a run.

When Snakemake itself is killed, the jobs that it has submitted to a cluster go on; the next run
submits the same ones again, and two trainings would write each other's checkpoints.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import PipelineError


@contextmanager
def sole_run(folder: Path, environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Hold the folder of a run as long as it trains.

    Only the first of several processes of a training holds it; the others, which Lightning or
    `srun` has started beside it, pass.

    Args:
        folder: Of the run, on a file system that keeps locks between the machines, if there are
            several.
        environment: Of this process, which tells its rank.

    Raises:
        PipelineError: Another training is at work there.
    """
    if "LOCAL_RANK" in environment or environment.get("SLURM_PROCID", "0") != "0":
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".training.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise PipelineError(
            f"another process trains in {folder}; wait for its end, or stop it (under Slurm: "
            "`squeue --me`, `scancel`), and run the same command again"
        ) from None
    try:
        yield
    finally:
        lock.release()
