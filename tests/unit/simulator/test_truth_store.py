"""The truth beside a small simulated store."""

import datetime as dt

import numpy as np
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.simulator.truth_store import write_truth
from pipeline.simulator.world import truth
from pipeline.store.create import replace_attributes
from pipeline.store.reader import open_store
from pipeline.store.shard_reader import open_chunks
from tests.placed_store import SAMPLES, grid_of, write_placed_store


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Two shards of four; in the second no sample is complete."""
    store = write_placed_store(tmp_path_factory.mktemp("placed") / "nol.zarr")
    zarr.open_array(store / "valid", mode="r+")[4:] = False
    return store


def test_every_complete_sample_has_the_truth_of_its_days(noisy, tmp_path):
    share = write_truth(noisy, tmp_path / "truth.zarr")
    true = open_store(tmp_path / "truth.zarr").label
    seed = open_store(noisy).attrs["settings"]["source"]["simulated"]["seed"]
    expected = truth(grid_of(2), dt.date(2021, 1, 10), seed)
    np.testing.assert_array_equal(true[2, 1], expected)
    given = open_store(noisy).label.values
    known = given != 255
    assert share == pytest.approx((given == true.values)[known].mean())


def test_a_shard_without_complete_samples_can_be_read(noisy, tmp_path):
    write_truth(noisy, tmp_path / "truth.zarr")
    reader = open_chunks(tmp_path / "truth.zarr" / "label")
    seasons = np.zeros(reader.item_shape, np.uint8)
    reader.read_into(seasons, SAMPLES - 1)
    assert (seasons == 255).all()


def test_the_same_store_gives_the_same_truth_byte_for_byte(noisy, tmp_path):
    files = []
    for name in ("one", "other"):
        write_truth(noisy, tmp_path / name)
        paths = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        files.append({path.relative_to(tmp_path / name): path.read_bytes() for path in paths})
    assert files[0] == files[1]


def test_nobody_knows_the_truth_behind_real_scenes(tmp_path):
    store = write_placed_store(tmp_path / "nol.zarr")
    settings = open_store(store).attrs["settings"]
    replace_attributes(store, {"settings": settings | {"source": "google"}})
    with pytest.raises(PipelineError, match="nobody knows the truth"):
        write_truth(store, tmp_path / "truth.zarr")
