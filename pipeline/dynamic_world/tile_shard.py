"""One shard of expert tiles, and what of it is in the store already.

A commit record tells the fingerprint of each tile, so that a store that grows, or of which a label
was corrected, fetches no tile that is there as it should be.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.tile_table import tile_fingerprint
from pipeline.errors import PipelineError
from pipeline.ledger import SeasonRecord
from pipeline.store.commit import Commit, damaged_files, read_commit, write_commit
from pipeline.store.shard_reader import open_chunks
from pipeline.store.tiles import read_tile_group

_FINGERPRINTS = "tiles"
"""Name of the note in a commit record that tells the fingerprints of its tiles."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TileShard:
    """What one job is about.

    Attributes:
        split: Group of the store.
        number: Of the shard.
        tiles: Its tiles.
        store: Folder of the store.
        ledger: The commit record to write; an earlier one is built upon.
    """

    split: str
    number: int
    tiles: list[ExpertTile]
    store: Path
    ledger: Path


def adopt_committed(shard: TileShard, dataset: str) -> dict[int, SeasonRecord]:
    """The rows of an earlier commit that hold for the tiles as they are now, by sample.

    None are left of a shard whose files are missing or altered.

    Args:
        shard: Its tiles and places.
        dataset: See `dw_dataset`.
    """
    try:
        commit = read_commit(shard.ledger, dataset)
    except PipelineError:
        # No commit, or none that can be trusted: everything is fetched, and it is written anew.
        return {}
    damaged = damaged_files(shard.store, commit, thorough=True)
    if damaged:
        _log.warning("%s is missing or altered; fetching the shard again", damaged[0])
        return {}
    wanted = {tile.sample: (tile.tile_id, tile_fingerprint(tile)) for tile in shard.tiles}
    known = commit_fingerprints(commit)
    return {
        row.sample: row
        for row in commit.records
        if wanted.get(row.sample) == (row.location_id, known.get(row.location_id))
    }


def renew_ages(shard: TileShard, dataset: str) -> None:
    """Make the files of a whole shard look new, as its job was asked for.

    Snakemake asks for a shard again when something before it was made again, to the same effect.
    """
    commit = read_commit(shard.ledger, dataset)
    for file in (*(shard.store / key for key in commit.files), shard.ledger):
        os.utime(file)


def read_stored(shard: TileShard, sample: int) -> dict[str, NDArray[Any]]:
    """The arrays of a tile that an earlier commit brought into the store.

    Raises:
        PipelineError: They are damaged.
    """
    pixels: dict[str, NDArray[Any]] = {}
    for array in read_tile_group(shard.store, shard.split).arrays:
        chunks = open_chunks(shard.store / shard.split / array.name)
        pixels[array.name] = np.empty(chunks.item_shape, array.dtype)
        chunks.read_into(pixels[array.name], sample)
        chunks.close()
    return pixels


def commit_tiles(
    shard: TileShard, rows: Sequence[SeasonRecord], hashes: Mapping[str, str], dataset: str
) -> None:
    """Commit a shard whose files are written.

    Args:
        shard: Its tiles and places.
        rows: One for each tile, none of them failed.
        hashes: What `write_tiles` returned.
        dataset: See `dw_dataset`.
    """
    prints = {tile.tile_id: tile_fingerprint(tile) for tile in shard.tiles}
    notes = {_FINGERPRINTS: json.dumps(prints)}
    write_commit(shard.ledger, rows, shard.store, hashes, dataset, notes)


def commit_fingerprints(commit: Commit) -> dict[str, str]:
    """What `tile_fingerprint` was of each tile of a commit, by id; empty if it does not say."""
    try:
        return dict(json.loads(commit.notes.get(_FINGERPRINTS, "{}")))
    except (ValueError, TypeError):
        return {}
