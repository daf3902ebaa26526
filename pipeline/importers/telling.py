"""How far an import is: a line now and then, for the person who waits and for the log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

Thing = TypeVar("Thing")

INTERVAL_S = 5.0
"""Time between two lines; what takes less says nothing."""


class Telling:
    """Counts things as they are done; a context manager."""

    def __init__(self, doing: str, things: str, total: int | None = None) -> None:
        """Start at nothing.

        Args:
            doing: What is done, such as "taking stock".
            things: What is counted, in the plural.
            total: How many there will be, if that is known.
        """
        self._doing = doing
        self._things = things
        self._total = total
        self._done = 0
        self._started = self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._told > self._started:
            self._tell()

    def each(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """The same things, counted."""
        for thing in things:
            yield thing
            self.count()

    def count(self) -> None:
        """One more is done."""
        self._done += 1
        if time.monotonic() - self._told >= INTERVAL_S:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        rate = self._done / max(self._told - self._started, 1e-6)
        line = f"{self._doing}: {self._done:,}"
        if self._total is not None:
            line += f" of {self._total:,}"
        line += f" {self._things}, {rate:,.1f}/s"
        if self._total is not None:
            line += f", {_duration((self._total - self._done) / max(rate, 1e-6))} left"
        print(line, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
