"""Probes classify features as an independent computation does."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pipeline.errors import PipelineError
from pipeline.settings.evaluate import EncoderSettings, ProbeSettings
from pipeline.settings.tree import Settings
from tests.training.learnable_tiles import TEST, TRAIN, small_settings
from training.probe import (
    linear_probe,
    main,
    nearest_neighbours,
    probe,
    probe_rows,
    seeds_that_matter,
)

CLASSES = 3


@pytest.fixture(scope="module")
def clouds():
    """Features of three classes around three points, with columns of very different size."""
    draw = np.random.default_rng(0)
    labels = np.arange(90) % CLASSES
    centres = draw.normal(size=(CLASSES, 6))
    features = centres[labels] + draw.normal(0, 0.3, (90, 6))
    features[:, 5] = 7.0
    features *= np.array([1, 1e-3, 1e3, 1, 1, 1])
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def test_the_linear_probe_is_at_the_minimum(clouds):
    """Its answers are those of plain gradient descent on the same convex function."""
    features, labels = clouds
    found = linear_probe(features[:60], labels[:60], features[60:], CLASSES, 1e-2)
    scaled = features[:60].double()
    mean, std = scaled.mean(0), scaled.std(0, correction=0)
    std[std < 1e-6] = 1
    scaled = (scaled - mean) / std
    weights = torch.zeros(7, CLASSES, dtype=torch.float64, requires_grad=True)
    rows = torch.cat([scaled, torch.ones(60, 1)], 1)
    for _ in range(3000):
        loss = torch.nn.functional.cross_entropy(rows @ weights, labels[:60])
        loss = loss + 0.5e-2 * weights[:6].square().sum()
        (gradient,) = torch.autograd.grad(loss, weights)
        weights = (weights - 0.5 * gradient).detach().requires_grad_()
    test = (features[60:].double() - mean) / std
    expected = (torch.cat([test, torch.ones(30, 1)], 1) @ weights).argmax(1)
    assert torch.equal(found, expected)
    assert (found == labels[60:]).double().mean() > 0.9


def test_neighbours_vote(clouds):
    features, labels = clouds
    found = nearest_neighbours(features[:60], labels[:60], features[60:], CLASSES, 5)
    assert (found == labels[60:]).double().mean() > 0.9
    itself = nearest_neighbours(features, labels, features, CLASSES, 1)
    assert torch.equal(itself, labels)


def test_scores_without_meaning_are_at_chance():
    draw = torch.Generator().manual_seed(1)
    features = torch.randn(400, 8, generator=draw)
    labels = torch.randint(0, 4, (400,), generator=draw).numpy()
    rows = probe_rows(
        features[:200], labels[:200], features[200:], labels[200:], 4, ProbeSettings()
    )
    assert [row["classifier"] for row in rows] == ["linear", "knn5"]
    assert all(0.15 < row["oa"] < 0.35 for row in rows)


def test_features_that_are_no_numbers_are_refused():
    features = torch.full((4, 2), float("nan"))
    with pytest.raises(PipelineError, match="NaN or infinite"):
        probe_rows(features, np.zeros(4, int), features, np.zeros(4, int), 2, ProbeSettings())


@pytest.fixture(scope="module")
def probed(tile_store, tmp_path_factory):
    """The rows of the command for random weights of three seeds."""
    folder = tmp_path_factory.mktemp("probe")
    settings = Settings(
        evaluate=small_settings(probe={"store": str(tile_store), "label": "label", "neighbours": 1})
    )
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    output = folder / "probe.parquet"
    arguments = ("--settings", folder / "settings.yaml", "--encoder", "random_s1")
    main([*map(str, arguments), "--seeds", "0", "1", "--output", str(output)])
    return pd.read_parquet(output)


def test_a_probe_is_a_row_of_each_seed_and_classifier(probed):
    assert probed["seed"].tolist() == [0, 0, 1, 1]
    assert probed["classifier"].tolist() == ["linear", "knn1"] * 2
    # The test group has one empty tile and one without any label.
    assert (probed["train_tiles"] == TRAIN).all() and (probed["test_tiles"] == TEST - 2).all()
    assert (probed["classes"] == 9).all() and probed["simulated"].all()
    assert (probed["task"] == "tiles").all() and (probed["weights_sha256"] == "").all()
    hits = probed["oa"] * (TEST - 2)
    np.testing.assert_allclose(hits, hits.round(), atol=1e-9)


def test_only_random_weights_have_seeds(tile_store):
    settings = Settings(evaluate=small_settings())
    assert seeds_that_matter(settings, "random_s1", [4, 5]) == [4, 5]
    named = small_settings(encoders={"moco": EncoderSettings(weights="moco")}, encoders_used=())
    assert seeds_that_matter(Settings(evaluate=named), "moco", [4, 5]) == [4]


def test_probes_of_nothing_are_told():
    settings = Settings(evaluate=small_settings())
    with pytest.raises(PipelineError, match="evaluate.probe.store is null"):
        probe(settings, "random_s1", 0, torch.device("cpu"))
    settings = Settings(evaluate=small_settings(probe={"store": "x.zarr"}))
    with pytest.raises(PipelineError, match="no encoder 'none' in evaluate.encoders; known are ra"):
        probe(settings, "none", 0, torch.device("cpu"))
