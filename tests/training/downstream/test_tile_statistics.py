"""What scales the input of a task: recorded with the store, or computed to the same effect."""

import shutil

import numpy as np
import pytest

from pipeline.store.create import replace_attributes
from pipeline.tile_statistics import tile_statistics as of_store
from training.downstream.task_tiles import valid_tiles
from training.downstream.tile_statistics import tile_statistics
from training.loading.inputs import band_names


@pytest.mark.parametrize("modality", ["s1", "s2"])
def test_the_recorded_figures_are_those_that_would_be_computed(tile_store, modality):
    samples = valid_tiles(tile_store, "train")
    recorded = of_store(tile_store)["bands"]["train"]["all"]
    computed = tile_statistics(tile_store, "train", modality, samples)
    assert list(computed) == list(band_names(modality))
    for band, figures in computed.items():
        assert figures["mean"] == pytest.approx(recorded[band]["mean"], rel=1e-12)
        assert figures["std"] == pytest.approx(recorded[band]["std"], rel=1e-12)


def test_what_a_store_has_recorded_is_taken(tile_store, tmp_path):
    store = tmp_path / "tiles.zarr"
    shutil.copytree(tile_store, store)
    known = {name: {"count": 9, "mean": -11.5, "std": 3.0} for name in ("VV", "VH")}
    replace_attributes(store, {"statistics": {"bands": {"train": {"all": known}}}})
    found = tile_statistics(store, "train", "s1", np.array([0]))
    assert found == {name: {"mean": -11.5, "std": 3.0} for name in ("VV", "VH")}
