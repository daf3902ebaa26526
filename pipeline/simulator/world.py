"""The true land cover of the simulated Earth, and the cache that makes asking for it cheap."""

import datetime
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SENTINEL2_LATTICE_M, SOUTHERN_FALSE_NORTHING_M, PatchGrid
from pipeline.simulator.landscape import Landscape, survey
from pipeline.simulator.seasons import SeasonalState, state_on

_Planes = TypeVar("_Planes", Landscape, SeasonalState)

PIXEL_M = 10.0
"""Resolution at which the land is surveyed, metres."""

_CACHE_MARGIN_M = SENTINEL2_LATTICE_M
_MAX_CACHED_PIXELS = 1_500_000
_MAX_CACHED_STATES = 8


@dataclass(frozen=True, eq=False)
class Scenery:
    """A window of the land on one day, on the 10 m lattice of a UTM zone.

    Attributes:
        grid: The pixels.
        landscape: What lasts.
        state: What the date adds.
    """

    grid: PatchGrid
    landscape: Landscape
    state: SeasonalState


def truth(grid: PatchGrid, date: datetime.date, seed: int) -> NDArray[np.uint8]:
    """True land cover at the pixel centres of a grid.

    Args:
        grid: Any grid in a UTM zone.
        date: The day; snow comes and goes.
        seed: Of the world.

    Returns:
        (rows, columns), Dynamic World ids 0 to 8.
    """
    if _on_lattice(grid):
        return scenery_around(grid, 0.0, date, seed).state.label.copy()
    return state_on(survey(grid, seed), date, seed).label


@dataclass(frozen=True)
class TruthPainter:
    """Paints the band ``label`` of the truth collection."""

    date: datetime.date
    seed: int

    def __call__(self, band: str, grid: PatchGrid) -> tuple[NDArray[np.uint8], None]:
        """The truth on a window."""
        return truth(grid, self.date, self.seed), None


def scenery_around(grid: PatchGrid, margin_m: float, date: datetime.date, seed: int) -> Scenery:
    """The whole 10 m pixels under a grid and a margin around it.

    Args:
        grid: A window in a UTM zone; its own pixels may be of any size and lie off the lattice.
        margin_m: Width of the margin, metres.
        date: The day.
        seed: Of the world.
    """
    wanted = _lattice_window(grid, margin_m, PIXEL_M)
    cached = _CACHE.covering(wanted, date, seed)
    top = round((cached.grid.top - wanted.top) / PIXEL_M)
    left = round((wanted.left - cached.grid.left) / PIXEL_M)
    rows, columns = slice(top, top + wanted.height), slice(left, left + wanted.width)
    return Scenery(
        wanted, _crop(cached.landscape, rows, columns), _crop(cached.state, rows, columns)
    )


class _SceneryCache:
    """The windows surveyed last; a request inside one of them costs no survey."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._landscapes: OrderedDict[tuple[int, PatchGrid], Landscape] = OrderedDict()
        self._states: OrderedDict[tuple[int, PatchGrid, datetime.date], SeasonalState]
        self._states = OrderedDict()

    def covering(self, wanted: PatchGrid, date: datetime.date, seed: int) -> Scenery:
        """A window that holds the wanted one, surveyed now or before."""
        with self._lock:
            grid = self._find(wanted, seed)
            landscape = self._landscapes.get((seed, grid)) if grid else None
            state = self._states.get((seed, grid, date)) if grid else None
        if grid is None or landscape is None:
            grid = _lattice_window(wanted, _CACHE_MARGIN_M, SENTINEL2_LATTICE_M)
            landscape = survey(grid, seed)
        if state is None:
            state = state_on(landscape, date, seed)
        with self._lock:
            self._remember(seed, grid, date, landscape, state)
        return Scenery(grid, landscape, state)

    def _find(self, wanted: PatchGrid, seed: int) -> PatchGrid | None:
        for key_seed, grid in reversed(self._landscapes):
            if key_seed == seed and _contains(grid, wanted):
                return grid
        return None

    def _remember(
        self,
        seed: int,
        grid: PatchGrid,
        date: datetime.date,
        landscape: Landscape,
        state: SeasonalState,
    ) -> None:
        self._landscapes[seed, grid] = landscape
        self._landscapes.move_to_end((seed, grid))
        self._states[seed, grid, date] = state
        self._states.move_to_end((seed, grid, date))
        pixels = sum(kept.height * kept.width for _, kept in self._landscapes)
        while pixels > _MAX_CACHED_PIXELS and len(self._landscapes) > 1:
            (_, dropped), _ = self._landscapes.popitem(last=False)
            pixels -= dropped.height * dropped.width
        while len(self._states) > _MAX_CACHED_STATES:
            self._states.popitem(last=False)


_CACHE = _SceneryCache()


def _lattice_window(grid: PatchGrid, margin_m: float, step: float) -> PatchGrid:
    """The 10 m grid of whole steps of the zone's lattice that covers a grid and a margin."""
    origin = SOUTHERN_FALSE_NORTHING_M if grid.epsg >= 32700 else 0.0
    left, bottom, right, top = grid.bounds
    west = math.floor((left - margin_m) / step) * step
    east = math.ceil((right + margin_m) / step) * step
    south = math.floor((bottom - origin - margin_m) / step) * step + origin
    north = math.ceil((top - origin + margin_m) / step) * step + origin
    height, width = round((north - south) / PIXEL_M), round((east - west) / PIXEL_M)
    return PatchGrid(grid.epsg, west, north, height, width, PIXEL_M)


def _on_lattice(grid: PatchGrid) -> bool:
    origin = SOUTHERN_FALSE_NORTHING_M if grid.epsg >= 32700 else 0.0
    aligned = grid.left % PIXEL_M == 0.0 and (grid.top - origin) % PIXEL_M == 0.0
    return grid.resolution == PIXEL_M and aligned


def _contains(outer: PatchGrid, inner: PatchGrid) -> bool:
    left, bottom, right, top = outer.bounds
    inner_left, inner_bottom, inner_right, inner_top = inner.bounds
    within = left <= inner_left and bottom <= inner_bottom and right >= inner_right
    return outer.epsg == inner.epsg and within and top >= inner_top


def _crop(planes: _Planes, rows: slice, columns: slice) -> _Planes:
    cut: dict[str, Any] = {
        name: value[rows, columns]
        for name, value in vars(planes).items()
        if isinstance(value, np.ndarray)
    }
    return replace(planes, **cut)
