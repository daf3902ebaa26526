"""One place of the dataset."""

import datetime as dt
from dataclasses import dataclass

from pipeline.grid import PatchGrid


@dataclass(frozen=True)
class Location:
    """A candidate place with its grid and its four reference dates.

    Attributes:
        sample: Fixed index in the candidate list and in the store.
        location_id: Zero-padded text, ``[A-Za-z0-9_-]`` only.
        lon: Longitude that was drawn or given, degrees east.
        lat: Latitude that was drawn or given, degrees north.
        grid: The 10 m grid of every array of the sample.
        dates: Centre of each season's search window, ascending.
        split: ``train`` or ``validation``.
        shard: ``sample // shard_size``.
    """

    sample: int
    location_id: str
    lon: float
    lat: float
    grid: PatchGrid
    dates: tuple[dt.date, dt.date, dt.date, dt.date]
    split: str
    shard: int
