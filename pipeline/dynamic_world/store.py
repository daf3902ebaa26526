"""The form of ``dw.zarr``: ``python -m pipeline.dynamic_world.store`` lays it out."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.atomic_file import write_atomically
from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.tile_table import dw_dataset, labels_hash, read_tiles_table
from pipeline.errors import PipelineError, run_step
from pipeline.settings.tree import Settings, load_settings
from pipeline.store.create import other_settings, read_attributes
from pipeline.store.description import common_attributes, imagery_source, titled
from pipeline.store.metadata import json_bytes
from pipeline.store.tile_layout import (
    TILE_LAYOUT,
    TileGroup,
    backscatter_array,
    label_array,
    reflectance_array,
)
from pipeline.store.tiles import create_tile_store, grow_tile_store

SPLITS = ("train", "test")

DW_ARRAYS = (
    reflectance_array(),
    backscatter_array(),
    label_array("label", "dynamic_world", "Dynamic World class marked by experts"),
)


def tile_groups(tiles: Sequence[ExpertTile], shard_size: int) -> dict[str, TileGroup]:
    """The groups that hold a catalogue of tiles.

    Raises:
        PipelineError: A split has no tile.
    """
    groups = {}
    for split in SPLITS:
        sizes = [tile.grid.height for tile in tiles if tile.split == split]
        if not sizes:
            raise PipelineError(f"the table of tiles has no {split} tile; list the tiles again")
        groups[split] = TileGroup(len(sizes), sizes[0], DW_ARRAYS, shard_size=shard_size)
    return groups


def dw_attributes(settings: Settings, tiles: Sequence[ExpertTile]) -> dict[str, Any]:
    """What ``dw.zarr`` says about itself."""
    section = settings.dynamic_world
    return common_attributes("dw", TILE_LAYOUT) | {
        "title": titled("Dynamic World expert labels with Sentinel-1 and Sentinel-2", settings),
        "source": imagery_source(settings),
        "simulated": settings.simulated,
        "dataset_hash": dw_dataset(settings),
        "labels_hash": labels_hash(tiles),
        "settings": settings.dw_defining(),
        "pairing": (
            f"rule {section.rule}: scenes within {section.window_days} days from the label's date "
            f"on, else before; cloud cover under {section.cloud_cover_max:g} percent; bilinear"
        ),
    }


def create_dw_store(path: Path, settings: Settings, tiles: Sequence[ExpertTile]) -> None:
    """Lay out the store, or give this dataset's store room for the tiles that have come since.

    Raises:
        PipelineError: Another store is in the way, or one of more tiles.
    """
    groups = tile_groups(tiles, settings.dynamic_world.shard_size)
    attributes = dw_attributes(settings, tiles)
    existing = read_attributes(path) or attributes
    if existing.get("settings", attributes["settings"]) != attributes["settings"]:
        raise other_settings(path, existing["settings"], attributes["settings"])
    if existing.get("labels_hash") == attributes["labels_hash"]:
        create_tile_store(path, groups, attributes)
    else:
        grow_tile_store(path, groups, attributes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Lay out the store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dynamic_world.store")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--tiles", type=Path, required=True, help="table of all tiles")
    parser.add_argument("--store", type=Path, required=True, help="the store to make")
    parser.add_argument("--record", type=Path, required=True, help="where to note that it is made")
    options = parser.parse_args(arguments)
    settings, tiles = load_settings(options.settings), read_tiles_table(options.tiles)
    create_dw_store(options.store, settings, tiles)
    record = {"labels_hash": labels_hash(tiles), "tiles": len(tiles)}
    write_atomically(options.record, json_bytes(record))


if __name__ == "__main__":
    run_step(main)
