"""Tell a killed run from a running one, so that the same command simply goes on.

Snakemake locks the files of a run by leaving a note in ``.snakemake/locks``; a run that was killed
leaves its note behind, and the next one refuses to start until somebody types ``--unlock``. The
operating system forgets a file lock the moment its holder dies, so whoever gets ours knows that
notes about this dataset are stale.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_POLL_S = 0.5

_log = logging.getLogger(__name__)


def hold_run_lock(folder: Path) -> FileLock | None:
    """Lock a dataset's folder for the life of this process.

    Args:
        folder: The dataset's folder, ``results/<name>``; made if it does not exist.

    Returns:
        The lock, to be kept referenced; None if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".run.lock", blocking=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


@contextmanager
def sole_job(folder: Path, shard: int) -> Iterator[None]:
    """Wait until no other job is at work on a shard, and keep others waiting.

    When Snakemake itself is killed, the jobs that it has submitted to a cluster go on; the next run
    submits the same ones again.

    Args:
        folder: Of the locks; on a file system that keeps them between the machines, if there are
            several.
        shard: Its number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{shard}.lock", poll_interval=_POLL_S)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _log.warning("shard %d: another job is at work on it; waiting for its end", shard)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def clear_stale_locks(lock_folder: Path, folder: Path) -> int:
    """Remove Snakemake's notes about a dataset that no living run is building.

    Call it only while holding the dataset's run lock.

    Args:
        lock_folder: Usually ``.snakemake/locks``.
        folder: The dataset's folder as the workflow writes it, ``results/<name>``.

    Returns:
        How many notes were removed.
    """
    prefix = f"{folder.as_posix()}/"
    stale = [note for note in lock_folder.glob("*.lock") if _mentions(note, prefix)]
    for note in stale:
        note.unlink(missing_ok=True)
    return len(stale)


def _mentions(note: Path, prefix: str) -> bool:
    try:
        lines = note.read_text().splitlines()
    except FileNotFoundError:  # of another dataset, whose run has just ended
        return False
    return any(line.startswith(prefix) for line in lines)
