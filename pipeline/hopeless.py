"""Ends a run as soon as one of its jobs learns that no other would fare better.

Without credentials, or with the budget used up, every job that is left fails in the same way, and
Snakemake, which keeps going after a failure, would try them all. So the job leaves a note, and the
main process, which watches for it, starts no other one.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.atomic_file import write_atomically

_POLL_S = 0.5


def leave_note(folder: Path, reason: str) -> None:
    """Tell the main process, on whatever machine, that there is no use in going on.

    Args:
        folder: ``results/<name>/usage``.
        reason: One line.
    """
    write_atomically(_note(folder), reason.encode())


def heed_notes(folder: Path, stop: Callable[[str], None]) -> None:
    """Watch for a note of this run, until the process ends; one of an earlier run is removed.

    Args:
        folder: ``results/<name>/usage``.
        stop: Called once, in a thread of its own, with the reason.
    """
    note = _note(folder)
    note.unlink(missing_ok=True)

    def watch() -> None:
        while not note.exists():
            time.sleep(_POLL_S)
        stop(note.read_text())

    threading.Thread(target=watch, name="hopeless", daemon=True).start()


def _note(folder: Path) -> Path:
    return folder / "hopeless.txt"
