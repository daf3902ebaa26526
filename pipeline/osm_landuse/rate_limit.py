"""A polite request rate that holds across threads and processes of one machine.

The next free moment stands in a small file, guarded by a lock file beside it. A caller books a
moment under the lock and sleeps outside it, so that waiting callers queue up evenly.
"""

import logging
import struct
import time
from pathlib import Path

from filelock import FileLock

log = logging.getLogger(__name__)

_MOMENT = struct.Struct("<d")
_LONGEST_HOLD_S = 3600.0
"""A moment further ahead than this was written by a clock that has since been set back."""

_SILENT_WAIT_S = 10.0


class RateLimit:
    """At most so many requests per second, counted over everyone who names the same file."""

    def __init__(self, path: Path, requests_per_second: float) -> None:
        self._path = path
        self._interval = 1.0 / requests_per_second
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")

    def wait(self) -> None:
        """Return when it is our turn."""
        with self._lock:
            now = time.time()
            turn = max(now, self._next_free(now))
            self._book(turn + self._interval)
        pause = max(0.0, turn - time.time())
        if pause > _SILENT_WAIT_S + self._interval:
            log.info("waiting %.0f s: the server asked for a pause, or others ask it, too", pause)
        time.sleep(pause)

    def hold(self, seconds: float) -> None:
        """Let nobody start a request for so many seconds: the server asked for a pause."""
        with self._lock:
            now = time.time()
            self._book(max(self._next_free(now), now + min(seconds, _LONGEST_HOLD_S)))

    def _next_free(self, now: float) -> float:
        try:
            stored = self._path.read_bytes()
        except FileNotFoundError:
            return now
        if len(stored) != _MOMENT.size:  # cut short by a full disk or a killed process
            return now
        moment = float(_MOMENT.unpack(stored)[0])
        queue_limit = now + _LONGEST_HOLD_S
        return moment if moment <= queue_limit else now

    def _book(self, moment: float) -> None:
        self._path.write_bytes(_MOMENT.pack(moment))
