"""The kinds of surface of which the simulated land is made, and how green they are when."""

import datetime
import math
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.tables import read_table

PHASES = 16
"""Variants of a surface's calendar; neighbouring fields are sown and cut on different days."""

SNOW_LABEL = 8
"""Dynamic World class of snow and ice, which no surface has by itself."""

_TROPIC = 23.5
_DAYS_BETWEEN_PHASES = 2.6
_TROPICAL_DAYS_BETWEEN_PHASES = 18.0
_HALF_YEAR = 182.6
_YEAR = 365.25
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CULTIVATED = ("winter_crop", "summer_crop", "oil_crop", "fodder", "fallow")


@cache
def surface_id(name: str) -> int:
    """Number of a surface of ``surfaces.csv``."""
    return surface_names().index(name)


@cache
def surface_names() -> tuple[str, ...]:
    """Names in the order of their numbers."""
    return tuple(row["surface"] for row in read_table("surfaces.csv"))


@cache
def labels() -> NDArray[np.uint8]:
    """Dynamic World class of each surface."""
    return np.array([int(row["label"]) for row in read_table("surfaces.csv")], np.uint8)


@cache
def keeps_its_label_under_snow() -> NDArray[np.bool_]:
    """Surfaces that stand out of the snow: woods and buildings."""
    return np.isin(labels(), (1, 6))


@lru_cache(maxsize=256)
def greenness(date: datetime.date, lat: float) -> NDArray[np.float32]:
    """How green every variant of every surface is on a day, 0 to 1.

    The calendar of ``phenology.csv`` is that of the northern temperate zone; the south is half a
    year later. Towards the equator wild plants keep their mean all year round and fields are sown
    in any month.

    Returns:
        (surfaces, `PHASES`).
    """
    share = min(1.0, abs(lat) / _TROPIC)
    step = share * _DAYS_BETWEEN_PHASES + (1.0 - share) * _TROPICAL_DAYS_BETWEEN_PHASES
    day = date.timetuple().tm_yday + (_HALF_YEAR if lat < 0.0 else 0.0)
    days = day + (np.arange(PHASES) - PHASES / 2.0) * step
    calendars = {row["phenology"]: row for row in read_table("phenology.csv")}
    curves = []
    for row in read_table("surfaces.csv"):
        name = row["phenology"]
        monthly = np.array([float(calendars[name][month]) for month in _MONTHS])
        middles = (np.arange(12) + 0.5) * _YEAR / 12.0
        curve = np.interp(days % _YEAR, middles, monthly, period=_YEAR)
        swing = 1.0 if name in _CULTIVATED else math.sqrt(share)
        curves.append(monthly.mean() + (curve - monthly.mean()) * swing)
    return np.array(curves, np.float32)
