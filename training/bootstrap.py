"""How sure a score is: intervals from drawing the test tiles again, with replacement."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.score_rows import METRICS, scores_of

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
    draws_RT = np.random.default_rng(seed).multinomial(
        tiles, np.full(tiles, 1 / tiles), size=replicates
    )
    values = {metric: np.full((len(counts_of_seeds), replicates), np.nan) for metric in METRICS}
    for which, counts_TCC in enumerate(counts_of_seeds):
        if len(counts_TCC) != tiles:
            raise ValueError(f"{len(counts_TCC)} tiles of one seed, {tiles} of another")
        for replicate, draw_T in enumerate(draws_RT):
            drawn = np.flatnonzero(draw_T)
            confusion_CC = np.tensordot(draw_T[drawn], counts_TCC[drawn], axes=1)
            scores = scores_of(confusion_CC)
            for metric in METRICS:
                values[metric][which, replicate] = getattr(scores, metric)
    return {metric: _interval(values[metric].mean(0)) for metric in METRICS}


def _interval(means_R: NDArray[np.float64]) -> Interval:
    defined = means_R[~np.isnan(means_R)]
    if len(defined) == 0:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(defined, _TAILS)
    return Interval(float(low), float(high))
