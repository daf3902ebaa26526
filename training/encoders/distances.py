"""How far two trainings lie apart: distances of weights, of statistics, and spread of features."""

import numpy as np
from numpy.typing import NDArray

WEIGHT_BINS = 100
"""Bins of the histograms of weights (CromSS, analysis of fine-tuning)."""


def normal_divergence(
    mean_P: NDArray[np.float64],
    variance_P: NDArray[np.float64],
    mean_Q: NDArray[np.float64],
    variance_Q: NDArray[np.float64],
    floor: float = 1e-5,
) -> float:
    """Mean over channels of KL(P || Q) of normal distributions, in nats.

    KL = (ln(v_Q / v_P) + (v_P + (m_P - m_Q)^2) / v_Q - 1) / 2.

    Args:
        mean_P: Per channel, such as the running means of batch normalisation.
        variance_P: Per channel.
        mean_Q: Of the other layer.
        variance_Q: Of the other layer.
        floor: Added to variances, as batch normalisation does (PyTorch's eps).
    """
    first, second = variance_P + floor, variance_Q + floor
    divergence = np.log(second / first) + (first + (mean_P - mean_Q) ** 2) / second - 1
    return float(0.5 * divergence.mean())


def histogram_divergence(
    before: NDArray[np.float64], after: NDArray[np.float64], bins: int = WEIGHT_BINS
) -> float:
    """KL(before || after) of the histograms of two sets of numbers, in nats.

    The bins span both. One count is added to each, so that empty ones leave the divergence finite.
    """
    low = min(before.min(), after.min())
    high = max(before.max(), after.max())
    if low == high:
        return 0.0
    shares = []
    for values in (before, after):
        counts, _ = np.histogram(values, bins, (low, high))
        shares.append((counts + 1) / (counts.sum() + bins))
    return float((shares[0] * np.log(shares[0] / shares[1])).sum())


def accumulated_variance(features_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the variance in the first 1, 2, ... principal components, ascending to 1.

    Args:
        features_ND: One row a sample.

    Returns:
        min(N, D) shares; all NaN if nothing varies.
    """
    centred = features_ND - features_ND.mean(0)
    variance = np.linalg.svd(centred, compute_uv=False) ** 2
    total = variance.sum()
    if not total > 0:
        return np.full(len(variance), np.nan)
    accumulated: NDArray[np.float64] = np.cumsum(variance) / total
    return accumulated
