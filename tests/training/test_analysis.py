"""Figures are drawn of the networks that evaluations kept, and of the encoders compared."""

import pandas as pd
import pytest
import yaml

from pipeline.errors import PipelineError
from pipeline.settings.evaluate import EvaluationKey
from pipeline.settings.tree import Settings
from tests.training.learnable_tiles import small_settings
from training.analysis import kept_evaluations, main, network_file, weights
from training.evaluate import evaluate, plan_evaluation


def settings_for(store, **changes):
    task = {"store": str(store)}
    return Settings(evaluate=small_settings(task=task, epochs=1, figure_samples=3, **changes))


@pytest.fixture(scope="module")
def finetuned(tile_store, tmp_path_factory):
    """Settings of one encoder, and the folder with its fine-tuned network."""
    settings = settings_for(
        tile_store, encoders_used=("random_s1",), modes=("finetuned",), label_fractions=(0.5,)
    )
    rows = tmp_path_factory.mktemp("rows")
    (key,) = kept_evaluations(settings, "tiny").values()
    evaluate(plan_evaluation(settings, key), network_file(rows, key))
    return settings, rows


def drawn(settings, folder, *arguments):
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    main([*map(str, arguments), "--settings", str(folder / "settings.yaml")])


def test_one_seed_and_all_labels_of_what_was_kept(tile_store):
    settings = settings_for(
        tile_store, seeds=(5, 3, 4), kept_seeds=(3, 4), label_fractions=(0.1, 0.5)
    )
    kept = kept_evaluations(settings, "tiny")
    assert {key.seed for key in kept.values()} == {3}
    assert {key.label_fraction for key in kept.values()} == {0.5}
    assert list(kept)[0] == "random_s2\nfrozen" and len(kept) == 4
    with pytest.raises(PipelineError, match="no seed of evaluate.seeds is in evaluate.kept_seeds"):
        kept_evaluations(settings_for(tile_store, seeds=(1,), kept_seeds=(0,)), "tiny")


def test_a_network_lies_beside_its_row(tmp_path):
    key = EvaluationKey("osm", "midF_s2", "frozen", 0.1, 3)
    expected = tmp_path / "osm" / "midF_s2" / "frozen_0.1_3.safetensors"
    assert network_file(tmp_path, key) == expected


def test_weights_are_compared_with_those_the_training_began_with(finetuned, tmp_path):
    settings, rows = finetuned
    drawn(settings, tmp_path, "weights", "--rows", rows, "--output", tmp_path / "weights")
    frame = pd.read_csv(tmp_path / "weights.csv")
    # The convolutions of a ResNet-18, shortcuts included; one epoch moves them a little.
    assert len(frame) == 20 and frame["layer"][0] == "conv1.weight"
    assert 0 < frame["divergence"].max() < 1
    assert (frame["task"] == "tiny").all() and (frame["encoder"] == "random_s1").all()
    assert b"SIMULATED data" in (tmp_path / "weights.svg").read_bytes()


def test_maps_show_every_kept_network(finetuned, tmp_path):
    settings, rows = finetuned
    arguments = ("--rows", rows, "--task", "tiny", "--output", tmp_path / "maps")
    drawn(settings, tmp_path, "maps", *arguments)
    frame = pd.read_csv(tmp_path / "maps.csv")
    assert frame["tile"].tolist() == [0, 1, 3, 4], "the third tile is empty"
    assert (frame["network"] == "random_s1\nfinetuned").all()


def test_the_variance_is_that_of_every_encoder(tile_store, tmp_path):
    arguments = ("--task", "tiny", "--output", tmp_path / "variance")
    drawn(settings_for(tile_store), tmp_path, "variance", *arguments)
    frame = pd.read_csv(tmp_path / "variance.csv")
    assert set(frame["encoder"]) == {"random_s2", "random_s1"} and set(frame["stage"]) == {
        *range(1, 6)
    }
    images = frame[(frame["level"] == "image") & (frame["stage"] == 5)]
    assert images.groupby("encoder")["components"].max().tolist() == [3, 3]
    assert images.groupby("encoder")["variance"].max().tolist() == pytest.approx([1, 1])


def test_figures_without_their_networks_name_the_remedy(tile_store, tmp_path):
    frozen = settings_for(tile_store, modes=("frozen",))
    with pytest.raises(PipelineError, match="add finetuned to evaluate.modes"):
        weights(frozen, tmp_path)
    with pytest.raises(PipelineError, match="no trained network .*evaluate.kept_seeds"):
        weights(settings_for(tile_store), tmp_path)
