"""Whole runs: they learn, they leave what they promise, and they survive being killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from pipeline.errors import PipelineError, run_step
from tests.training.conftest import VALIDATION, learnable_pixels, tiny_plan, write_store
from training.cromss.networks import build_network, logits_by_modality
from training.cromss.objective import RunLoss
from training.encoders.export import read_encoder
from training.encoders.weight_files import read_checkpoint
from training.loading.batch import BatchPreparation
from training.loading.samples import NolDataset
from training.pretrain import main, pretrain
from training.run.checkpoints import read_training_state
from training.run.metric_table import read_metrics
from training.run.preflight import contracts_of
from training.run.sole_run import sole_run


def figures(plan, metric, split, modality="all", land_cover="all"):
    rows = read_metrics(plan.output / "metrics.parquet")
    wanted = (split, modality, land_cover, metric)
    return [r.value for r in rows if (r.split, r.modality, r.land_cover, r.metric) == wanted]


def final_state(plan):
    return read_training_state(plan.checkpoints / "last.ckpt")


def assert_same_state(found, expected):
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name
    for number, moments in expected["optimizer_states"][0]["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(found["optimizer_states"][0]["state"][number][name], tensor)
    assert found["plateau"] == expected["plateau"]
    assert found["global_step"] == expected["global_step"]
    assert found["callbacks"] == expected["callbacks"]


@pytest.fixture(scope="module")
def uninterrupted(store, tmp_path_factory):
    """Three epochs of mid fusion in one go, with the truth and the panels, shuffled by blocks."""
    truth = tmp_path_factory.mktemp("truth") / "truth.zarr"
    write_truth(store, truth)
    folder = tmp_path_factory.mktemp("uninterrupted")
    plan = tiny_plan(store, folder, truth_store=str(truth), panel_samples=2, shuffle="block")
    return plan, pretrain(plan)


def write_truth(store, path):
    """The labels of the store are the truth, but for a stripe."""
    labels = zarr.open_array(store / "label", mode="r")
    attributes = {"dataset_hash": zarr.open_group(store, mode="r").attrs["dataset_hash"]}
    group = zarr.create_group(path, attributes=attributes)
    truth = group.create_array("label", shape=labels.shape, chunks=labels.chunks, dtype="uint8")
    values = labels[:]
    values[..., :8] = np.where(values[..., :8] == 255, 255, (values[..., :8] + 1) % 4)
    truth[:] = values


def test_a_run_leaves_what_it_promises(uninterrupted):
    plan, encoders = uninterrupted
    made = {path.name for path in plan.output.iterdir()}
    assert {"run.json", "metrics.parquet", "curves.png", "panels", "checkpoints"} <= made
    assert list((plan.output / "tensorboard").glob("events*"))
    assert plan.title == f"{plan.name} (SIMULATED data)"
    assert replace(plan, attributes={"simulated": False}).title == plan.name
    pictures = sorted(path.name for path in (plan.output / "panels").iterdir())
    assert pictures == ["epoch-0000.png", "epoch-0002.png"]
    description = json.loads((plan.output / "run.json").read_text())
    assert description["recipe"]["crop"] == 32 and description["simulated"] is True
    assert description["store_hash"] == plan.attributes["dataset_hash"]
    assert [path.name for path in encoders] == ["s1.safetensors", "s2.safetensors"]


def test_exported_encoders_are_those_of_the_last_epoch(uninterrupted):
    plan, encoders = uninterrupted
    network = read_checkpoint(plan.checkpoints / "last.ckpt")
    for path in encoders:
        weights, description = read_encoder(path)
        trained = network.encoder_weights(description.contract.modality)
        assert weights.keys() == trained.keys()
        assert all(torch.equal(weights[name], trained[name]) for name in weights)
        assert description.epoch == 2 and description.run == "tiny"
    assert len(description.contract.bands) == 13
    statistics = plan.attributes["statistics"]["bands"]["train"]["all"]
    assert description.contract.mean[1] == pytest.approx(statistics["B2"]["mean"])


def test_every_epoch_is_in_the_table(uninterrupted):
    plan, _ = uninterrupted
    for metric in ("loss", "ratio", "ramp", "learning_rate", "samples_per_second"):
        assert len(figures(plan, metric, "train")) == 3
    for modality in ("s1", "s2"):
        assert np.isfinite(figures(plan, "segmentation", "train", modality)).all()
        for metric in ("oa", "aa", "miou", "mf1"):
            for split in ("validation", "truth"):
                assert len(figures(plan, metric, split, modality)) == 3
        for kind in ("segmentation", "consistency"):
            weights = figures(plan, f"{kind}_weight", "train", modality, "Trees")
            assert len(weights) == 3 and all(0 < weight <= 1 for weight in weights)
        assert len(figures(plan, "segmentation_weight_auroc", "truth", modality)) == 3
    assert figures(plan, "ramp", "train")[-1] == 1 and figures(plan, "ratio", "train")[-1] == 0.5


def test_truth_is_scored_apart_from_noisy_labels(uninterrupted):
    plan, _ = uninterrupted
    assert figures(plan, "oa", "truth", "s2") != figures(plan, "oa", "validation", "s2")


def start(plan):
    command = [
        *(sys.executable, "-m", "training.pretrain", "--run", "tiny"),
        *("--settings", str(plan.output / "settings.yaml")),
        *("--store", str(plan.store), "--output", str(plan.output)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def test_killed_in_mid_epoch_it_goes_on_to_the_same_weights(uninterrupted, store, tmp_path):
    expected, _ = uninterrupted
    plan = tiny_plan(store, tmp_path, shuffle="block")
    process = start(plan)
    while not (plan.checkpoints / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.15)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    stopped_at = final_state(plan)["global_step"]
    assert 0 < stopped_at < final_state(expected)["global_step"]
    # A worker instead of none makes no difference.
    pretrain(tiny_plan(store, tmp_path, workers=1, shuffle="block"))
    assert_same_state(final_state(plan), final_state(expected))
    assert figures(plan, "loss", "train") == figures(expected, "loss", "train")
    assert figures(plan, "oa", "validation", "s1") == figures(expected, "oa", "validation", "s1")


def test_a_finished_run_ends_at_once(uninterrupted):
    plan, encoders = uninterrupted
    before = final_state(plan)
    assert pretrain(plan) == encoders
    assert_same_state(final_state(plan), before)


def test_it_learns_eight_samples_by_heart(tmp_path):
    store = write_store(
        tmp_path / "nol.zarr",
        lambda sample, season: learnable_pixels(sample % 8, season),
        samples=16,
        validation=8,
        empty=(),
    )
    plan = tiny_plan(
        store, tmp_path / "out", batch_size=8, epochs=60, learning_rate=0.01, rotation_share=0.0,
        selection={"ramp_epochs": 10},
    )  # fmt: skip
    pretrain(plan)
    assert max(figures(plan, "oa", "validation", "s1")) >= 0.95
    assert max(figures(plan, "oa", "validation", "s2")) >= 0.95
    loss = figures(plan, "loss", "train")
    assert np.mean(loss[-5:]) < 0.5 * loss[0]


def test_a_loss_that_is_no_number_stops_the_run(store, tmp_path):
    plan = tiny_plan(store, tmp_path, learning_rate=1e30)
    with pytest.raises(PipelineError) as caught:
        pretrain(plan)
    message = str(caught.value)
    assert "is NaN or infinite in batch" in message and "stopped.ckpt" in message
    record = json.loads((plan.output / "stopped.json").read_text())
    assert len(record["ids"]) == 4 and record["ids"][0] in message
    assert [f"{sample:07d}" for sample in record["samples"]] == record["ids"]
    state = read_training_state(plan.checkpoints / "stopped.ckpt")
    assert all(value.isfinite().all() for name, value in weights_of(state))


def weights_of(state):
    """Trained weights; running statistics have seen the bad batch."""
    return [(n, v) for n, v in state["state_dict"].items() if "running" not in n]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "late", "bands": 9, "scaling": "clip2std_uint8"},
        {"model": "single_s1", "selection": {"enabled": False}},
        {"model": "single_s2", "smoothing": {"kind": "none"}, "accumulate": 2},
        {"selection": {"enabled": False}, "precision": "bf16-mixed"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_other_recipes_run(store, tmp_path, changes):
    plan = tiny_plan(store, tmp_path, epochs=1, **changes)
    encoders = pretrain(plan)
    assert [path.stem for path in encoders] == list(plan.run.modalities)
    assert np.isfinite(figures(plan, "loss", "train")).all()
    channels = {m: len(read_encoder(p)[1].contract.bands) for m, p in zip(
        plan.run.modalities, encoders, strict=True
    )}  # fmt: skip
    assert read_checkpoint(plan.checkpoints / "last.ckpt").channels == channels


def test_clean_tiles_are_scored(store, tiles, tmp_path):
    clean, _ = tiles
    plan = tiny_plan(store, tmp_path / "out", epochs=1, clean_store=str(clean))
    pretrain(plan)
    assert len(figures(plan, "miou", "clean", "s2")) == 1


def test_two_processes_train_one_network(store, tmp_path):
    plan = tiny_plan(store, tmp_path, epochs=1, devices=2, selection={"scope": "global"})
    process = start(plan)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert final_state(plan)["global_step"] == 2
    assert f"17 training and {VALIDATION} validation samples" in output
    assert output.count("epoch 1/1") == 1
    assert figures(plan, "loss", "validation") == [pytest.approx(saved_loss(plan), rel=1e-5)]


@torch.no_grad()
def saved_loss(plan):
    """Validation loss of the network in the last checkpoint, half of the samples at a time."""
    network = build_network(plan.run).eval()
    read_checkpoint(plan.checkpoints / "last.ckpt").load_into(network)
    samples = NolDataset(plan.store, "validation", seed=plan.seed)
    prepared = BatchPreparation(contracts_of(plan.run, plan.attributes), plan.run, plan.seed)
    losses = []
    for rank in range(2):
        stored = samples.__getitems__(range(rank, len(samples), 2))
        batch = prepared.evaluation_batch(stored)
        logits = logits_by_modality(network, batch.images)
        losses.append(float(RunLoss(plan.run, training=False)(logits, batch, 0).total))
    return np.mean(losses)


def test_the_command_ends_in_one_line(store, tmp_path, capsys):
    plan = tiny_plan(store, tmp_path)
    options = ["--settings", str(tmp_path / "settings.yaml"), "--store", str(store)]
    options += ["--run", "other", "--output", str(plan.output), "--max-epochs", "1"]
    with pytest.raises(SystemExit) as stopped:
        run_step(lambda: main(options))
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: there is no run 'other'") and error.count("\n") == 1


def test_the_command_leaves_a_run_that_trains_to_the_one_that_trains_it(store, tmp_path):
    plan = tiny_plan(store, tmp_path)
    options = ["--settings", str(tmp_path / "settings.yaml"), "--store", str(store)]
    options += ["--run", plan.name, "--output", str(plan.output)]
    with sole_run(plan.output, {}), pytest.raises(PipelineError, match="another process trains"):
        main(options)
    assert not plan.checkpoints.exists()
