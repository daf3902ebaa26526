"""How sure a score is: intervals from drawing the test tiles again, with replacement."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.scores.rows import METRICS

_TAILS = (2.5, 97.5)
"""Percentiles that a 95 % interval lies between."""


class Interval(NamedTuple):
    """Where a score would lie in 95 of 100 draws of as many tiles."""

    low: float
    high: float


def bootstrap_intervals(
    counts_of_seeds: Sequence[NDArray[np.int64]], replicates: int, seed: int = 0
) -> dict[str, Interval]:
    """Percentile intervals (Efron 1979) of the mean over seeds, tiles being the unit drawn.

    A tile is drawn for all seeds at once: the seeds were scored on the same tiles. Pixels would be
    the wrong unit, since neighbours are alike.

    Args:
        counts_of_seeds: For each seed (T, C, C), pixels by label and prediction, of the same tiles.
        replicates: How many draws.
        seed: Of the draws.

    Returns:
        An interval for each of `METRICS`; NaN where there is nothing to score.
    """
    tiles = len(counts_of_seeds[0])
    # Whole numbers of pixels are exact in float64, whose product is forty times as fast.
    draws_RT = (
        np.random.default_rng(seed)
        .multinomial(tiles, np.full(tiles, 1 / tiles), size=replicates)
        .astype(np.float64)
    )
    values = {metric: np.full((len(counts_of_seeds), replicates), np.nan) for metric in METRICS}
    for which, counts_TCC in enumerate(counts_of_seeds):
        if len(counts_TCC) != tiles:
            raise ValueError(f"{len(counts_TCC)} tiles of one seed, {tiles} of another")
        drawn_RCC = np.tensordot(draws_RT, counts_TCC.astype(np.float64), axes=1)
        for metric, means_R in mean_scores(drawn_RCC).items():
            values[metric][which] = means_R
    return {metric: _interval(values[metric].mean(0)) for metric in METRICS}


def mean_scores(confusion_RCC: NDArray[np.int64 | np.float64]) -> dict[str, NDArray[np.float64]]:
    """`METRICS` of many confusion matrices at once, as `training.scores.metrics` defines them.

    Args:
        confusion_RCC: Pixels by label and prediction, R times.

    Returns:
        (R,) by metric; NaN where there is nothing to score.
    """
    hit_RC = np.einsum("rcc->rc", confusion_RCC).astype(np.float64)
    labelled_RC = confusion_RCC.sum(2).astype(np.float64)
    predicted_RC = confusion_RCC.sum(1).astype(np.float64)
    return {
        "oa": _ratio(hit_RC.sum(1), labelled_RC.sum(1)),
        "aa": _mean_of_defined(_ratio(hit_RC, labelled_RC)),
        "miou": _mean_of_defined(_ratio(hit_RC, labelled_RC + predicted_RC - hit_RC)),
        "mf1": _mean_of_defined(_ratio(2 * hit_RC, labelled_RC + predicted_RC)),
    }


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def _mean_of_defined(values_RC: NDArray[np.float64]) -> NDArray[np.float64]:
    return _ratio(np.nansum(values_RC, 1), (~np.isnan(values_RC)).sum(1).astype(np.float64))


def _interval(means_R: NDArray[np.float64]) -> Interval:
    defined = means_R[~np.isnan(means_R)]
    if len(defined) == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(defined, _TAILS)
    return Interval(float(low), float(high))
