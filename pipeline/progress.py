"""How far a shard is: a line per location in its log, a line now and then on the terminal.

Several shards are fetched side by side, so a bar that redraws itself would paint over the others'.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")

_log = logging.getLogger(__name__)

TERMINAL_INTERVAL_S = 5.0
"""Time between two lines of one shard on the terminal."""


def told(items: Iterable[Item], task: str, count: int | None = None) -> Iterator[Item]:
    """Hand on what a task finishes; a line now and then tells how far it is.

    Args:
        items: As they are finished.
        task: What is done, e.g. ``decoding pictures``.
        count: How many there will be, if that is known.
    """
    started = told_at = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told_at >= TERMINAL_INTERVAL_S:
            told_at = now
            line = _how_far(number, count, now - started)
            print(f"{task}: {line}", file=sys.stderr, flush=True)


def _how_far(number: int, count: int | None, seconds: float) -> str:
    if count is None:
        return f"{number}, {number / seconds:.0f}/s"
    left = seconds / number * (count - number)
    return f"{number} of {count}, {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class ShardProgress:
    """Counts seasons and locations as they are finished; a context manager."""

    def __init__(self, shard: int, season_count: int, location_count: int) -> None:
        """Start at nothing.

        Args:
            shard: Its number, shown in front of the line.
            season_count: Seasons still to be fetched.
            location_count: Locations that they belong to.
        """
        self._shard = shard
        self._season_count = season_count
        self._location_count = location_count
        self._finished_locations = 0
        self._finished_seasons = 0
        self._seasons: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._started = self._told = time.monotonic()

    def __enter__(self) -> "ShardProgress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tell()

    def season_fetched(self, location_id: str, seconds: float) -> None:
        """Count one season that was asked for, whatever came of it."""
        self._seasons[location_id] = self._seasons.get(location_id, 0) + 1
        self._seconds[location_id] = self._seconds.get(location_id, 0.0) + seconds
        self._advance()

    def season_skipped(self) -> None:
        """Count one season that was no longer needed."""
        self._advance()

    def location_finished(self, location_id: str, outcome: str) -> None:
        """Log one line: what became of the location, what it took, how long the rest will take."""
        self._finished_locations += 1
        rate = self._finished_locations / max(time.monotonic() - self._started, 1e-6)
        left = (self._location_count - self._finished_locations) / rate
        _log.info(
            "%s %s: %d seasons fetched in %.1f s; %d of %d, %.2f locations/s, %.0f s left",
            location_id,
            outcome,
            self._seasons.pop(location_id, 0),
            self._seconds.pop(location_id, 0.0),
            self._finished_locations,
            self._location_count,
            rate,
            left,
        )

    def _advance(self) -> None:
        self._finished_seasons += 1
        if time.monotonic() - self._told >= TERMINAL_INTERVAL_S:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        rate = self._finished_seasons / max(self._told - self._started, 1e-6)
        left = (self._season_count - self._finished_seasons) / max(rate, 1e-6)
        print(
            f"shard {self._shard}: {self._finished_seasons} of {self._season_count} seasons,"
            f" {rate:.1f} seasons/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
