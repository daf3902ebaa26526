"""How far a shard is: a line per location in its log, a bar on the terminal."""

import logging
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_log = logging.getLogger(__name__)


class ShardProgress:
    """Counts seasons and locations as they are finished; a context manager.

    The bar appears on a terminal only; the log gets its lines either way.
    """

    def __init__(self, shard: int, season_count: int, location_count: int) -> None:
        """Start at nothing.

        Args:
            shard: Its number, shown in front of the bar.
            season_count: Seasons still to be fetched.
            location_count: Locations that they belong to.
        """
        self._location_count = location_count
        self._finished_locations = 0
        self._finished_seasons = 0
        self._seasons: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._started = time.monotonic()
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(f"shard {shard}", total=season_count, rate="")

    def __enter__(self) -> "ShardProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

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
        rate = self._finished_seasons / max(time.monotonic() - self._started, 1e-6)
        self._bar.update(self._task, advance=1, rate=f"{rate:.1f} seasons/s")
