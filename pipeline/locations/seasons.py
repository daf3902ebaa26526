"""When: the four dates of a location and the days searched around each."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pipeline.errors import PipelineError
from pipeline.locations.location import Location

Dates = tuple[dt.date, dt.date, dt.date, dt.date]
Window = tuple[dt.date, dt.date]


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


def search_window(date: dt.date, half_window_days: int) -> Window:
    """The days, in UTC, in which scenes are searched around a date.

    Half-open as in SSL4EO-S12's downloader: the day ``half_window_days`` after the date is the
    first one that no longer counts.
    Source: zhu-xlab/SSL4EO-S12, src/download_data/ssl4eo_s12_downloader.py, `get_period`.

    Returns:
        First day searched, day after the last one searched.
    """
    half = dt.timedelta(days=half_window_days)
    return date - half, date + half


def in_the_past(
    locations: Iterable[Location], half_window_days: int, today: dt.date
) -> Iterator[Location]:
    """Give the locations on, one by one, as long as all days to be searched are over.

    A scene that is still to come would look like one that the archive does not have, and the place
    would be rejected for good.

    Raises:
        PipelineError: A window of a location reaches into the future.
    """
    for location in locations:
        _, end = search_window(location.dates[-1], half_window_days)
        if end > today:
            raise PipelineError(
                f"scenes of location {location.location_id} would be searched until {end}, and "
                f"today is {today}; move seasons.reference_dates (or the dates of the table) back"
            )
        yield location
