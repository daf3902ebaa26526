"""One command, run to its end, with what it took."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.workflow.conftest import ROOT

POLL_S = 0.05
"""How often memory is looked at."""


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes:
        seconds: Wall time.
        cpu_s: Time on the processor.
        peak_mb: Largest resident memory of its process, 1e6 bytes.
        text: What it said.
    """

    seconds: float
    cpu_s: float
    peak_mb: float
    text: str


def measured(command: list[str], folder: Path) -> Run:
    """Run a command to its end; what it says is shown only if it fails.

    The peak is watched from outside: the one that the system keeps counts what its parent used.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as output:
        started, peaks = time.perf_counter(), [0.0]
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=environment
        )
        watched = psutil.Process(process.pid)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peaks.append(watched.memory_info().rss / 1e6)
            time.sleep(POLL_S)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
        if ended[1]:
            sys.exit(f"{' '.join(command)}\n{text[-2000:]}")
        return Run(seconds, ended[2].ru_utime + ended[2].ru_stime, max(peaks), text)
