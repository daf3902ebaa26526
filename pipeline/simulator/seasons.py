"""What the date adds to the landscape: green leaves, snow and ice."""

import datetime
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.landscape import Landscape
from pipeline.simulator.noise import uniform
from pipeline.simulator.surfaces import (
    PHASES,
    SNOW_LABEL,
    greenness,
    keeps_its_label_under_snow,
    labels,
    surface_names,
)

_COLDEST_DAY = 20
_SWING_PER_DEGREE = 0.19  # half the yearly range of the air temperature, kelvin per degree
_WEATHER_K = 2.0
_SNOW_BEGINS_C, _SNOW_COVERS_C = 0.0, -2.5
_LAKES_FREEZE_LATER_K = 4.0
_SNOW_SEEN_THROUGH_CANOPY = 0.35


@dataclass(frozen=True, eq=False)
class SeasonalState:
    """The landscape of a window on one day, each (rows, columns).

    Attributes:
        green: Share of green vegetation, 0 to 1.
        snow: Share of snow or ice seen from above, 0 to 1.
        label: True Dynamic World class.
    """

    green: NDArray[np.float32]
    snow: NDArray[np.float32]
    label: NDArray[np.uint8]


def state_on(landscape: Landscape, date: datetime.date, seed: int) -> SeasonalState:
    """The landscape on a day."""
    calendars = np.stack([greenness(date, lat) for lat in landscape.belts])
    green = calendars.ravel().take(landscape.calendar)
    green *= landscape.vigour
    label = labels().take(landscape.surface)
    departures = np.array([_departure(date, lat, seed) for lat in landscape.belts], np.float32)
    if landscape.warmth.min() + departures.min() > _SNOW_BEGINS_C:
        return SeasonalState(green, np.zeros_like(green), label)
    snow = _snow_cover(landscape, departures)
    canopy = keeps_its_label_under_snow().take(landscape.surface)
    label[(snow > 0.5) & ~canopy] = SNOW_LABEL
    green *= 1.0 - snow
    snow[canopy] *= _SNOW_SEEN_THROUGH_CANOPY
    return SeasonalState(green, snow, label)


def _snow_cover(landscape: Landscape, departures: NDArray[np.float32]) -> NDArray[np.float32]:
    belt = landscape.calendar // np.int32(len(surface_names()) * PHASES)
    temperature = landscape.warmth + departures.take(belt)
    temperature[labels().take(landscape.surface) == 0] += _LAKES_FREEZE_LATER_K
    cover = (_SNOW_BEGINS_C - temperature) / np.float32(_SNOW_BEGINS_C - _SNOW_COVERS_C)
    return np.clip(cover, 0.0, 1.0)


def _departure(date: datetime.date, lat: float, seed: int) -> float:
    """Temperature of the day less the mean of the year, kelvin."""
    day = date.timetuple().tm_yday
    phase = math.cos(2.0 * math.pi * (day - _COLDEST_DAY) / 365.25)
    weather = _WEATHER_K * (uniform(seed, "weather", date.year, day // 14) - 0.5)
    return weather - _SWING_PER_DEGREE * lat * phase
