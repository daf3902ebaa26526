"""The checks that torchgeo runs on its own datasets, and that the values are the store's."""

import importlib
import pickle
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import DataLoader

from pipeline.errors import PipelineError
from tests.placed_store import EMPTY, SAMPLES, pixels_of, write_placed_store
from tests.training.learnable_tiles import tile, write_tile_store

torchgeo_datasets = pytest.importorskip("torchgeo.datasets")

from training.torchgeo_dataset import NODATA_DB, NoldoDataset  # noqa: E402

BOTH = ("train", "val")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_placed_store(tmp_path_factory.mktemp("torchgeo") / "nol.zarr")


@pytest.fixture(scope="module")
def tile_store(tmp_path_factory):
    return write_tile_store(tmp_path_factory.mktemp("torchgeo") / "tiles.zarr")


@pytest.fixture(params=[("nol", "train"), ("nol", "val"), ("tiles", "train"), ("tiles", "test")])
def dataset(request, store, tile_store) -> NoldoDataset:
    root = store if request.param[0] == "nol" else tile_store
    return NoldoDataset(root, request.param[1], transforms=nn.Identity())


def test_an_item_has_the_form_that_torchgeo_expects(dataset):
    item = dataset[0]
    assert isinstance(dataset, torchgeo_datasets.NonGeoDataset)
    assert isinstance(item, dict)
    assert isinstance(item["image"], torch.Tensor) and isinstance(item["mask"], torch.Tensor)
    assert item["image"].dtype == torch.float32 and item["mask"].dtype == torch.int64
    assert item["image"].shape == (15, *item["mask"].shape) and item["mask"].ndim == 2
    assert torch.isfinite(item["image"]).all()
    assert set(item["mask"].unique().tolist()) <= {*range(9), 255}
    assert f"size: {len(dataset)}" in str(dataset)


def test_lengths_add_up(dataset):
    twice = dataset + dataset
    assert len(twice) == 2 * len(dataset) == 2 * len(dataset.ids)
    torch.testing.assert_close(twice[len(dataset)]["image"], dataset[0]["image"])
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_every_season_of_every_complete_sample_is_an_item(store):
    train, val = (NoldoDataset(store, split) for split in BOTH)
    kept = [f"{k:04d}" for k in range(SAMPLES) if k not in (EMPTY, 1)]
    assert train.ids == [name for name in kept for _ in range(4)]
    assert val.ids == ["0001"] * 4
    assert NoldoDataset(store, seasons=(1, 3)).ids == [name for name in kept for _ in range(2)]


def test_values_are_those_of_the_store_in_the_order_of_the_bands(store):
    bands = ("B11", "VH", "B4", "B1")
    item = NoldoDataset(store, "train", bands=bands, seasons=(2,))[1]
    pixels = pixels_of(2, 2)
    b11, vh, b4, b1 = item["image"].numpy()
    np.testing.assert_array_equal(b11[1::2, 1::2], pixels.s2_20m[4])
    np.testing.assert_array_equal(b4, pixels.s2_10m[2])
    np.testing.assert_array_equal(b1[::6, ::6], pixels.s2_60m[0])
    np.testing.assert_allclose(vh[1:], pixels.s1[1, 1:] / 100, rtol=1e-6)
    assert vh[0, 0] == np.float32(NODATA_DB)
    np.testing.assert_array_equal(item["mask"], pixels.label)


def test_tiles_come_from_the_group_of_the_split(tile_store):
    item = NoldoDataset(tile_store, "test", bands=("B8A",))[0]
    np.testing.assert_array_equal(item["image"][0], tile("test", 0)["s2"][8])
    np.testing.assert_array_equal(item["mask"], tile("test", 0)["label"])


def test_transforms_are_applied(store):
    item = NoldoDataset(store, transforms=lambda sample: {"image": -sample["image"]})[0]
    assert set(item) == {"image"} and item["image"][2:].max() <= 0


