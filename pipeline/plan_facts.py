"""What a plan can know of a build: counted where a step has written it down, else expected."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipeline.dynamic_world.catalogue import tile_files
from pipeline.dynamic_world.tile_table import read_tiles_table
from pipeline.ledger import Status
from pipeline.locations.sampling import GIVEN, region_sampler
from pipeline.locations.table import location_count
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings

PAPER_KEPT_SHARE = 103_793 / 251_079
"""Locations kept in the paper (section III-A)."""

DW_FIRST_KEPT_SHARE = 0.86
"""Kept by the newest scene that has a Dynamic World twin when 20 % of scenes have none."""

PAPER_PAIRED_SHARE = (3_574 + 340) / (4_194 + 409)
"""Expert tiles, training and test, that got imagery in the released pairing (zhu-xlab/CromSS)."""


MAPPED_SHARE = 2_996 / 3_914
"""Expert tiles with imagery for which the service had any land use (zhu-xlab/CromSS, README)."""


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
    """Locations of each shard: counted in their table once it is there, else as asked for.

    Raises:
        PipelineError: A file that the settings name, or their region, cannot be used.
    """
    count = location_count(settings)
    table = settings.folder / "locations" / f"{count}.parquet"
    if table.is_file():
        shards = pq.read_table(table, columns=["shard"])["shard"].to_numpy()
        return [int(size) for size in np.unique(shards, return_counts=True)[1]]
    if settings.locations.sampler not in GIVEN:
        region_sampler(settings)  # a region that cannot be used is told now, not after the plan
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


@dataclass(frozen=True)
class TileCount:
    """How many expert tiles there are.

    Attributes:
        shards: Tiles of each shard, both splits.
        source: Where the figures come from.
    """

    shards: list[int]
    source: str

    @property
    def tiles(self) -> int:
        """All of them."""
        return sum(self.shards)


def expert_tiles(settings: Settings) -> TileCount | None:
    """Expert tiles: as listed, as they will be drawn, or one for each file in a local folder.

    None for archives that nobody has opened yet, and for simulated tiles on the real Earth.
    """
    section, table = settings.dynamic_world, settings.folder / "dw" / "tiles.parquet"
    if table.is_file():
        listed = Counter(tile.split for tile in read_tiles_table(table))
        counts, source = [listed["train"], listed["test"]], "listed"
    elif section.tiles == "simulated":
        if not settings.simulated:
            return None
        counts, source = [section.simulated_train, section.simulated_test], "simulated"
    else:
        folders = [Path(str(source)) for source in (section.train, section.test)]
        if not all(folder.is_dir() for folder in folders):
            return None
        counts = [sum(1 for _ in tile_files(folder)) for folder in folders]
        source = "files in the folders; some may be of no use"
    size = section.shard_size
    shards = [min(size, count - start) for count in counts for start in range(0, count, size)]
    return TileCount(shards, source)


def paired_tiles(settings: Settings, tiles: int) -> Amount:
    """How many expert tiles get imagery: counted in the shards that are stored."""
    status = _statuses(sorted((settings.folder / "dw" / "shards").glob("*/*.parquet")))
    stored, done = len(status), status.count(Status.DONE)
    rest = max(0, tiles - stored)
    if not rest:
        return Amount(done, done, done, "paired")
    expected = done + round(rest * PAPER_PAIRED_SHARE)
    return Amount(done, expected, done + rest, "as in the released pairing")


def picture_requests(settings: Settings, paired: Amount) -> Amount:
    """Requests for land-use pictures: one for each tile with imagery, two for a suspicious one.

    Counted in the pictures that are there; of the others as many are taken to be empty as the
    authors found.

    Args:
        settings: Tell the folder.
        paired: Expert tiles with imagery.
    """
    asked = [_times_asked(record) for record in _picture_records(settings)]
    spent, fetched = sum(asked), len(asked)
    least, expected, most = (
        max(0, tiles - fetched) for tiles in (paired.least, paired.expected, paired.most)
    )
    again = round(expected * (1 - MAPPED_SHARE))
    source = "a second one where nothing is mapped"
    return Amount(spent + least, spent + expected + again, spent + 2 * most, source)


def _picture_records(settings: Settings) -> list[Path]:
    folder = settings.folder / "osm" / "pictures"
    return [path for path in folder.glob("*.json") if path.with_suffix(".png").is_file()]


def _times_asked(record: Path) -> int:
    try:
        return int(json.loads(record.read_bytes())["asked"])
    except (ValueError, KeyError, TypeError):
        return 1


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
