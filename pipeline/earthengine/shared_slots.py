"""Slots for requests in flight that all processes of a build draw from.

A job that starts, ends or waits for its last answers leaves slots unused that the other jobs can
take. A slot is a locked file: the operating system gives it back when its holder dies, however.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_POLL_S = 0.01
"""How often a process without a slot looks for one; only one of its threads does."""


class SharedSlots:
    """This process's hand in the slots; safe for many threads. Use as a context manager."""

    def __init__(self, folder: Path, count: int) -> None:
        """Join the processes that draw from the same slots.

        Args:
            folder: One file per slot, made if need be; on a file system that keeps locks between
                the machines, if there are several.
            count: Slots, at least 1. Processes that were told less use the first ones only.
        """
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{number:03d}" for number in range(count)]
        self._files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o666) for path in paths]
        self._held: set[int] = set()
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give back everything."""
        for file in self._files:
            os.close(file)

    @contextmanager
    def slot(self, pause: Callable[[float], None]) -> Iterator[None]:
        """Wait for a slot, hold it during the block.

        Args:
            pause: Sleeps so many seconds; what it raises ends the waiting.
        """
        number = self._take(pause)
        try:
            yield
        finally:
            fcntl.flock(self._files[number], fcntl.LOCK_UN)
            self._held.discard(number)

    def _take(self, pause: Callable[[float], None]) -> int:
        with self._turn:
            while (number := self._take_free()) is None:
                pause(_POLL_S)
        return number

    def _take_free(self) -> int | None:
        for number, file in enumerate(self._files):
            # A lock is its file's, not its thread's: it would be granted to ourselves again.
            if number in self._held:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            self._held.add(number)
            return number
        return None
