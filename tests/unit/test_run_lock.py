"""A killed run's locks are cleared, a living run's are respected."""

import signal
import subprocess
import sys
from pathlib import Path

from pipeline.run_lock import clear_stale_locks, hold_run_lock

HOLD = """
import sys, time
from pathlib import Path
from pipeline.run_lock import hold_run_lock
lock = hold_run_lock(Path(sys.argv[1]))
print("held" if lock else "busy", flush=True)
time.sleep(60)
"""


def start_holder(folder: Path) -> subprocess.Popen:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_killed_holder_frees_the_lock(tmp_path):
    holder = start_holder(tmp_path)
    try:
        assert hold_run_lock(tmp_path) is None
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    lock = hold_run_lock(tmp_path)
    assert lock is not None
    lock.release()


def test_only_notes_about_this_dataset_are_cleared(tmp_path):
    ours, theirs = tmp_path / "0.output.lock", tmp_path / "1.output.lock"
    ours.write_text("results/demo/locations.parquet\nresults/demo/nol.zarr/zarr.json\n")
    theirs.write_text("results/demo-two/locations.parquet\n")
    assert clear_stale_locks(tmp_path, Path("results/demo")) == 1
    assert not ours.exists()
    assert theirs.exists()


def test_no_notes_no_work(tmp_path):
    assert clear_stale_locks(tmp_path / "absent", Path("results/demo")) == 0
