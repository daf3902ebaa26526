"""How many requests may be in flight: additive increase, multiplicative decrease."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

_CUT_INTERVAL_S = 1.0
"""One burst of refusals is one message: it halves the limit once, not once a thread."""

_SUCCESSES_PER_SLOT = 20
"""Successes after which one more request is let through."""


class AdaptiveLimiter:
    """Admits requests up to a limit that halves when throttled and grows back with success.

    The algorithm is that of TCP's congestion avoidance (RFC 5681, section 3.1).
    """

    def __init__(self, ceiling: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at the ceiling.

        Args:
            ceiling: Requests in flight that are never exceeded, at least 1.
            clock: Seconds that only grow; another one in tests.
        """
        self._ceiling = ceiling
        self._limit = float(ceiling)
        self._in_flight = 0
        self._clock = clock
        self._last_cut = float("-inf")
        self._paused_until = float("-inf")
        self._stopped = False
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be in flight just now."""
        return int(self._limit)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a slot, hold it during the block. Sleep outside of it.

        Raises:
            concurrent.futures.CancelledError: `stop` was called.
        """
        self._acquire()
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def succeeded(self) -> None:
        """Let a little more through."""
        with self._changed:
            self._limit = min(self._ceiling, self._limit + 1.0 / _SUCCESSES_PER_SLOT)
            self._changed.notify_all()

    def throttled(self, pause_s: float | None) -> None:
        """Halve the limit, at most once a second; admit nobody for ``pause_s``, if given."""
        with self._changed:
            now = self._clock()
            if now - self._last_cut >= _CUT_INTERVAL_S:
                self._limit = max(1.0, self._limit / 2)
                self._last_cut = now
            if pause_s:
                self._paused_until = max(self._paused_until, now + pause_s)

    def stop(self) -> None:
        """Admit nobody any more, and send those away who wait."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def restart(self) -> None:
        """Admit requests again after `stop`."""
        with self._changed:
            self._stopped = False

    def wait(self, seconds: float) -> None:
        """Sleep without a slot; `stop` ends the sleep."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)

    def wait_within(self, seconds: float) -> None:
        """Sleep with a slot, before the request is sent.

        Raises:
            concurrent.futures.CancelledError: `stop` was called.
        """
        self.wait(seconds)
        if self._stopped:
            raise CancelledError

    def _acquire(self) -> None:
        with self._changed:
            while not self._stopped:
                pause = self._paused_until - self._clock()
                if pause <= 0 and self._in_flight < self.limit:
                    break
                self._changed.wait(pause if pause > 0 else None)
            if self._stopped:
                raise CancelledError
            self._in_flight += 1
