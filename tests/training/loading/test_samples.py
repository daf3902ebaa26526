"""Batches are what the store holds, whoever reads them, and in the promised order."""

import shutil

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import PipelineError, run_step
from tests.training.conftest import EMPTY, SAMPLES, VALIDATION, learnable_pixels, write_store
from training.loading.loader import WINDOW_SHARDS, EpochSampler, block_order, make_loader
from training.loading.samples import Draw, NolDataset, TileDataset


@pytest.fixture
def train(store):
    return NolDataset(store, "train", seed=5)


def test_splits_hold_the_valid_samples(store, train):
    assert train.samples.tolist() == [k for k in range(SAMPLES - VALIDATION) if k != EMPTY]
    assert train.ids[0] == "0000000" and len(train.ids) == len(train)
    assert len(NolDataset(store, "validation")) == VALIDATION


def test_batches_hold_the_stored_integers_of_the_drawn_season(train):
    batch = train.__getitems__([Draw(2, 11), Draw(2, 0), Draw(2, 4)])
    assert batch.epoch == 2
    for row, (sample, season) in enumerate(zip(batch.sample_B, batch.season_B, strict=True)):
        written = learnable_pixels(int(sample), int(season))
        for name in ("s1", "s2_10m", "s2_20m", "s2_60m"):
            found = batch.imagery[name][row].numpy()
            assert found.dtype == getattr(written, name).dtype
            np.testing.assert_array_equal(found, getattr(written, name))
        labels = [learnable_pixels(int(sample), t).label for t in range(4)]
        np.testing.assert_array_equal(batch.labels_BTHW[row], labels)


def test_seasons_depend_on_seed_epoch_and_sample_alone(store, train):
    places = list(range(len(train)))
    together = train.__getitems__([Draw(1, place) for place in places]).season_B
    alone = [int(train[Draw(1, place)].season_B) for place in places]
    assert together.tolist() == alone
    epochs = [train.__getitems__([Draw(e, p) for p in places]).season_B for e in range(6)]
    assert set(torch.cat(epochs).tolist()) == {0, 1, 2, 3}
    assert not torch.equal(together, train.__getitems__([Draw(2, p) for p in places]).season_B)
    other = NolDataset(store, "train", seed=6)
    assert not torch.equal(together, other.__getitems__([Draw(1, p) for p in places]).season_B)


def test_only_the_asked_modality_is_read(store):
    assert set(NolDataset(store, "train", ("s1",))[0].imagery) == {"s1"}
    assert "s1" not in NolDataset(store, "train", ("s2",))[0].imagery


def test_workers_read_the_same_batches(store, train):
    def batches(workers):
        sampler = EpochSampler(len(train), 4, seed=1, shards_N=train.shards)
        loader = make_loader(train, sampler, 4, workers)
        found = []
        for epoch in (0, 1):
            sampler.set_epoch(epoch)
            found += list(loader)
        return found

    here, elsewhere = batches(0), batches(2)
    assert len(here) == len(elsewhere) == 8
    for mine, theirs in zip(here, elsewhere, strict=True):
        assert mine.epoch == theirs.epoch
        assert torch.equal(mine.sample_B, theirs.sample_B)
        assert torch.equal(mine.season_B, theirs.season_B)
        assert torch.equal(mine.labels_BTHW, theirs.labels_BTHW)
        assert all(torch.equal(mine.imagery[k], theirs.imagery[k]) for k in mine.imagery)


def test_memory_serves_again_only_when_its_batch_is_gone(train):
    """More batches than blocks: those that are held keep their content, the others make room."""
    sampler = EpochSampler(len(train), 4, seed=1)
    held, copies = [], []
    loader = make_loader(train, sampler, 4, workers=1)
    for epoch in range(12):
        sampler.set_epoch(epoch)
        for number, batch in enumerate(loader):
            if number == 1:
                held.append(batch.imagery["s2_10m"][1:])
                copies.append(held[-1].clone())
    blocks = {tensor.data_ptr() for tensor in held}
    assert len(blocks) == len(held) == 12
    assert all(torch.equal(mine, copy) for mine, copy in zip(held, copies, strict=True))
    held.clear()
    seen = set()
    for epoch in range(12, 24):
        sampler.set_epoch(epoch)
        seen |= {batch.imagery["s1"].data_ptr() for batch in loader}
    assert len(seen) <= 16


