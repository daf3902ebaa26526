"""Evaluations score what an independent computation scores, and change nothing they must not."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
import zarr
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_jaccard_index,
)

from pipeline.errors import PipelineError
from pipeline.fingerprints import file_sha256
from pipeline.settings.evaluate import EncoderSettings, EvaluationKey
from pipeline.settings.tree import Settings
from tests.training.learnable_tiles import (
    EMPTY,
    SIZE,
    TEST,
    small_plan,
    small_settings,
    tile,
)
from tests.training.published import published_file, settings_for
from training.downstream.finetune import score_tiles
from training.downstream.tile_batch import TileInputs
from training.downstream.trained_network import read_network
from training.encoders.table import find_entry
from training.evaluate import build_network, evaluate, plan_evaluation, task_tiles
from training.loading.samples import TileDataset
from training.scores.rows import read_row, write_row

NUM_CLASSES = 9
VALID = [sample for sample in range(TEST) if sample != EMPTY]


def test_scores_are_those_of_torchmetrics(tile_store, tmp_path):
    row = evaluate(small_plan(tile_store), tmp_path / "network.safetensors")
    network, description = read_network(tmp_path / "network.safetensors")
    inputs = TileInputs(description.contract)
    labels = torch.from_numpy(np.stack([tile("test", sample)["label"] for sample in VALID])).long()
    cubes = torch.from_numpy(np.stack([tile("test", sample)["s2"] for sample in VALID]))
    with torch.no_grad():
        predicted = network(inputs({"s2": cubes}, (SIZE, SIZE))).argmax(1)
    options = {"num_classes": NUM_CLASSES, "ignore_index": 255}
    found = row.columns
    micro = multiclass_accuracy(predicted, labels, average="micro", **options)
    assert found["oa"] == pytest.approx(float(micro), abs=1e-6)
    present = sorted(set(labels[labels != 255].tolist()))
    recall = multiclass_accuracy(predicted, labels, average="none", **options)[present].mean()
    assert found["aa"] == pytest.approx(float(recall), abs=1e-6)
    seen = sorted(set(present) | set(predicted[labels != 255].tolist()))
    overlap = multiclass_jaccard_index(predicted, labels, average="none", **options)[seen]
    assert found["miou"] == pytest.approx(float(overlap.mean()), abs=1e-6)
    f1 = multiclass_f1_score(predicted, labels, average="none", **options)[seen]
    assert found["mf1"] == pytest.approx(float(f1.mean()), abs=1e-6)
    assert np.isnan(found["iou.snow_and_ice"]) == (8 not in seen)


def test_two_devices_score_what_one_does(tile_store, tmp_path):
    """Seven tiles in batches of one: the devices do not have equally many."""
    settings = small_settings(
        epochs=1, devices=2, task={"store": str(tile_store), "test_batch_size": 1, "head": "pspnet"}
    )
    values = {"evaluate": settings.model_dump(mode="json")}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(values))
    kept, file = tmp_path / "network.safetensors", tmp_path / "row.parquet"
    command = [
        *(sys.executable, "-m", "training.evaluate", "--settings", tmp_path / "settings.yaml"),
        *("--task", "tiny", "--encoder", "random_s2", "--mode", "frozen", "--seed", "0"),
        *("--output", file, "--network", kept),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    row, (network, description) = read_row(file), read_network(kept)
    data = TileDataset(tile_store, "test", ("s2",))
    alone = score_tiles(
        network, TileInputs(description.contract), data, NUM_CLASSES, 4, torch.device("cpu")
    )
    assert np.array_equal(row.counts_TCC, alone.numpy()) and len(VALID) % 2 == 1
    labelled = [int((tile("test", sample)["label"] != 255).sum()) for sample in VALID]
    assert row.counts_TCC.sum((1, 2)).tolist() == labelled
    assert row.facts["encoder_depth"] == 3


def test_one_process_does_not_pass_for_two(tile_store, monkeypatch):
    """A job of Slurm without srun has one task, which would train with half of the batch."""
    for name in ("SLURM_NTASKS", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "1")
    for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("MASTER_PORT", "0")  # any that is free
    try:
        with pytest.raises(PipelineError, match="devices is 2, but the batch system started 1 pro"):
            evaluate(small_plan(tile_store, devices=2))
    finally:
        torch.distributed.destroy_process_group()


def test_names_that_do_not_exist_are_said_with_those_that_do(tile_store):
    settings = Settings(evaluate=small_settings(task={"store": str(tile_store)}))
    key = EvaluationKey("other", "random_s2", "frozen", 1.0, 0)
    with pytest.raises(PipelineError, match="no task 'other' in evaluate.tasks; known are tiny"):
        plan_evaluation(settings, key)
    key = key._replace(task="tiny", encoder="none")
    with pytest.raises(PipelineError, match="no encoder 'none' in .* random_s2, random_s1"):
        plan_evaluation(settings, key)


@pytest.mark.parametrize("head", ["fpn", "pspnet", "deeplabv3plus"])
def test_frozen_leaves_every_number_of_the_encoder(tile_store, tmp_path, head):
    plan = small_plan(tile_store, mode="frozen", task={"head": head})
    torch.manual_seed(plan.key.seed)
    evaluate(plan, tmp_path / "network.safetensors")
    after, _ = read_network(tmp_path / "network.safetensors")
    torch.manual_seed(plan.key.seed)
    before, _ = build_network(plan)
    trained = after.encoder.state_dict()
    for name, tensor in before.encoder.state_dict().items():
        assert torch.equal(tensor, trained[name]), name
    assert not torch.equal(before.segmentation_head[0].weight, after.segmentation_head[0].weight)


def test_finetuning_moves_the_encoder(tile_store, tmp_path):
    plan = small_plan(tile_store)
    evaluate(plan, tmp_path / "network.safetensors")
    after, _ = read_network(tmp_path / "network.safetensors")
    torch.manual_seed(plan.key.seed)
    before, _ = build_network(plan)
    assert not torch.equal(before.encoder.conv1.weight, after.encoder.conv1.weight)


def test_it_learns(tile_store):
    plan = small_plan(
        tile_store,
        "random_s1",
        epochs=10,
        learning_rate=5e-3,
        rotation_share=0,
        task={"crop": None, "head": "unet"},
    )
    assert evaluate(plan).columns["oa"] > 0.6


def test_a_row_comes_back_from_its_file(tile_store, tmp_path):
    row = evaluate(small_plan(tile_store, fraction=0.5, seed=3))
    write_row(tmp_path / "row.parquet", row)
    found = read_row(tmp_path / "row.parquet")
    assert found.key == row.key and found.facts == row.facts and found.classes == row.classes
    assert np.array_equal(found.counts_TCC, row.counts_TCC) and found.tiles.tolist() == VALID
    assert found.facts["train_tiles"] == 5 and found.facts["simulated"] is True
    assert found.facts["store_hash"] == "abcdef0123456789" and found.facts["device"] == "cpu"


def test_smaller_fractions_are_part_of_larger_ones(tile_store):
    drawn = [
        set(task_tiles(small_plan(tile_store, fraction=fraction))[0].samples.tolist())
        for fraction in (0.2, 0.5, 1.0)
    ]
    assert [len(tiles) for tiles in drawn] == [2, 5, 10]
    assert drawn[0] < drawn[1] < drawn[2]
    other = task_tiles(small_plan(tile_store, fraction=0.5, seed=1))[0].samples
    assert set(other.tolist()) != drawn[1]


def test_the_hash_follows_what_decides_the_scores(tile_store):
    first = small_plan(tile_store).settings_hash
    assert small_plan(tile_store, task={"test_batch_size": 1}).settings_hash == first
    assert small_plan(tile_store, workers=2).settings_hash == first
    assert small_plan(tile_store, epochs=3).settings_hash != first
    assert small_plan(tile_store, task={"crop": 40}).settings_hash != first


def test_a_row_says_which_bytes_its_weights_are(tile_store, tmp_path):
    entry = find_entry("moco", "s1")
    settings = settings_for(entry, published_file(entry, tmp_path))
    plan = replace(
        small_plan(tile_store, "random_s1", epochs=1, weights=settings, task={"head": "pspnet"}),
        encoder=EncoderSettings(weights="moco", modality="s1"),
        weights="moco",
    )
    facts = evaluate(plan).facts
    assert facts["weights_sha256"] == file_sha256(tmp_path / "moco.pth")
    assert facts["weights"] == "moco" and facts["encoder_depth"] == 3


def test_tiles_without_any_label_are_no_scores(tile_store, tmp_path):
    """They would be NaN, and look in a table as if nothing had been evaluated."""
    store = shutil.copytree(tile_store, tmp_path / "tiles.zarr")
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(store / "test" / "label", mode="r+")[:] = 255
    with pytest.raises(PipelineError, match="no tile of the group 'test' of .* has a label in la"):
        evaluate(small_plan(store, epochs=1))


def test_mistakes_end_in_one_line(tile_store):
    # A million epochs: it is said before the training, not after it.
    with pytest.raises(PipelineError, match="the labels of .* have 9 classes, the task says 13"):
        evaluate(small_plan(tile_store, epochs=10**6, task={"num_classes": 13}))
    with pytest.raises(PipelineError, match="1 training tiles for 1 processes"):
        evaluate(small_plan(tile_store, fraction=0.1))
