"""When the scenes were taken: dates by season, time between the sensors, cloud."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Histogram:
    """Counts between edges.

    Attributes:
        edges: (bins + 1,) ascending.
        counts: (bins,).
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Acquisitions:
    """The scenes of the kept samples of one store.

    Attributes:
        store: Its name.
        months: Scenes of Sentinel-2 by (season, month), the months counted over all years; one row
            where there is one date only.
        first: Day of the first Sentinel-2 scene, ISO 8601.
        last: Day of the last.
        gap_days: Time of Sentinel-1 minus that of Sentinel-2, in days, a bin a day.
        gap_median: Median of its absolute value, days.
        gap_longest: Largest absolute value, days.
        within_three_days: Share of the pairs at most three days apart.
        cloud: Cloud cover of the Sentinel-2 scenes, percent.
        cloud_mean: Mean, percent.
        cloud_largest: Largest, percent.
    """

    store: str
    months: tuple[tuple[int, ...], ...]
    first: str
    last: str
    gap_days: Histogram
    gap_median: float
    gap_longest: float
    within_three_days: float
    cloud: Histogram
    cloud_mean: float
    cloud_largest: float

    @property
    def scenes(self) -> int:
        """Pairs of scenes counted."""
        return sum(sum(row) for row in self.months)


def acquisitions(
    store: str, s2_time: NDArray[Any], s1_time: NDArray[Any], cloud_cover: NDArray[Any]
) -> Acquisitions | None:
    """Count the scenes of the kept samples.

    Args:
        store: Name.
        s2_time: (samples, seasons) datetime64 of Sentinel-2.
        s1_time: Likewise of Sentinel-1.
        cloud_cover: (samples, seasons) percent.

    Returns:
        None if no scene is on record.
    """
    known = ~np.isnat(s2_time)
    if not known.any():
        return None
    month = s2_time.astype("datetime64[M]").astype(np.int64) % 12
    months = tuple(
        tuple(np.bincount(month[known[:, season], season], minlength=12).tolist())
        for season in range(s2_time.shape[1])
    )
    days = np.sort(s2_time[known].astype("datetime64[D]"))
    both = known & ~np.isnat(s1_time)
    gaps = (s1_time[both] - s2_time[both]) / _DAY
    cloud = cloud_cover[known & np.isfinite(cloud_cover)]
    return Acquisitions(
        store,
        months,
        str(days[0]),
        str(days[-1]),
        _histogram(gaps, 1.0),
        float(np.median(np.abs(gaps))) if gaps.size else 0.0,
        float(np.abs(gaps).max()) if gaps.size else 0.0,
        float((np.abs(gaps) <= 3).mean()) if gaps.size else 0.0,
        _histogram(cloud, 2.0),
        float(cloud.mean()) if cloud.size else 0.0,
        float(cloud.max()) if cloud.size else 0.0,
    )


def _histogram(values: NDArray[Any], width: float) -> Histogram:
    """Counts in bins of one width whose edges are multiples of it."""
    if not values.size:
        return Histogram((0.0, width), (0,))
    first = np.floor(values.min() / width)
    last = max(np.floor(values.max() / width) + 1, first + 1)
    edges = np.arange(first, last + 1) * width
    counts, _ = np.histogram(values, edges)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))
