"""A killed run's locks are cleared, a living run's are respected."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from pipeline.run_lock import clear_stale_locks, hold_run_lock, sole_job

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


def test_a_note_that_another_run_takes_away_meanwhile_is_no_obstacle(tmp_path):
    (tmp_path / "0.output.lock").symlink_to(tmp_path / "gone")  # listed, and then not there
    (tmp_path / "1.output.lock").write_text("results/demo/locations.parquet\n")
    assert clear_stale_locks(tmp_path, Path("results/demo")) == 1


def test_no_notes_no_work(tmp_path):
    assert clear_stale_locks(tmp_path / "absent", Path("results/demo")) == 0


def test_a_second_job_of_a_shard_waits_and_says_so(tmp_path, caplog):
    ended = []

    def second_job():
        with sole_job(tmp_path, 3):
            ended.append("second")

    thread = threading.Thread(target=second_job)
    with sole_job(tmp_path, 3):
        thread.start()
        while "shard 3: another job is at work" not in caplog.text:
            assert not ended
        ended.append("first")
    thread.join()
    assert ended == ["first", "second"]


def test_jobs_of_other_shards_do_not_wait(tmp_path):
    with sole_job(tmp_path, 3), sole_job(tmp_path, 4):
        pass
