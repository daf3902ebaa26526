"""The table of expert tiles: what later steps know of them without opening a file."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic_file import atomic_file
from pipeline.dynamic_world.expert_tile import ExpertTile, Split
from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
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


def dw_dataset(settings: Settings, tiles: Sequence[ExpertTile]) -> str:
    """What tells one ``dw.zarr`` from another: its settings and its label files; 16 hex digits."""
    labels = sorted((tile.split, tile.sample, tile.tile_id, tile.sha256) for tile in tiles)
    return short_hash([settings.dw_defining(), labels])