def test_workers_read_the_same(store):
    dataset = NoldoDataset(store, bands=("B8",), seasons=(0,))
    copy = pickle.loads(pickle.dumps(dataset))
    batch = next(iter(DataLoader(copy, batch_size=2)))
    torch.testing.assert_close(batch["image"][1], dataset[1]["image"])
    assert batch["mask"].shape == (2, 48, 48)


def test_a_store_at_a_url_is_the_same(store):
    there, here = NoldoDataset(f"file://{store}", "val"), NoldoDataset(store, "val")
    assert there.ids == here.ids
    for key in ("image", "mask"):
        torch.testing.assert_close(there[2][key], here[2][key])
    with pytest.raises(torchgeo_datasets.DatasetNotFoundError, match="root='file://"):
        NoldoDataset(f"file://{store}x")


def test_an_unknown_split_is_a_mistake_of_the_caller(store):
    with pytest.raises(AssertionError, match="'foo' is none of train, val, test"):
        NoldoDataset(store, split="foo")


def test_a_store_that_is_not_there(tmp_path):
    with pytest.raises(torchgeo_datasets.DatasetNotFoundError, match="Dataset not found in `root="):
        NoldoDataset(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "no complete sample in the split 'test'; it has train, val"),
        ({"bands": ("B4", "B99")}, "no band B99; choose among VV, VH, B1"),
        ({"bands": ()}, "has no band"),
        ({"seasons": (4,)}, r"has the seasons 0, 1, 2, 3, not \[4\]"),
        ({"seasons": (-1,)}, "has the seasons"),
        ({"label": "label_dw"}, "no labels 'label_dw'; it has label"),
        ({"label": "s1"}, "no labels 's1'"),
    ],
)
def test_what_a_store_lacks_is_told(store, arguments, message):
    with pytest.raises(PipelineError, match=message):
        NoldoDataset(store, **arguments)


def titles(figure: Figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes]


def test_plot(dataset):
    sample = dataset[0].copy()
    figure = dataset.plot(sample, suptitle="Test")
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "SIMULATED  Test"
    assert titles(figure) == ["Sentinel-2", "Sentinel-1", "Mask"]
    plt.close(figure)
    figure = dataset.plot(sample, show_titles=False)
    assert titles(figure) == ["", "", ""]
    plt.close(figure)
    sample["prediction"] = sample["mask"].clone()
    figure = dataset.plot(sample)
    assert titles(figure)[2:] == ["Mask", "Prediction"]
    plt.close(figure)
    del sample["mask"]
    figure = dataset.plot(sample)
    assert titles(figure)[2:] == ["Prediction"]
    plt.close(figure)


def test_a_plot_shows_the_legends_colours(store):
    dataset = NoldoDataset(store, bands=("VH", "VV"), seasons=(0,))
    sample = {"image": dataset[0]["image"], "mask": torch.full((48, 48), 6)}
    figure = dataset.plot(sample)
    assert titles(figure) == ["Sentinel-1", "Mask"]
    picture = figure.axes[1].get_images()[0].get_array()
    assert (np.asarray(picture) == (0xC4, 0x28, 0x1B)).all()
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["Built"]
    plt.close(figure)


def test_a_plot_without_colour_bands_says_so_in_torchgeos_words(store):
    dataset = NoldoDataset(store, bands=("B1", "VV"))
    with pytest.raises(torchgeo_datasets.RGBBandsMissingError):
        dataset.plot(dataset[0])


@pytest.mark.parametrize("name", ["training.torchgeo_dataset", "training.torchgeo_datamodule"])
def test_without_torchgeo_one_line_tells_what_to_install(monkeypatch, name):
    for hidden in ("torchgeo", "torchgeo.datasets", "torchgeo.datamodules"):
        monkeypatch.setitem(sys.modules, hidden, None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=f"{name} needs torchgeo, .* `pip install noldo"):
        importlib.import_module(name)
