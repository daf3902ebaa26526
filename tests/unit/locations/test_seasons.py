"""Dates: one shift for all four, and half-open windows."""

import datetime as dt

import numpy as np
import pytest

from pipeline.locations.seasons import search_window, shifted_dates
from pipeline.settings.dataset import SeasonSettings

REFERENCE = SeasonSettings().reference_dates


@pytest.mark.parametrize("shift_days", [1, 10, 365])
def test_all_four_dates_move_back_together_by_less_than_the_limit(shift_days):
    streams = [np.random.default_rng(seed) for seed in range(3000)]
    shifts = set()
    for stream in streams:
        dates = shifted_dates(REFERENCE, shift_days, stream)
        (shift,) = {(before - after).days for before, after in zip(REFERENCE, dates, strict=True)}
        shifts.add(shift)
    assert shifts == set(range(shift_days))


def test_no_shift_keeps_the_reference_dates():
    assert shifted_dates(REFERENCE, 0, np.random.default_rng(0)) == REFERENCE


def test_the_window_is_half_open():
    start, end = search_window(dt.date(2021, 3, 20), 15)
    assert (start, end) == (dt.date(2021, 3, 5), dt.date(2021, 4, 4))
    assert (end - start).days == 30
