"""Workers that outlive nobody."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.worker_processes import worker_pool
from tests.processes import alive, within

PROGRAM = """
import os, sys, time
from tests.unit.test_worker_processes import name_and_sleep
from pipeline.worker_processes import worker_pool
if __name__ == "__main__":
    worker_pool(1).submit(name_and_sleep, sys.argv[1])
    time.sleep(300)
"""


def name_and_sleep(path: str) -> None:
    Path(f"{path}.new").write_text(str(os.getpid()))
    Path(f"{path}.new").rename(path)
    time.sleep(300)


def test_results_come_back_and_preparation_comes_first():
    with worker_pool(1, os.umask, 0o027) as pool:
        assert pool.submit(os.umask, 0).result() == 0o027


def test_a_killed_parent_leaves_no_worker_behind(tmp_path):
    told = tmp_path / "worker"
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM, str(told)])  # noqa: S603
    assert within(120, told.exists)
    worker = int(told.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert within(60, lambda: not alive(worker))
