"""Builds that are killed, and a reader who looks at their store all the while."""

import hashlib
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import xarray as xr

from tests.workflow.conftest import Workflow


class Reader:
    """Opens a store again and again, and takes the hash of every sample that counts as valid."""

    def __init__(self, store: Path) -> None:
        self.seen: defaultdict[int, set[str]] = defaultdict(set)
        self.errors: list[str] = []
        self.looks = 0
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_until_stopped, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look_until_stopped(self) -> None:
        while not self._stop.wait(0.15):
            try:
                self._look()
            except (ValueError, KeyError, OSError, RuntimeError) as error:
                self.errors.append(repr(error))

    def _look(self) -> None:
        if (self._store / "zarr.json").exists():
            for sample, digest in valid_samples(self._store).items():
                self.seen[sample].add(digest)
            self.looks += 1


def valid_samples(store: Path) -> dict[int, str]:
    """SHA-256 over all values of every sample that says it is valid."""
    dataset = xr.open_zarr(store, mask_and_scale=False, chunks=None)
    return {int(k): _digest(dataset.isel(sample=k)) for k in dataset["valid"].values.nonzero()[0]}


def _digest(sample: xr.Dataset) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(sample.data_vars.items()):
        values = array.values
        content = str(values.tolist()).encode() if values.dtype.kind in "OT" else values.tobytes()
        digest.update(str(name).encode() + content)
    return digest.hexdigest()


def copy_of(built: Workflow, directory: Path, locations: int) -> Workflow:
    """The same build in another directory, ages of the files included, asked for more locations."""
    places = built.configuration["locations"] | {"count": locations}
    return built.copied_to(directory, locations=places)


def start(
    workflow: Workflow, cores: int = 2, targets: Sequence[str] = ("build_nol",)
) -> "subprocess.Popen[bytes]":
    """Begin a build in a process group of its own, output to a file in its directory."""
    output = (workflow.directory / "run.txt").open("ab")
    return subprocess.Popen(
        workflow.command(*targets, cores=cores),
        cwd=workflow.directory,
        env=workflow.environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill_all(run: "subprocess.Popen[bytes]") -> bool:
    """Kill -9 the whole process group, Snakemake included; whether it was still at work."""
    at_work = run.poll() is None
    if at_work:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    return at_work


def kill_worker(
    run: "subprocess.Popen[bytes]", spared: Collection[str] = frozenset()
) -> str | None:
    """Kill -9 one step of a run as soon as there is one; its name, or None if the run ended."""
    while run.poll() is None:
        for process in psutil.Process(run.pid).children(recursive=True):
            with suppress(psutil.Error):  # it may end while we look at it
                step = _step(process)
                if step and step not in spared:
                    process.kill()
                    return step
        time.sleep(0.01)
    return None


def _step(process: psutil.Process) -> str | None:
    words = process.cmdline()
    steps = [word for word in words if word.startswith("pipeline.") and word in words[2:3]]
    return steps[0] if steps and steps[0] != "pipeline.simulator" else None
