"""When: the four dates of a location and the days searched around each."""

import datetime as dt
from collections.abc import Sequence

import numpy as np

Dates = tuple[dt.date, dt.date, dt.date, dt.date]


def shifted_dates(
    reference_dates: Sequence[dt.date], shift_days: int, stream: np.random.Generator
) -> Dates:
    """Move the four reference dates back together by one random number of days.

    The shift is uniform over 0 ... ``shift_days - 1``; no shift where ``shift_days`` is 0.
    Source: SSL4EO-S12, Wang et al. 2023, section III, and its downloader (``randint(365)``).
    """
    shift = dt.timedelta(days=int(stream.integers(max(shift_days, 1))))
    first, second, third, fourth = (date - shift for date in reference_dates)
    return first, second, third, fourth


def search_window(date: dt.date, half_window_days: int) -> tuple[dt.date, dt.date]:
    """The days in which scenes are searched around a date.

    Half-open as in SSL4EO-S12's downloader: the day ``half_window_days`` after the date is the
    first one that no longer counts.

    Returns:
        First day searched, day after the last one searched.
    """
    half = dt.timedelta(days=half_window_days)
    return date - half, date + half
