"""Samples by id, box and split; what cannot be found is named with what could."""

import shutil

import numpy as np
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.export.choice import Choice, choose
from pipeline.export.store_group import open_groups
from tests.placed_store import EMPTY, SAMPLES, VALIDATION, grid_of


def chosen_ids(groups, **choice):
    return [sample.id for sample in choose(groups, Choice(**choice))]


def test_everything_is_every_complete_sample(groups):
    assert chosen_ids(groups) == [f"{k:04d}" for k in range(SAMPLES) if k != EMPTY]


def test_ids_and_split(groups):
    assert chosen_ids(groups, ids=("0003", "0000")) == ["0000", "0003"]
    assert chosen_ids(groups, split="validation") == [f"{VALIDATION:04d}"]


def test_a_box_takes_the_centres_in_it(groups):
    lon, lat = grid_of(2).centre_lonlat
    assert chosen_ids(groups, box=(lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01)) == ["0002"]
    around_the_world = (lon + 0.01, lat - 1, lon - 0.01, lat + 1)
    assert "0002" not in chosen_ids(groups, box=around_the_world)
    assert len(chosen_ids(groups, box=around_the_world)) == SAMPLES - 2


def test_groups_are_splits(tiles):
    groups = open_groups(tiles)
    assert chosen_ids(groups, split="test", ids=("test1",)) == ["test1"]
    assert {sample.group for sample in choose(groups, Choice())} == {"train", "test"}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"ids": ("0009",)}, r"no sample '0009' .*nearest ids: 000\d"),
        ({"ids": (f"{EMPTY:04d}",)}, "was rejected and is empty"),
        ({"split": "test"}, "no split 'test'; it has train, validation"),
        ({"box": (0, 0, 1, 1)}, "none of the 5 complete samples"),
        ({"box": (0, 5, 1, 4)}, "give west south east north"),
        ({"box": (0, float("nan"), 1, 4)}, "give west south east north"),
    ],
)
def test_what_is_not_there_is_told(groups, choice, message):
    with pytest.raises(PipelineError, match=message):
        choose(groups, Choice(**choice))


@pytest.mark.parametrize("ids", [["", "", "0002"], ["0000", "0000", "0002"]])
def test_samples_that_would_overwrite_each_other_are_refused(nol, tmp_path, ids):
    copy = shutil.copytree(nol, tmp_path / "nol.zarr")
    zarr.open_array(copy / "id", mode="r+")[:3] = np.array(ids, dtype=object)
    with pytest.raises(PipelineError, match="2 samples of .* would overwrite each other"):
        choose(open_groups(copy), Choice())


def test_a_store_whose_ids_are_lost_is_refused(nol, tmp_path):
    copy = shutil.copytree(nol, tmp_path / "nol.zarr")
    shutil.rmtree(copy / "id")
    with pytest.raises(PipelineError, match="there is no array 'id'"):
        open_groups(copy)
