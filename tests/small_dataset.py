"""Places, ledger rows and pixels of a small dataset, for tests and for the processes they start."""

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

import numpy as np

from pipeline.grid import PatchGrid
from pipeline.ledger import SeasonRecord, Status
from pipeline.locations.location import Location
from pipeline.season_pixels import SeasonPixels
from pipeline.settings.tree import Settings, validate_settings

PATCH = 12
SHARD_SIZE = 4
DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22))


def make_settings(results, patch=PATCH, shard_size=SHARD_SIZE) -> Settings:
    return validate_settings(
        {
            "results": str(results),
            "grid": {"pixels": patch},
            "store": {"shard_size": shard_size},
        }
    )


def make_pixels(sample, season, size=PATCH) -> SeasonPixels:
    """Pixels without nodata, the same for the same arguments."""
    rng = np.random.default_rng([sample, season])
    return SeasonPixels(
        s2_10m=rng.integers(1, 10_000, (4, size, size), np.uint16),
        s2_20m=rng.integers(1, 10_000, (6, size // 2, size // 2), np.uint16),
        s2_60m=rng.integers(1, 10_000, (3, size // 6, size // 6), np.uint16),
        s1=rng.integers(-2500, 500, (2, size, size), np.int16),
        label=rng.integers(0, 9, (size, size), np.uint8),
    )


def make_location(sample, patch=PATCH, shard_size=SHARD_SIZE) -> Location:
    grid = PatchGrid(32633, 500_040.0 + 10 * patch * sample, 5_300_040.0, patch, patch)
    split = "validation" if sample == 1 else "train"
    return Location(sample, f"{sample:04d}", 15.0, 47.8, grid, DATES, split, sample // shard_size)


def make_rows(sample, scene="a") -> list[SeasonRecord]:
    """The selection of one place."""
    return [
        SeasonRecord(
            sample,
            f"{sample:04d}",
            season,
            dt.date(2021, 1, 1),
            dt.date(2021, 2, 1),
            Status.SELECTED,
            s2_id=f"s2_{sample}_{season}_{scene}",
            s1_id=f"s1_{sample}",
            dw_id=f"s2_{sample}_{season}_{scene}",
            s2_time=1_609_459_200_000 + sample,
            s1_time=1_609_459_200_000,
            cloud_cover=sample / 2,
            mgrs_tile="33UUP",
            processing_baseline="02.09",
            s1_orbit_pass="ASCENDING",
            s1_relative_orbit=95,
        )
        for season in range(4)
    ]


class FakeSource:
    """Gives pixels by (sample, season), or raises the fault it was told to; counts the calls."""

    def __init__(self, slots=3, answers=None, seconds=0.0):
        self.slots = slots
        self.asked = []
        self._answers = answers or {}
        self._seconds = seconds
        self._lock = threading.Lock()

    def fetch(self, record, grid):
        with self._lock:
            self.asked.append((record.sample, record.season))
        time.sleep(self._seconds)
        answer = self._answers.get((record.sample, record.season))
        if isinstance(answer, Exception):
            raise answer
        return answer or make_pixels(record.sample, record.season, grid.width)

    def map(self, function, items):
        with ThreadPoolExecutor(self.slots) as pool:
            futures = {pool.submit(function, item): item for item in items}
            for future in as_completed(futures):
                yield futures[future], future

    @contextmanager
    def open(self):
        yield self
