"""Network inputs are the stored pixels, scaled, with one geometry for all."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._pytree import tree_map_only

from pipeline.settings.pretrain import PretrainRun
from pipeline.store.reader import as_cube, open_store
from training.cromss.smoothing import smoothing_prior
from training.loading.augment import Geometry
from training.loading.batch import BatchPreparation, assemble_cube
from training.loading.inputs import InputScaling, band_names
from training.loading.samples import Draw, NolDataset
from training.run.preflight import contracts_of, usable_attributes

RUN = PretrainRun(crop=32)


def preparation(store, run=RUN):
    return BatchPreparation(contracts_of(run, usable_attributes(store, run)), run, seed=7)


def stored_batch(store, epoch=1, places=range(8)):
    return NolDataset(store, "train").__getitems__([Draw(epoch, place) for place in places])


@pytest.mark.parametrize("method", ["nearest", "bicubic"])
@pytest.mark.parametrize("bands", [9, 13])
def test_the_cube_is_that_of_the_reader(store, method, bands):
    stored = stored_batch(store, places=[3])
    names = band_names("s2", bands)
    cube = assemble_cube(stored.imagery, names, (48, 48), method)
    expected = as_cube(open_store(store), method)[int(stored.sample_B), int(stored.season_B)]
    np.testing.assert_allclose(
        cube[0].numpy(), expected.sel(band_s2=list(names)), rtol=2e-5, atol=0.05
    )


def test_a_stored_cube_is_taken_as_it_is():
    cube = torch.arange(13).to(torch.uint16).view(1, 13, 1, 1).expand(1, 13, 4, 4)
    found = assemble_cube({"s2": cube}, ("B2", "B8A", "B12"), (4, 4), "bicubic")
    assert found[0, :, 0, 0].tolist() == [1, 8, 12]


def test_validation_sees_whole_frames_of_the_chosen_season(store):
    stored = stored_batch(store)
    prepared = preparation(store)
    batch = prepared.evaluation_batch(stored)
    decibel = stored.imagery["s1"].float() * 0.01
    expected = InputScaling(prepared.contracts["s1"])(decibel)
    torch.testing.assert_close(batch.images["s1"], expected)
    rows = torch.arange(8)
    assert torch.equal(batch.labels_BHW, stored.labels_BTHW[rows, stored.season_B])
    assert batch.prior_BCHW is None
    assert batch.images["s2"].is_contiguous(memory_format=torch.channels_last)
    assert 0.3 < float(batch.images["s2"].mean()) < 0.7


def test_training_gives_image_labels_and_prior_one_geometry(store):
    stored = stored_batch(store)
    prepared = preparation(store)
    batch = prepared.training_batch(stored)
    whole = prepared.evaluation_batch(stored)
    geometry = Geometry.draw(stored.sample_B, (48, 48), 32, seed=7, epoch=1)
    for modality in ("s1", "s2"):
        torch.testing.assert_close(batch.images[modality], geometry.warp(whole.images[modality]))
    assert torch.equal(batch.labels_BHW, geometry.warp_labels(whole.labels_BHW))
    # The prior is blurred on the full frame: what lies beyond the crop counts.
    prior = smoothing_prior(stored.labels_BTHW, stored.season_B, 9)
    torch.testing.assert_close(batch.prior_BCHW, geometry.warp(prior))


@pytest.mark.parametrize("kind", ["none", "uniform"])
def test_no_prior_where_none_is_asked_for(store, kind):
    run = PretrainRun(crop=32, smoothing={"kind": kind})
    assert preparation(store, run).training_batch(stored_batch(store)).prior_BCHW is None


def test_epochs_differ_and_repeat_themselves(store):
    prepared = preparation(store)
    first = prepared.training_batch(stored_batch(store))
    again = prepared.training_batch(stored_batch(store))
    later = prepared.training_batch(stored_batch(store, epoch=2))
    assert torch.equal(first.images["s2"], again.images["s2"])
    assert not torch.equal(first.images["s2"], later.images["s2"])


def test_nothing_of_the_preparation_is_read_back_to_the_host(store):
    """A fake accelerator has no values: reading one, or a shape that depends on one, raises."""
    prepared = preparation(store)
    stored = stored_batch(store)
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = tree_map_only(torch.Tensor, lambda t: torch.empty_like(t, device="cuda"), stored)
        batch = prepared.to("cuda").training_batch(fake)
        assert batch.images["s2"].device.type == batch.prior_BCHW.device.type == "cuda"
        with pytest.raises(DataDependentOutputException):
            batch.prior_BCHW.sum().item()


def test_a_single_modality_needs_no_other(store):
    run = PretrainRun(model="single_s1", crop=32)
    stored = NolDataset(store, "train", ("s1",)).__getitems__([0, 1])
    assert set(preparation(store, run).training_batch(stored).images) == {"s1"}
