"""Mean and spread are those of all pixels with data."""

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.store.tile_layout import TileGroup, backscatter_array, reflectance_array
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles
from training.downstream.tile_statistics import tile_statistics
from training.loading.inputs import band_names

SIZE = 12


def pixels(sample):
    draw = np.random.default_rng(sample)
    s2 = draw.integers(1, 4000, (13, SIZE, SIZE)).astype(np.uint16)
    s1 = draw.integers(-3000, -500, (2, SIZE, SIZE)).astype(np.int16)
    s2[:, :2] = 0
    s2[10, 5:] = 0  # B10 is black over dark, clear ground
    s1[0, 0, :4] = s1[1, 0, 2:6] = -32768
    return {"s2": s2, "s1": s1}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("statistics") / "tiles.zarr"
    group = TileGroup(4, SIZE, (reflectance_array(), backscatter_array()), shard_size=4)
    create_tile_store(path, {"train": group}, {"title": "", "source": "", "simulated": True})
    write_tiles(path, "train", 0, {sample: pixels(sample) for sample in (0, 1, 3)})
    finish_tiles(path, "train", {}, [True, True, False, True])
    return path


def test_a_dark_band_is_no_gap(store):
    """A pixel of Sentinel-2 without data is 0 in all bands."""
    found = tile_statistics(store, "train", "s2", np.array([0, 1, 3]))
    values = np.concatenate([pixels(k)["s2"][:, 2:].reshape(13, -1) for k in (0, 1, 3)], axis=1)
    assert tuple(found) == band_names("s2")
    np.testing.assert_allclose([band["mean"] for band in found.values()], values.mean(1))
    np.testing.assert_allclose([band["std"] for band in found.values()], values.std(1))


def test_backscatter_counts_in_db_where_both_polarisations_are(store):
    found = tile_statistics(store, "train", "s1", np.array([0, 1, 3]))
    flat = np.concatenate([pixels(k)["s1"].reshape(2, -1) for k in (0, 1, 3)], axis=1)
    values = flat[:, (flat != -32768).all(0)] / 100
    np.testing.assert_allclose([band["mean"] for band in found.values()], values.mean(1))
    np.testing.assert_allclose([band["std"] for band in found.values()], values.std(1))


def test_tiles_without_data_are_told(store):
    with pytest.raises(PipelineError, match="has no data in B1, B2.*; build or import it again"):
        tile_statistics(store, "train", "s2", np.array([2]))
