"""Figures show what an independent computation finds, as data and as pictures."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.legend import load_legend
from tests.training.conftest import tiny_plan
from tests.training.learnable_tiles import small_plan, tile, write_tile_store
from training.downstream.trained_network import read_network_weights
from training.encoders.distances import (
    accumulated_variance,
    histogram_divergence,
    normal_divergence,
)
from training.encoders.figures import variance_figure, variance_rows, weight_divergence
from training.evaluate import build_network, evaluate
from training.maps.figure_files import write_figure
from training.maps.map_figure import map_figure
from training.pretrain import pretrain
from training.run.figures import selection_panels, statistics_divergence, statistics_figure


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return write_tile_store(tmp_path_factory.mktemp("tiles") / "tiles.zarr")


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    """Two runs of two epochs, each epoch kept."""
    folder = tmp_path_factory.mktemp("runs")
    plans = {}
    for name, ratio in (("one", 0.5), ("other", 1.0)):
        plan = tiny_plan(store, folder / name, epochs=2, selection={"ratio": ratio})
        settings = plan.settings.model_copy(update={"checkpoint_every": 1})
        plan = type(plan)(**{**vars(plan), "settings": settings})
        pretrain(plan)
        plans[name] = plan
    return plans


def test_the_divergence_of_normals_is_that_of_torch():
    draw = np.random.default_rng(0)
    mean_P, mean_Q = draw.normal(size=(2, 7))
    variance_P, variance_Q = draw.uniform(0.5, 2, size=(2, 7))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(torch.tensor(mean_P), torch.tensor(variance_P).sqrt()),
        torch.distributions.Normal(torch.tensor(mean_Q), torch.tensor(variance_Q).sqrt()),
    ).mean()
    found = normal_divergence(mean_P, variance_P, mean_Q, variance_Q, floor=0)
    assert found == pytest.approx(float(expected))
    assert normal_divergence(mean_P, variance_P, mean_P, variance_P) == 0


def test_the_divergence_of_histograms_grows_with_the_distance():
    draw = np.random.default_rng(1)
    before = draw.normal(size=20_000)
    apart = [histogram_divergence(before, before + shift) for shift in (0, 0.2, 1)]
    assert apart[0] == 0 and 0 < apart[1] < apart[2]
    # KL of two normals of variance 1 is half the squared distance of their means.
    assert apart[1] == pytest.approx(0.02, rel=0.3)
    assert histogram_divergence(np.zeros(4), np.zeros(4)) == 0


def test_variance_accumulates_as_the_eigenvalues_do():
    features = np.random.default_rng(2).normal(size=(50, 6)) * np.arange(1, 7)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(features.T)))[::-1]
    expected = np.cumsum(eigenvalues) / eigenvalues.sum()
    np.testing.assert_allclose(accumulated_variance(features), expected)
    assert np.isnan(accumulated_variance(np.ones((5, 3)))).all()


def test_finetuning_shows_in_the_weights_and_freezing_does_not(tiles, tmp_path):
    divergences = {}
    for mode in ("finetuned", "frozen"):
        plan = small_plan(tiles, mode=mode)
        evaluate(plan, tmp_path / "network.safetensors")
        torch.manual_seed(plan.key.seed)
        before = build_network(plan)[0].encoder.state_dict()
        after, _ = read_network_weights(tmp_path / "network.safetensors")
        frame = weight_divergence(before, after)
        # The convolutions of a ResNet-18, shortcuts included.
        assert len(frame) == 20 and frame["layer"][0] == "conv1.weight"
        divergences[mode] = frame["divergence"]
    assert (divergences["frozen"] == 0).all() and divergences["finetuned"].max() > 0


def test_statistics_of_two_runs_differ_more_than_those_of_one(runs):
    folders = {name: plan.output for name, plan in runs.items()}
    frame = statistics_divergence(folders)
    assert set(frame["epoch"]) == {0, 1} and set(frame["modality"]) == {"s1", "s2"}
    assert (frame["divergence"] >= 0).all() and frame["divergence"].max() > 0
    alone = statistics_divergence({"a": folders["one"], "b": folders["one"]})
    assert (alone["divergence"] == 0).all() and len(alone) == len(frame)
    assert statistics_figure(frame).axes
    with pytest.raises(PipelineError, match="no two of the runs one"):
        statistics_divergence({"one": folders["one"]})


def test_selection_panels_say_whom_a_run_trusts(runs, store):
    plan = runs["one"]
    frame, figure = selection_panels(plan.output, plan.run, store, plan.seed, 3)
    assert frame["sample"].nunique() == 3 and set(frame["kind"]) == {"segmentation", "consistency"}
    assert frame["mean_weight"].between(0, 1).all() and (frame["pixels"] > 0).all()
    assert len(figure.axes) == 3 * (3 + 2 + 4)
    whole = frame[(frame["kind"] == "segmentation") & (frame["modality"] == "s1")]
    assert whole.groupby("sample")["pixels"].sum().eq(48 * 48).all()
    single = plan.run.model_copy(update={"model": "single_s1"})
    with pytest.raises(PipelineError, match="one modality"):
        selection_panels(plan.output, single, store, 0, 3)


def test_maps_lie_side_by_side(tiles, tmp_path):
    networks = {}
    for encoder in ("random_s1", "random_s2"):
        networks[encoder] = tmp_path / f"{encoder}.safetensors"
        evaluate(small_plan(tiles, encoder, epochs=1), networks[encoder])
    task = small_plan(tiles).task
    frame, figure = map_figure(tiles, task, (0, 1, 99), networks)
    assert frame["tile"].tolist() == [0, 1, 0, 1]
    assert len(figure.axes) == 2 * 4
    shares = frame.filter(like="share.").sum(axis=1)
    np.testing.assert_allclose(shares, 1)
    label_panel = figure.axes[1].images[0].get_array()
    label = tile("test", 0)["label"]
    assert (label_panel[label == 255] == 0).all()
    legend = {row.id: row.rgb for row in load_legend("dynamic_world")}
    for number in set(label.flatten()) - {255}:
        assert tuple(label_panel[label == number][0]) == legend[number]


def test_every_figure_is_data_and_two_pictures(tmp_path):
    stages = [(torch.randn(9, 4), torch.randn(40, 4)), (torch.randn(9, 8), torch.randn(40, 8))]
    frame = pd.DataFrame(variance_rows("random", stages))
    assert len(frame) == 4 + 4 + 8 + 8
    for which in ("first", "again"):
        files = write_figure(tmp_path / which, frame, variance_figure(frame))
        assert [file.suffix for file in files] == [".csv", ".png", ".svg"]
        pd.testing.assert_frame_equal(pd.read_csv(files[0]), frame)
        assert Image.open(files[1]).size[0] > 300 and b"<svg" in files[2].read_bytes()
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert b"SIMULATED" not in files[2].read_bytes()
    files = write_figure(tmp_path / "marked", frame.assign(simulated=True), variance_figure(frame))
    assert b"SIMULATED data" in files[2].read_bytes()
