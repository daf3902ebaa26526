"""Distances are those that others compute."""

import numpy as np
import pytest
import torch

from training.encoders.distances import (
    accumulated_variance,
    histogram_divergence,
    normal_divergence,
)


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
