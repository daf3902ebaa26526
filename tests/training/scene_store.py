"""A store of six scenes with a class each, one empty tile, and one without a class."""

from pathlib import Path

import numpy as np

from pipeline.store.layout import RecordArray
from pipeline.store.tile_layout import TILE_RECORDS, TileGroup, reflectance_array
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles

CLASSES = 3


SCENE_CLASS = RecordArray(
    "scene_class", "uint8", 255, attributes={"flag_meanings": "forest river industrial"}
)


def write_scene_store(path: Path) -> Path:
    def pixels(sample):
        values = np.full((13, 16, 16), 500 + 900 * (sample % CLASSES), np.uint16)
        values[:, :2] += np.uint16(sample)
        return {"s2": values}

    records = (*TILE_RECORDS, SCENE_CLASS)
    group = TileGroup(8, 16, (reflectance_array(),), records, shard_size=8)
    attributes = {"title": "", "source": "", "simulated": True, "dataset_hash": "0"}
    create_tile_store(path, {"train": group}, attributes)
    write_tiles(path, "train", 0, {sample: pixels(sample) for sample in range(8) if sample != 5})
    classes = [sample % CLASSES if sample != 6 else 255 for sample in range(8)]
    finish_tiles(path, "train", {"scene_class": classes}, [sample != 5 for sample in range(8)])
    return path
