"""Several runs on one machine, each on GPUs of its own.

Snakemake counts GPUs but does not say which; two runs would both take the first. A run takes the
lock files of as many GPUs as it needs and keeps them until it ends; the operating system frees the
locks of a run that was killed.
"""

import getpass
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import PipelineError

_POLL_SECONDS = 2.0


def installed_gpus() -> int:
    """GPUs of this machine, counted by their device files: importing torch would take seconds."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def visible_gpus(environment: Mapping[str, str], installed: int) -> list[str]:
    """Names of the GPUs this process may use, as in ``CUDA_VISIBLE_DEVICES``.

    Args:
        environment: Of the process.
        installed: GPUs of the machine, which count where the variable is not set.
    """
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [str(number) for number in range(installed)]
    return [name.strip() for name in allowed.split(",") if name.strip()]


def takes_gpus(accelerator: str) -> bool:
    """Whether a run uses GPUs.

    Asking CUDA itself would fix which GPUs this process sees, before it has reserved some.

    Args:
        accelerator: As in the settings: ``cpu``, ``gpu``, or ``auto``, a GPU where there is one.
    """
    if accelerator == "auto":
        # The workflow imports this module, and torch would cost it seconds.
        import torch

        return torch.version.cuda is not None and bool(visible_gpus(os.environ, installed_gpus()))
    return accelerator == "gpu"


@contextmanager
def reserved_gpus(
    wanted: int, visible: list[str], folder: Path, patience_s: float = float("inf")
) -> Iterator[list[str]]:
    """Hold so many of the visible GPUs; wait while other runs hold them.

    Args:
        wanted: How many.
        visible: Names of all that may be taken.
        folder: Where the lock files of this machine lie.
        patience_s: Longest time to wait, seconds.

    Raises:
        PipelineError: There are fewer GPUs, or they did not become free in time.
    """
    if wanted > len(visible):
        raise PipelineError(
            f"{wanted} GPUs were asked for and {len(visible)} are visible; "
            "lower `devices` in the settings or set `accelerator` to cpu"
        )
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    with ExitStack() as held:
        taken = _take_free(wanted, visible, folder, held)
        if len(taken) < wanted:
            print(f"waiting for {wanted} free GPUs of {len(visible)}", flush=True)
        while len(taken) < wanted:
            if time.monotonic() > deadline:
                raise PipelineError(
                    f"{wanted} GPUs of {len(visible)} did not become free within {patience_s:.0f} s"
                )
            time.sleep(_POLL_SECONDS if patience_s > _POLL_SECONDS else patience_s / 4)
            taken = _take_free(wanted, visible, folder, held)
        yield taken


def lock_folder() -> Path:
    """Where the lock files of this user's runs on this machine lie.

    Jobs of a batch system each number their own GPUs from 0 and need not know of each other.
    """
    job = os.environ.get("SLURM_JOB_ID", "none")
    return Path(tempfile.gettempdir()) / f"noldo-gpus-{getpass.getuser()}" / f"slurm-{job}"


@contextmanager
def gpus_of_this_run(wanted: int, installed: int) -> Iterator[None]:
    """Narrow ``CUDA_VISIBLE_DEVICES`` to GPUs that no other run on this machine holds.

    A process that a run (or `srun`) has started for one of its ranks uses those of the run.

    Args:
        wanted: How many; 0 for a run on CPUs.
        installed: GPUs of the machine. Take `installed_gpus`: a question to CUDA itself may fix
            which GPUs the process sees, and the reservation would come too late.

    Raises:
        PipelineError: There are fewer.
    """
    is_rank = "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1
    if is_rank or wanted == 0:
        yield
        return
    visible = visible_gpus(os.environ, installed)
    with reserved_gpus(wanted, visible, lock_folder()) as names:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
        yield


def _take_free(wanted: int, visible: list[str], folder: Path, held: ExitStack) -> list[str]:
    """Take all wanted GPUs or none: two runs that each hold half would wait for ever."""
    with ExitStack() as taking:
        names: list[str] = []
        for name in visible:
            if len(names) == wanted:
                break
            lock = FileLock(folder / f"{name.replace('/', '_')}.lock", thread_local=False)
            try:
                taking.enter_context(lock.acquire(blocking=False))
            except Timeout:
                continue
            names.append(name)
        if len(names) == wanted:
            held.enter_context(taking.pop_all())
            return names
        return []
