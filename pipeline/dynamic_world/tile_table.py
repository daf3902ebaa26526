"""The table of expert tiles: what later steps know of them without opening a file.

Numbers are given once. Tiles that come later are numbered after those that a shard was committed
for, so that a store grows and nothing that is in it moves.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic_file import atomic_file
from pipeline.dynamic_world.expert_tile import ExpertTile, Split
from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.ledger import read_records
from pipeline.settings.tree import Settings, short_hash

_SCHEMA = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("tile_id", pa.string(), nullable=False),
        pa.field("date", pa.date32(), nullable=False),
        pa.field("epsg", pa.int32(), nullable=False),
        pa.field("left", pa.float64(), nullable=False),
        pa.field("top", pa.float64(), nullable=False),
        pa.field("pixels", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)


PAIRED_RECORDS = (
    "s2_id",
    "s1_id",
    "s2_time",
    "s1_time",
    "cloud_cover",
    "mgrs_tile",
    "processing_baseline",
    "s1_orbit_pass",
    "s1_relative_orbit",
)
"""What a store tells of the scenes that belong to a tile; named like the columns of a ledger."""


def number_tiles(tiles: Sequence[ExpertTile], committed: Mapping[str, int]) -> list[ExpertTile]:
    """Number the tiles of one split from 0, in the order of their ids.

    Args:
        tiles: Of the split.
        committed: Numbers that the tiles of committed shards have already, by id.

    Returns:
        The tiles in the order of their numbers.

    Raises:
        PipelineError: A committed tile is not among them, or its number is beyond them: tiles that
            were listed are gone.
    """
    ids = sorted(tile.tile_id for tile in tiles)
    lost = sorted(committed.keys() - set(ids))
    if lost or max(committed.values(), default=-1) >= len(ids):
        gone = f"{len(lost)} of its tiles, the first {lost[0]}," if lost else "some of its tiles"
        raise PipelineError(
            f"dw.zarr was begun with more tiles: {gone} are not listed any more (refused.txt says "
            "what was refused); put their files back, or remove dw.zarr and the folder dw beside "
            "it to build it anew"
        )
    taken = set(committed.values())
    free = (number for number in itertools.count() if number not in taken)
    numbers = dict(committed) | {name: next(free) for name in ids if name not in committed}
    numbered = [replace(tile, sample=numbers[tile.tile_id]) for tile in tiles]
    return sorted(numbered, key=lambda tile: tile.sample)


def committed_numbers(ledgers: Path, settings: Settings) -> dict[Split, dict[str, int]]:
    """The numbers of the tiles whose shards are committed, by split and id.

    Args:
        ledgers: Folder of the commit records, ``<split>/<shard>.parquet``.
        settings: Of the dataset; records of another one do not count.
    """
    splits: tuple[Split, ...] = ("train", "test")
    found: dict[Split, dict[str, int]] = {split: {} for split in splits}
    for split, numbers in found.items():
        for ledger in sorted((ledgers / split).glob("*.parquet")):
            try:
                records = read_records(ledger, dw_dataset(settings))
            except PipelineError:
                continue  # damaged or another dataset's: its shard is fetched again
            numbers |= {record.location_id: record.sample for record in records}
    return found


def write_tiles_table(path: Path, tiles: Sequence[ExpertTile]) -> None:
    """Write the tiles of both splits, numbered within each, in the order of split and sample."""
    rows = [
        {
            "split": tile.split,
            "sample": tile.sample,
            "tile_id": tile.tile_id,
            "date": tile.date,
            "epsg": tile.grid.epsg,
            "left": tile.grid.left,
            "top": tile.grid.top,
            "pixels": tile.grid.height,
            "path": tile.path.as_posix(),
            "sha256": tile.sha256,
        }
        for tile in sorted(tiles, key=lambda tile: (tile.split, tile.sample))
    ]
    with atomic_file(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), file, compression="zstd")


def read_tiles_table(path: Path, split: Split | None = None) -> list[ExpertTile]:
    """Read the tiles of a split, or of both, in the order of split and sample.

    Raises:
        PipelineError: The file does not exist or is no such table.
    """
    try:
        table = pq.read_table(path, partitioning=None).cast(_SCHEMA)
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run the step that lists the tiles") from None
    except (pa.ArrowException, ValueError) as error:
        raise PipelineError(f"{path} is not a table of tiles of this version: {error}") from None
    return [
        ExpertTile(
            row["sample"],
            row["tile_id"],
            row["split"],
            row["date"],
            PatchGrid(row["epsg"], row["left"], row["top"], row["pixels"], row["pixels"]),
            Path(row["path"]),
            row["sha256"],
        )
        for row in table.to_pylist()
        if split in (None, row["split"])
    ]


def dw_dataset(settings: Settings) -> str:
    """What tells one ``dw.zarr`` from another: the settings that define it; 16 hex digits.

    Tiles are left out, as more may come later; `tile_fingerprint` tells one from another.
    """
    return short_hash(settings.dw_defining())


def tile_fingerprint(tile: ExpertTile) -> str:
    """What decides what is stored of a tile: id, date, pixels and codes; 16 hex digits."""
    return short_hash([tile.tile_id, tile.date.isoformat(), tile.sha256])


def labels_hash(tiles: Sequence[ExpertTile]) -> str:
    """What tells one set of expert tiles from another; 16 hex digits."""
    return short_hash(sorted((tile.split, tile.sample, tile_fingerprint(tile)) for tile in tiles))
