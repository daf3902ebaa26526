"""Where the fetch gets its pixels from: a narrow door to an open Earth Engine session."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Protocol, TypeVar

from pipeline.earthengine.client import Client
from pipeline.earthengine.pixels import fetch_season
from pipeline.grid import PatchGrid
from pipeline.ledger import SeasonRecord
from pipeline.season_pixels import SeasonPixels

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class PixelSource(Protocol):
    """Where pixels come from: an open Earth Engine session, in production."""

    slots: int
    """Calls made at the same time."""

    def fetch(self, record: SeasonRecord, grid: PatchGrid) -> SeasonPixels:
        """The pixels of one season; raises `EarthEngineFault`."""
        ...

    def map(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[Item, "Future[Answer]"]]:
        """Run a function on all slots, give items with finished futures as they come."""
        ...


class EarthEnginePixels:
    """Pixels through the client of an open session."""

    def __init__(self, client: Client) -> None:
        self.slots = client.slots
        self._client = client

    def fetch(self, record: SeasonRecord, grid: PatchGrid) -> SeasonPixels:
        """Fetch one season in one request."""
        return fetch_season(self._client, record, grid)

    def map(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[Item, "Future[Answer]"]]:
        """Run a function on the threads of the session."""
        return self._client.map(function, items)
