import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from tests.training.released import FLOAT32_LIMIT, FLOAT64_LIMIT, assert_close, vectors
from training.cromss.smoothing import NO_LABEL, one_hot, smooth_labels, smoothing_prior

NUM_CLASSES = 9


def prior_of(labels_BTHW, season, kind, **options):
    season_B = torch.full((labels_BTHW.shape[0],), season)
    return smoothing_prior(labels_BTHW, season_B, NUM_CLASSES, kind, **options)


def scipy_prior(labels_THW: np.ndarray, season: int, kind: str, sigma: float = 3.0) -> np.ndarray:
    """One sample as the paper words it: blur, then normalise, then the mean of the two."""
    one_hot_TCHW = (labels_THW[:, None] == np.arange(NUM_CLASSES)[:, None, None]).astype(float)

    def blurred(maps_CHW):
        smooth = np.stack([gaussian_filter(m, sigma, mode="reflect", truncate=4) for m in maps_CHW])
        return smooth / smooth.sum(0)

    spatial, temporal = blurred(one_hot_TCHW[season]), blurred(one_hot_TCHW.mean(0))
    both = (spatial + temporal) / 2
    return {"spatial": spatial, "temporal": temporal, "spatiotemporal": both}[kind]


@pytest.mark.parametrize(
    ("kind", "season", "name"),
    [
        ("temporal", 0, "prior_t"),
        ("spatial", 2, "prior_s_2"),
        ("spatiotemporal", 0, "prior_ts_0"),
        ("spatiotemporal", 2, "prior_ts_2"),
    ],
)
def test_prior_equals_the_released_one(kind, season, name):
    released = vectors("smoothing")
    assert_close(prior_of(released["labels"], season, kind), released[name], FLOAT32_LIMIT)


def test_prior_equals_the_released_one_in_float64():
    released = vectors("smoothing")
    for season in range(4):
        prior = prior_of(released["labels"][:1], season, "spatial", dtype=torch.float64)
        assert_close(prior[0], released["prior_s_f64"][season], FLOAT64_LIMIT)


def test_a_map_smaller_than_the_radius_is_folded_as_released():
    released = vectors("smoothing")
    labels_BTHW = released["small_label"][None, None]
    prior = prior_of(labels_BTHW, 0, "spatial", dtype=torch.float64)
    assert_close(prior[0], released["small_prior_f64"], FLOAT64_LIMIT)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**31), st.data())
def test_batched_prior_equals_scipy_sample_by_sample(height, width, seasons, seed, data):
    kind = data.draw(st.sampled_from(["spatial", "temporal", "spatiotemporal"]))
    sigma = data.draw(st.sampled_from([0.7, 3.0, 5.0]))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, NUM_CLASSES, (3, seasons, height, width), dtype=np.uint8)
    season_B = rng.integers(0, seasons, 3)
    batch = smoothing_prior(
        torch.from_numpy(labels), torch.from_numpy(season_B), NUM_CLASSES, kind, sigma
    )
    for sample in range(3):
        expected = scipy_prior(labels[sample], season_B[sample], kind, sigma)
        assert np.abs(batch[sample].numpy() - expected).max() < 1e-6


def test_missing_labels_carry_no_mass_and_pixels_sum_to_one():
    labels = torch.full((1, 4, 48, 48), 2, dtype=torch.uint8)
    labels[:, :, :, 24:] = NO_LABEL
    prior = prior_of(labels, 1, "spatiotemporal")
    torch.testing.assert_close(prior.sum(1), torch.ones(1, 48, 48))
    assert torch.all(prior[0, 2, :, :36] > 0.9999)
    torch.testing.assert_close(prior[0, :, :, 36:], torch.full((9, 48, 12), 1 / 9))


def test_autocast_does_not_round_the_prior():
    labels = vectors("smoothing")["labels"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = prior_of(labels, 0, "spatial")
    assert torch.equal(inside, prior_of(labels, 0, "spatial"))


def test_smoothed_labels_equal_the_released_ones():
    released = vectors("smoothing")
    labels, prior = released["smoothed_y"], released["prior_ts_2"][:2]
    both = smooth_labels(labels, NUM_CLASSES, prior, 0.15, 0.05)
    assert_close(both, released["smoothed_015_005"], FLOAT64_LIMIT)
    prior_only = smooth_labels(labels, NUM_CLASSES, prior, 0.2, 0.0)
    assert_close(prior_only, released["smoothed_020"], FLOAT64_LIMIT)
    uniform = smooth_labels(labels, NUM_CLASSES, None, uniform_weight=0.2)
    assert_close(uniform, released["smoothed_020_noprior"], FLOAT64_LIMIT)


def test_without_smoothing_the_target_is_the_one_hot_label_and_zero_where_there_is_none():
    labels = torch.tensor([[[0, 8, NO_LABEL]]], dtype=torch.uint8)
    target = smooth_labels(labels, NUM_CLASSES, None, 0.0, 0.0)
    assert torch.equal(target, one_hot(labels, NUM_CLASSES).float())
    assert target.sum(1).tolist() == [[[1.0, 1.0, 0.0]]]
    smoothed = smooth_labels(labels, NUM_CLASSES, torch.full((1, 9, 1, 3), 1 / 9))
    torch.testing.assert_close(smoothed.sum(1), target.sum(1))


def test_an_unknown_prior_is_named():
    with pytest.raises(ValueError, match="'seasonal'"):
        prior_of(torch.zeros(1, 4, 8, 8, dtype=torch.uint8), 0, "seasonal")
