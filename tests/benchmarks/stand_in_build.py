"""Builds that are finished but for the index, of any size: one real shard stands in for all.

The tables, the ledgers and the store's metadata are written by the code that writes them in a real
build, one row for every location. Only the pixels are the same in every shard: its files are links.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.grid import PatchGrid
from pipeline.ledger import SeasonRecord, Status, write_records
from pipeline.locations.location import Location
from pipeline.locations.table import write_locations
from pipeline.season_pixels import SeasonPixels
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings
from pipeline.staging import LazyPixels
from pipeline.store.commit import write_commit
from pipeline.store.create import create_store
from pipeline.store.layout import shard_count
from pipeline.store.shards import write_shard
from tests.small_dataset import DATES, make_pixels, make_rows

_PLACES_IN_A_ROW = 100


def stand_in_build(settings: Settings, count: int) -> None:
    """Make everything that the steps after the pixels read.

    Args:
        settings: Of the dataset; its folder should not exist.
        count: Locations, all of them kept.
    """
    folder, store = settings.folder, settings.folder / "nol.zarr"
    write_locations(folder / "locations" / f"{count}.parquet", _places(settings, count))
    create_store(store, settings, count)
    size = settings.store.shard_size
    pixels = {
        (sample, season): lambda sample=sample, season=season: _pixels(settings, sample, season)
        for sample in range(min(size, count))
        for season in range(SEASONS)
    }
    hashes = write_shard(store, 0, LazyPixels(pixels))
    for shard in range(shard_count(count, size)):
        linked = {_of_shard(key, shard): sha256 for key, sha256 in hashes.items()}
        for first, path in zip(hashes, linked, strict=True):
            _link(store / first, store / path)
        rows = [row for sample in _samples(shard, size, count) for row in _rows(sample)]
        (folder / "selection").mkdir(exist_ok=True)
        write_records(folder / "selection" / f"{shard}.parquet", rows, settings.dataset_hash())
        done = [replace(row, status=Status.DONE) for row in rows]
        ledger = folder / "shards" / f"{shard}.parquet"
        ledger.parent.mkdir(exist_ok=True)
        write_commit(ledger, done, store, linked, settings.dataset_hash())


def _places(settings: Settings, count: int) -> Iterator[Location]:
    """Patches side by side on one grid; the table is written, not looked at."""
    side = settings.grid.pixels
    for sample in range(count):
        row, column = divmod(sample, _PLACES_IN_A_ROW)
        left, top = 300_000.0 + 10 * side * column, 9_000_000.0 - 10 * side * row
        grid = PatchGrid(32633, left, top, side, side)
        shard = sample // settings.store.shard_size
        yield Location(sample, f"{sample:08d}", 15.0, 47.8, grid, DATES, "train", shard)


def _rows(sample: int) -> list[SeasonRecord]:
    return [replace(row, location_id=f"{sample:08d}") for row in make_rows(sample)]


def _pixels(settings: Settings, sample: int, season: int) -> SeasonPixels:
    return make_pixels(sample, season, settings.grid.pixels)


def _samples(shard: int, size: int, count: int) -> range:
    return range(shard * size, min((shard + 1) * size, count))


def _of_shard(key: str, shard: int) -> str:
    array, rest = key.split("/c/0/")
    return f"{array}/c/{shard}/{rest}"


def _link(original: Path, path: Path) -> None:
    if original != path:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(original, path)
