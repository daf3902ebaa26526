"""Tell a killed run from a running one, so that the same command simply goes on.

Snakemake locks the files of a run by leaving a note in ``.snakemake/locks``; a run that was killed
leaves its note behind, and the next one refuses to start until somebody types ``--unlock``. The
operating system forgets a file lock the moment its holder dies, so whoever gets ours knows that
notes about this dataset are stale.
"""

from pathlib import Path

from filelock import FileLock, Timeout


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
    return any(line.startswith(prefix) for line in note.read_text().splitlines())
