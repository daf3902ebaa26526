"""Completes ``dw.zarr`` once all shards are committed: ``python -m pipeline.dynamic_world.finish``.

Checks every commit record against the tiles and the files, then writes the arrays of one value per
tile with `valid` last of them, the index, and the summary of what was kept and why the rest was
not.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic_file import remove_partial_files, write_atomically
from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.store import SPLITS
from pipeline.dynamic_world.tile_shard import commit_fingerprints
from pipeline.dynamic_world.tile_table import (
    PAIRED_RECORDS,
    dw_dataset,
    read_tiles_table,
    tile_fingerprint,
)
from pipeline.errors import PipelineError, run_step
from pipeline.finish import summary_text
from pipeline.ledger import SeasonRecord, Status
from pipeline.settings.tree import Settings, load_settings
from pipeline.store.commit import Commit, damaged_files, read_commit
from pipeline.store.create import read_attributes
from pipeline.store.layout import NO_TIME
from pipeline.store.sample_index import index_store
from pipeline.store.tiles import finish_tiles, read_tile_group

_TIMES = ("s2_time", "s1_time")
_EPOCH_DAY = np.datetime64("1970-01-01")


def finish_dw(
    settings: Settings, store: Path, ledgers: Path, tiles: Sequence[ExpertTile], index: Path
) -> str:
    """Complete a store whose shards are all committed.

    Args:
        settings: Of the dataset.
        store: Folder of the store; nobody else may be writing to it.
        ledgers: Folder of the commit records, ``<split>/<shard>.parquet``.
        tiles: All tiles.
        index: GeoParquet file to write, one row per tile.

    Returns:
        The summary of reasons, as text.

    Raises:
        PipelineError: A shard is not committed, not for these tiles, or its files are missing or
            of another size; nothing was written then.
    """
    commits = {split: _commits(settings, store, ledgers, tiles, split) for split in SPLITS}
    rows = {
        split: [row for commit in found for row in commit.records]
        for split, found in commits.items()
    }
    columns = {
        split: _columns([tile for tile in tiles if tile.split == split], rows[split])
        for split in SPLITS
    }
    for split in SPLITS:
        valid = [row.status is Status.DONE for row in rows[split]]
        finish_tiles(store, split, columns[split], valid)
    known = {split: _index_columns(tiles, commits[split], split) for split in SPLITS}
    index_store(store, index, known)
    remove_partial_files(store)
    shutil.rmtree(settings.folder / "staging_dw", ignore_errors=True)
    counts: Counter[str] = Counter(
        "kept" if row.status is Status.DONE else row.reason.value
        for split in SPLITS
        for row in rows[split]
    )
    return summary_text(str((read_attributes(store) or {})["title"]), counts, "tiles")


def _commits(
    settings: Settings, store: Path, ledgers: Path, tiles: Sequence[ExpertTile], split: str
) -> list[Commit]:
    """The commit records of a split, in order of shard, checked."""
    dataset = dw_dataset(settings)
    found: list[Commit] = []
    for shard in read_tile_group(store, split).shards:
        ledger = ledgers / split / f"{shard}.parquet"
        commit = read_commit(ledger, dataset)
        damaged = damaged_files(store, commit, thorough=False)
        if damaged:
            raise PipelineError(
                f"{damaged[0]} is missing or not as it was committed; delete {ledger} and run the "
                "same command again"
            )
        found.append(commit)
    committed = [
        (row.location_id, commit_fingerprints(commit).get(row.location_id))
        for commit in found
        for row in commit.records
    ]
    expected = [(tile.tile_id, tile_fingerprint(tile)) for tile in tiles if tile.split == split]
    if committed != expected:
        raise PipelineError(
            f"the shards of {split} were committed for {len(committed)} tiles, the table has "
            f"{len(expected)}, or others; run the build again"
        )
    return found


def _columns(tiles: Sequence[ExpertTile], rows: Sequence[SeasonRecord]) -> dict[str, list[Any]]:
    """Records of a group by name; what a rejected tile does not have stays empty."""
    places = [tile.grid.centre_lonlat for tile in tiles]
    columns: dict[str, list[Any]] = {
        "id": [tile.tile_id for tile in tiles],
        "lon": [lon for lon, _ in places],
        "lat": [lat for _, lat in places],
        "epsg": [tile.grid.epsg for tile in tiles],
        "left": [tile.grid.left for tile in tiles],
        "top": [tile.grid.top for tile in tiles],
        "split": [tile.split for tile in tiles],
        "label_date": [int((np.datetime64(tile.date) - _EPOCH_DAY).astype(int)) for tile in tiles],
        "reason": [row.reason.value for row in rows],
    }
    return columns | {name: [_stored(row, name) for row in rows] for name in PAIRED_RECORDS}


def _stored(row: SeasonRecord, name: str) -> Any:
    value = getattr(row, name)
    return NO_TIME if name in _TIMES and not value else value


def _index_columns(
    tiles: Sequence[ExpertTile], commits: Sequence[Commit], split: str
) -> dict[str, list[str]]:
    """What the index says of the tiles of a split beyond the arrays of the store."""
    mine = [tile for tile in tiles if tile.split == split]
    versions = [commit.code_version for commit in commits for _ in commit.records]
    return {"label_sha256": [tile.sha256 for tile in mine], "code_version": versions}


def main(arguments: Sequence[str] | None = None) -> None:
    """Finish the store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dynamic_world.finish")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--tiles", type=Path, required=True, help="table of all tiles")
    parser.add_argument("--store", type=Path, required=True, help="store to complete")
    parser.add_argument("--ledgers", type=Path, required=True, help="folder of commit records")
    parser.add_argument("--index", type=Path, required=True, help="index to write (GeoParquet)")
    parser.add_argument("--summary", type=Path, required=True, help="summary to write (text)")
    options = parser.parse_args(arguments)
    text = finish_dw(
        load_settings(options.settings),
        options.store,
        options.ledgers,
        read_tiles_table(options.tiles),
        options.index,
    )
    write_atomically(options.summary, text.encode())
    print(text, end="")


if __name__ == "__main__":
    run_step(main)
