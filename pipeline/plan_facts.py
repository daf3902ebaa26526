"""What a plan can know of a build: counted where a step has written it down, else expected."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipeline.dynamic_world.tile_table import read_tiles_table
from pipeline.ledger import Status
from pipeline.locations.table import location_count
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings

PAPER_KEPT_SHARE = 103_793 / 251_079
"""Locations kept in the paper (section III-A)."""

DW_FIRST_KEPT_SHARE = 0.86
"""Kept by the newest scene that has a Dynamic World twin when 20 % of scenes have none."""

PAPER_PAIRED_SHARE = (3_574 + 340) / (4_194 + 409)
"""Expert tiles, training and test, that got imagery in the released pairing (zhu-xlab/CromSS)."""


@dataclass(frozen=True)
class Amount:
    """A number of which the limits are known.

    Attributes:
        least: It is no less.
        expected: The best guess.
        most: It is no more.
        source: Where the figure comes from.
    """

    least: int
    expected: int
    most: int
    source: str

    @property
    def exact(self) -> bool:
        """Whether there is nothing to guess."""
        return self.least == self.most

    def times(self, factor: int) -> "Amount":
        """So many for each."""
        least, expected, most = self.least, self.expected, self.most
        return Amount(least * factor, expected * factor, most * factor, self.source)

    def __str__(self) -> str:
        if self.exact:
            return f"{self.expected:,}"
        return f"{self.expected:,} ({self.least:,} to {self.most:,})"


def shard_sizes(settings: Settings) -> list[int]:
    """Locations of each shard: counted in their table once it is there, else as asked for."""
    count = location_count(settings)
    table = settings.folder / "locations" / f"{count}.parquet"
    if table.is_file():
        shards = pq.read_table(table, columns=["shard"])["shard"].to_numpy()
        return [int(size) for size in np.unique(shards, return_counts=True)[1]]
    full, rest = divmod(count, settings.store.shard_size)
    return [settings.store.shard_size] * full + [rest] * bool(rest)


def kept_locations(settings: Settings, locations: int) -> Amount:
    """How many locations the selection keeps: counted as far as it went, the rest by a share."""
    asked, kept = _selected_so_far(settings)
    rest = max(0, locations - asked)
    if not rest:
        return Amount(kept, kept, kept, "selected")
    share, source = _assumed_share(settings)
    if asked and settings.plan.kept_share is None:
        share, source = kept / asked, f"counted in {asked:,} locations selected so far"
    return Amount(kept, kept + round(rest * share), kept + rest, source)


def tile_shard_sizes(settings: Settings) -> list[int] | None:
    """Expert tiles of each shard, both splits; None while nobody has listed them."""
    section, table = settings.dynamic_world, settings.folder / "dw" / "tiles.parquet"
    if table.is_file():
        tiles = read_tiles_table(table)
        shards = Counter((tile.split, tile.sample // section.shard_size) for tile in tiles)
        return [shards[key] for key in sorted(shards)]
    if section.tiles == "published":
        return None
    return [
        min(section.shard_size, count - start)
        for count in (section.simulated_train, section.simulated_test)
        for start in range(0, count, section.shard_size)
    ]


def paired_tiles(settings: Settings, tiles: int) -> Amount:
    """How many expert tiles get imagery: counted in the shards that are stored."""
    status = _statuses(sorted((settings.folder / "dw" / "shards").glob("*/*.parquet")))
    stored, done = len(status), status.count(Status.DONE)
    rest = max(0, tiles - stored)
    if not rest:
        return Amount(done, done, done, "paired")
    expected = done + round(rest * PAPER_PAIRED_SHARE)
    return Amount(done, expected, done + rest, "as in the released pairing")


def batches(sizes: Sequence[int], batch: int) -> int:
    """Requests that ask about every place of every shard, so many places at a time."""
    return sum(math.ceil(size / batch) for size in sizes)


def _selected_so_far(settings: Settings) -> tuple[int, int]:
    """Locations that the selection has asked about, and those of them that it keeps."""
    status = _statuses(sorted((settings.folder / "selection").glob("*.parquet")))
    return len(status) // SEASONS, status.count(Status.SELECTED) // SEASONS


def _statuses(ledgers: Sequence[Path]) -> list[str]:
    return [
        status
        for ledger in ledgers
        for status in pq.read_table(ledger, columns=["status"], partitioning=None)[
            "status"
        ].to_pylist()
    ]


def _assumed_share(settings: Settings) -> tuple[float, str]:
    if settings.plan.kept_share is not None:
        return settings.plan.kept_share, "plan.kept_share"
    if settings.selection.rule == "paper":
        return PAPER_KEPT_SHARE, "the paper"
    return DW_FIRST_KEPT_SHARE, "a simulation of the rule"