@pytest.mark.parametrize("shards", [None, np.arange(103) // 5], ids=["global", "block"])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_share_the_joint_batches_of_one_process(shards, ranks):
    def batches(rank, ranks, earlier_epochs):
        sampler = EpochSampler(103, 12 // ranks, seed=2, rank=rank, ranks=ranks, shards_N=shards)
        for epoch in earlier_epochs:
            sampler.set_epoch(epoch)
            list(sampler)
        sampler.set_epoch(4)
        places = [draw.position for draw in sampler]
        assert len(places) == len(sampler)
        return np.array(places).reshape(-1, 12 // ranks)

    joint = batches(0, 1, earlier_epochs=range(4))
    shared = np.hstack([batches(rank, ranks, earlier_epochs=()) for rank in range(ranks)])
    assert len(joint) == 8
    np.testing.assert_array_equal(np.sort(shared, axis=1), np.sort(joint, axis=1))
    assert len(np.unique(joint)) == joint.size


def test_epochs_have_orders_of_their_own():
    sampler = EpochSampler(50, 5)
    first = list(sampler)
    sampler.set_epoch(1)
    assert [d.position for d in sampler] != [d.position for d in first]
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_blocks_visit_every_sample_once_in_another_order_each_epoch():
    shards = np.repeat(np.arange(40), 6)
    sampler = EpochSampler(240, 5, seed=4, shards_N=shards)

    def positions(epoch):
        sampler.set_epoch(epoch)
        return [draw.position for draw in sampler]

    first, second = positions(0), positions(1)
    assert sorted(first) == sorted(second) == list(range(240))
    assert first != second and positions(0) == first
    assert first[:48] != sorted(first[:48])


def test_blocks_stay_within_a_few_shards_at_a_time():
    shards = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 6))
    order = block_order(shards, np.random.default_rng(1))
    windows = shards[order].reshape(-1, 6 * WINDOW_SHARDS)
    assert [len(set(window)) for window in windows] == [WINDOW_SHARDS] * 5
    near = [len(set(shards[order[k : k + 12]])) for k in range(0, 240, 12)]
    assert np.mean(near) > 4  # and mixed inside
    assert set(windows[0]) != set(range(WINDOW_SHARDS))


def test_the_store_says_which_shard_a_sample_is_in(train):
    np.testing.assert_array_equal(train.shards, train.samples // 8)


def test_validation_visits_every_position_once_over_all_ranks():
    visited = [
        draw for rank in range(4) for draw in EpochSampler(10, 4, shuffle=False, rank=rank, ranks=4)
    ]
    assert sorted(draw.position for draw in visited) == list(range(10))
    assert {draw.epoch for draw in visited} == {0}


def test_labels_that_are_no_classes_are_named(tmp_path):
    def with_nine(sample, season):
        pixels = learnable_pixels(sample, season)
        if (sample, season) == (2, 1):
            pixels.label[3, 4] = 9
        return pixels

    store = write_store(tmp_path / "nol.zarr", with_nine, samples=6, validation=2, empty=())
    with pytest.raises(PipelineError, match="sample 2 has the label 9; labels are 0 to 8"):
        NolDataset(store, "train").__getitems__([0, 2])


def test_unlabelled_pixels_are_fine(tmp_path):
    def without_labels(sample, season):
        pixels = learnable_pixels(sample, season)
        pixels.label[:] = 255
        return pixels

    store = write_store(tmp_path / "nol.zarr", without_labels, samples=2, validation=1, empty=())
    assert (NolDataset(store, "train")[0].labels_BTHW == 255).all()


def test_a_split_without_samples_is_named(store):
    with pytest.raises(PipelineError, match="no valid sample in the split 'test', 23 in all of 24"):
        NolDataset(store, "test")


def test_a_store_that_was_copied_in_part_is_not_trained_on(store, tmp_path):
    shutil.copytree(store, tmp_path / "nol.zarr")
    lost = tmp_path / "nol.zarr/s2_20m/c/0/0/0/0/0"
    lost.unlink()
    with pytest.raises(PipelineError, match="s2_20m/c/0/0/0/0/0 is missing"):
        NolDataset(tmp_path / "nol.zarr", "train")
    assert len(NolDataset(tmp_path / "nol.zarr", "train", ("s1",)))
    shutil.copy(store / "s2_20m/c/0/0/0/0/0", lost)
    for number in (0, 1):
        (tmp_path / f"nol.zarr/label/c/{number}/0/0/0").unlink()
    with pytest.raises(PipelineError, match="label/c/0/0/0/0 is missing, one of 2 of 3 shards"):
        NolDataset(tmp_path / "nol.zarr", "train", ("s1",))


def test_a_shard_that_is_lost_during_a_run_is_not_read_as_nodata(store, tmp_path):
    shutil.copytree(store, tmp_path / "nol.zarr")
    train = NolDataset(tmp_path / "nol.zarr", "train", ("s1",))
    assert (train[0].imagery["s1"] > -32768).all()
    (tmp_path / "nol.zarr/s1/c/1/0/0/0/0").unlink()
    with pytest.raises(PipelineError, match="s1/c/1/0/0/0/0 is missing or empty"):
        train.__getitems__([Draw(0, position) for position in range(len(train))])


def test_any_chunks_of_any_reader_give_the_same_batch(store, train, tmp_path):
    path = tmp_path / "other.zarr"
    shutil.copytree(store, path)
    for name, chunks in (("s1", (2, 4, 2, 24, 24)), ("label", (1, 1, 48, 48))):
        values = zarr.open_array(store / name, mode="r")
        attributes = dict(values.attrs)
        shutil.rmtree(path / name)
        copy = zarr.create_array(
            path / name, shape=values.shape, dtype=values.dtype, chunks=chunks,
            dimension_names=values.metadata.dimension_names, attributes=attributes,
        )  # fmt: skip
        copy[:] = values[:]
    requests = [Draw(1, place) for place in (5, 1)]
    expected = train.__getitems__(requests)
    found = NolDataset(path, "train", seed=5).__getitems__(requests)
    assert torch.equal(found.imagery["s1"], expected.imagery["s1"])
    assert torch.equal(found.labels_BTHW, expected.labels_BTHW)


def test_tiles_are_samples_of_one_season(tiles):
    path, written = tiles
    dataset = TileDataset(path, "test")
    assert len(dataset) == 2
    batch = dataset.__getitems__([1, 0])
    np.testing.assert_array_equal(batch.imagery["s2"], written["s2"][[2, 0]])
    np.testing.assert_array_equal(batch.imagery["s1"], written["s1"][[2, 0]])
    np.testing.assert_array_equal(batch.labels_BTHW[:, 0], written["label"][[2, 0]])


def test_a_group_without_an_array_is_named(tiles):
    path, _ = tiles
    shutil.rmtree(path / "test" / "s1")
    with pytest.raises(PipelineError, match="has no array s1, which training on s1 and s2 needs"):
        TileDataset(path, "test")


class LostShards(Dataset):
    def __getitem__(self, _):
        raise PipelineError("shard 3 is missing; copy the store as a whole")


def test_an_error_of_a_worker_process_is_the_same_line(capsys):
    loader = DataLoader(LostShards(), sampler=[0], num_workers=1, multiprocessing_context="fork")
    with pytest.raises(SystemExit):
        run_step(lambda: list(loader))
    assert capsys.readouterr().err == "error: shard 3 is missing; copy the store as a whole\n"
