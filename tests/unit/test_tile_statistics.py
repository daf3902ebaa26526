"""Statistics of stores of tiles, against numpy over the same tiles."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

from pipeline.errors import PipelineError
from pipeline.osm_landuse.store import OSM_ARRAYS, OSM_RECORDS, padded_tile
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.store.create import read_attributes, replace_attributes
from pipeline.store.tile_layout import TileGroup
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles
from pipeline.tile_statistics import main, tile_statistics
from pipeline.verify.store import verify_store

SIZE, BORDER = 12, 1
VALID = {"train": [True, False, True, True], "test": [True]}
ATTRIBUTES = {"title": "a test", "source": "", "simulated": True, "dataset_hash": "a" * 16}


def drawn(group, sample):
    """Tile without its border, some pixels of Sentinel-1 unknown, some bands dark."""
    random = np.random.default_rng([len(group), sample])
    inner = (SIZE - 2 * BORDER,) * 2
    s2 = random.integers(1, 10_000, (13, *inner), np.uint16)
    s2[5, :3] = 0
    s1 = random.integers(-2500, -500, (2, *inner), np.int16)
    s1[1, 4, :2] = -32768
    label = random.integers(0, 13, inner, np.uint8)
    label[2] = 255
    return {"s2": s2, "s1": s1}, {"label": label, "label_dw": label % 9}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("statistics") / "osm.zarr"
    groups = {
        name: TileGroup(len(valid), SIZE, OSM_ARRAYS, OSM_RECORDS, shard_size=2)
        for name, valid in VALID.items()
    }
    create_tile_store(path, groups, ATTRIBUTES)
    for name, valid in VALID.items():
        kept = [sample for sample, is_valid in enumerate(valid) if is_valid]
        for shard in groups[name].shards:
            tiles = {
                sample: padded_tile(*drawn(name, sample), OsmLanduseSettings(), SIZE)
                for sample in kept
                if sample // 2 == shard
            }
            write_tiles(path, name, shard, tiles)
        finish_tiles(path, name, {"split": [name] * len(valid)}, valid)
    return path


def imagery(name):
    """(bands, pixels) of both sensors and all labels of the valid tiles, without borders."""
    kept = [drawn(name, sample) for sample, valid in enumerate(VALID[name]) if valid]
    s2 = np.concatenate([images["s2"].reshape(13, -1) for images, _ in kept], axis=1)
    s1 = np.concatenate([images["s1"].reshape(2, -1) for images, _ in kept], axis=1)
    return s2, s1[:, (s1 != -32768).all(axis=0)], [labels["label"] for _, labels in kept]


@pytest.mark.parametrize("group", ["train", "test"])
def test_figures_are_those_of_the_tiles_without_their_border(store, group):
    found = tile_statistics(store)
    s2, s1, labels = imagery(group)
    bands = found["bands"][group]["all"]
    assert list(bands) == [*xr.open_zarr(store, group=group)["band_s2"].values, "VV", "VH"]
    decibels = s1 * 0.01
    for values, name in zip((s2[5], s2[12], *decibels), ("B6", "B12", "VV", "VH"), strict=True):
        expected = [values.size, values.mean(), values.std(), values.min(), values.max()]
        figures = [bands[name][key] for key in ("count", "mean", "std", "min", "max")]
        np.testing.assert_allclose(figures, expected, rtol=1e-9)
    classes = found["classes"][group]["all"]
    assert classes["forests"] == sum((label == 4).sum() for label in labels)
    assert classes["unlabelled"] == SIZE**2 * len(labels) - sum((x != 255).sum() for x in labels)
    assert sum(classes.values()) == SIZE**2 * len(labels)
    assert found["samples"] == {"train": 3, "test": 1}


def test_the_command_writes_them_beside_and_into_the_store(store, tmp_path):
    group = (store / "train" / "zarr.json").read_bytes()
    main(["--store", str(store), "--output", str(tmp_path / "osm.statistics.json")])
    written = json.loads((tmp_path / "osm.statistics.json").read_text())
    assert written == tile_statistics(store) == read_attributes(store)["statistics"]
    assert (store / "train" / "zarr.json").read_bytes() == group


def test_verification_holds_them_against_the_pixels(store, tmp_path):
    altered = tmp_path / "osm.zarr"
    shutil.copytree(store, altered)
    statistics = tile_statistics(altered)
    replace_attributes(altered, {"statistics": statistics})
    findings = [one for one in verify_store(altered).findings if one.check == "statistics"]
    assert findings == []
    statistics["bands"]["train"]["all"]["VV"]["mean"] -= 0.1
    statistics["classes"]["test"]["all"]["forests"] += 1
    replace_attributes(altered, {"statistics": statistics})
    findings = [one for one in verify_store(altered).findings if one.check == "statistics"]
    assert [one.array for one in findings] == ["VV", "forests"]


def test_a_store_that_is_none_is_one_line(tmp_path):
    with pytest.raises(PipelineError, match="is not a store of layout noldo-tiles-1"):
        tile_statistics(tmp_path)
