"""What cannot be trained is refused with one line, before anything is trained."""

import json
import shutil

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.store.create import read_attributes, replace_attributes
from tests.training.conftest import learnable_pixels, tiny_plan, tiny_settings, write_store
from training.pretrain import pretrain
from training.run.checkpoints import IDENTITY, last_checkpoint
from training.run.plan import plan_run


@pytest.fixture
def copy(store, tmp_path):
    return shutil.copytree(store, tmp_path / "copy.zarr")


def refused(store, tmp_path, message, **changes):
    with pytest.raises(PipelineError, match=message) as caught:
        pretrain(tiny_plan(store, tmp_path / "out", **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_missing_store(tmp_path):
    refused(tmp_path / "nothing.zarr", tmp_path, "there is no store at")


def test_unknown_run(store, tmp_path):
    with pytest.raises(PipelineError, match="no run 'midf' in pretrain.runs; known are tiny"):
        plan_run(tiny_settings().pretrain, "midf", 0, store, tmp_path)


def test_missing_array(copy, tmp_path):
    shutil.rmtree(copy / "s2_60m")
    refused(copy, tmp_path, "has no array s2_60m, which training on s1 and s2 needs")


def test_missing_bands(copy, tmp_path):
    metadata = json.loads((copy / "s2_60m" / "zarr.json").read_text())
    metadata["shape"][2] = 2
    (copy / "s2_60m" / "zarr.json").write_text(json.dumps(metadata))
    refused(copy, tmp_path, r"has 2 bands in s2_60m .*, expected B1, B9, B10")


def test_bands_in_another_order(copy, tmp_path):
    bands = read_attributes(copy)["bands"]
    bands["s1"].reverse()
    replace_attributes(copy, {"bands": bands})
    refused(copy, tmp_path, r"in s1 \(VH, VV\), expected VV, VH")


def test_backscatter_in_other_steps(copy, tmp_path):
    metadata = json.loads((copy / "s1" / "zarr.json").read_text())
    metadata["attributes"]["scale_factor"] = 0.1
    (copy / "s1" / "zarr.json").write_text(json.dumps(metadata))
    refused(copy, tmp_path, "holds s1 in steps of 0.1, expected 0.01")


def test_absent_statistics(copy, tmp_path):
    replace_attributes(copy, {"statistics": None})
    refused(copy, tmp_path, "has no statistics of its training samples; run `snakemake build_nol`")


def test_statistics_without_a_band(copy, tmp_path):
    statistics = read_attributes(copy)["statistics"]
    del statistics["bands"]["train"]["all"]["B8A"]
    replace_attributes(copy, {"statistics": statistics})
    refused(copy, tmp_path, "no mean and std of s2 B8A")


def test_foreign_labels(tmp_path):
    def with_cloud_class(sample, season):
        pixels = learnable_pixels(sample, season)
        pixels.label[0, :5] = 10
        return pixels

    store = write_store(tmp_path / "nol.zarr", with_cloud_class, samples=6, validation=2, empty=())
    refused(store, tmp_path, "80 pixels in train whose label is neither 0 to 8 nor 255")


def test_no_valid_sample(tmp_path):
    store = write_store(tmp_path / "nol.zarr", samples=6, validation=2, empty=range(6))
    refused(store, tmp_path, "has no statistics of its training samples")


def test_no_validation_sample(tmp_path):
    store = write_store(tmp_path / "nol.zarr", samples=6, validation=0, empty=())
    refused(store, tmp_path, "no valid sample in the split 'validation', 6 in all of 6")


def test_batch_larger_than_the_training_set(store, tmp_path):
    refused(store, tmp_path, r"a batch of 18 samples .* the training set of 17", batch_size=18)
    message = r"a batch of 18 samples \(batch_size 9 on 2 devices\)"
    refused(store, tmp_path, message, batch_size=9, devices=2)


def test_more_devices_than_samples_to_score(store, tiles, tmp_path):
    few = "6 validation samples are too few for 7 devices"
    refused(store, tmp_path, few, batch_size=1, devices=7)
    few = "2 clean tiles are too few for 3 devices"
    refused(store, tmp_path, few, batch_size=1, devices=3, clean_store=str(tiles[0]))


def test_crop_larger_than_the_patch(store, tmp_path):
    refused(store, tmp_path, "crops of 64 pixels do not fit patches of 48 x 48", crop=64)


def test_truth_of_another_store(store, copy, tmp_path):
    replace_attributes(copy, {"dataset_hash": "another"})
    refused(store, tmp_path, "are not those of", truth_store=str(copy))
    refused(store, tmp_path, "no store of true labels", truth_store=str(tmp_path / "nothing"))


def test_clean_store_without_labels(store, tmp_path):
    refused(store, tmp_path, "no labels in the group 'test'", clean_store=str(store))


def test_weights_and_biases_without_its_package(store, tmp_path):
    pytest.importorskip("lightning")
    try:
        import wandb  # noqa: F401
    except ImportError:
        refused(store, tmp_path, "wandb is not installed", wandb_project="noldo")


def test_half_precision_without_a_gpu(store, tmp_path):
    refused(store, tmp_path, "precision 16-mixed needs a GPU", precision="16-mixed")


def test_unknown_encoder(store, tmp_path):
    refused(store, tmp_path, "no network can be built on the encoder 'resnet5'", encoder="resnet5")


def test_more_gpus_than_there_are(store, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    message = "2 GPUs were asked for and 1 are visible; lower `devices`"
    refused(store, tmp_path, message, accelerator="gpu", devices=2)


def checkpoint_of(folder, state):
    folder.mkdir(parents=True)
    torch.save(state, folder / "last.ckpt")


def test_checkpoint_of_another_model(store, tmp_path):
    plan = tiny_plan(store, tmp_path / "out")
    checkpoint_of(plan.checkpoints, {IDENTITY: plan.identity | {"model": "late"}})
    with pytest.raises(PipelineError, match=r"another model or recipe \(model 'late' -> 'mid'\)"):
        pretrain(plan)


def test_checkpoint_that_is_none_of_ours(tmp_path):
    checkpoint_of(tmp_path / "foreign", {"state_dict": {}})
    with pytest.raises(PipelineError, match="no checkpoint of a run of ours"):
        last_checkpoint(tmp_path / "foreign", {}, 3)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "last.ckpt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(PipelineError, match="cannot be read"):
        last_checkpoint(tmp_path / "damaged", {}, 3)
    assert last_checkpoint(tmp_path / "empty", {}, 3) is None


def test_a_longer_run_may_go_on_from_a_shorter_one_and_not_the_other_way(store, tmp_path):
    short = tiny_plan(store, tmp_path / "out", epochs=3)
    checkpoint_of(short.checkpoints, {IDENTITY: short.identity, "epoch": 2})
    longer = tiny_plan(store, tmp_path / "out", epochs=9, workers=2)
    found = last_checkpoint(longer.checkpoints, longer.identity, longer.run.epochs)
    assert found == short.checkpoints / "last.ckpt"
    with pytest.raises(PipelineError, match="trained for 3 epochs, and 2 are asked for"):
        pretrain(tiny_plan(store, tmp_path / "out", epochs=2))
