"""OSM land use of the simulated Earth: what volunteers would have drawn of its true land.

Every mapped neighbourhood, a cell of a jittered lattice some hundred metres wide, has its own
diligence, offset and age: eager ones map nearly everything, lazy ones only water and towns; all its
objects are displaced together by some metres; and a few show what stood there before. Outlines are
generalised by a majority over 25 m. All of it is a function of seed and place alone.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.grid import PatchGrid, utm_epsg
from pipeline.legend import UNLABELLED, load_legend
from pipeline.simulator.landscape import survey
from pipeline.simulator.noise import lattice_hash, stable_hash, to_unit
from pipeline.simulator.polygon_painter import legend_palette
from pipeline.simulator.surfaces import surface_names

_STEP_M = 5.0
"""Resolution at which the map is drawn, metres."""

_NEIGHBOURHOOD_M = 350.0
_OFFSET_M = 5.0
"""Standard deviation of a neighbourhood's displacement in each direction, metres."""

_MOST_OFFSET_STEPS = 3
_OUTDATED_SHARE = 0.05
_MAJORITY_STEPS = 5
_MARGIN_STEPS = _MOST_OFFSET_STEPS + _MAJORITY_STEPS // 2
_COARSEST_PIXEL_M = 20.0
_RADII = 3.0


@dataclass(frozen=True, eq=False)
class _Mapping:
    """How each surface is mapped, by its number: class, share mapped, class that stood before."""

    osm_id: NDArray[np.uint8]
    mapped_share: NDArray[np.float32]
    former_osm_id: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Neighbourhoods:
    """Properties of the mapped neighbourhood of every pixel, each (rows, columns)."""

    laziness: NDArray[np.float32]
    columns_off: NDArray[np.int64]
    rows_off: NDArray[np.int64]
    outdated: NDArray[np.bool_]


class SimulatedOsmLayer:
    """Draws the layer in web mercator, as far out as its pixels are at most 20 m on the ground."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._colours = legend_palette()

    def paint(
        self, bounds: tuple[float, float, float, float], width: int, height: int
    ) -> NDArray[np.uint8]:
        """A window in EPSG:3857 (left, bottom, right, top) as (height, width, 3) RGB."""
        left, bottom, right, top = bounds
        lon, lat = _to_lonlat().transform((left + right) / 2, (bottom + top) / 2)
        pixel_m = (right - left) / width * math.cos(math.radians(lat))
        white = len(self._colours) - 1
        if pixel_m > _COARSEST_PIXEL_M or abs(lat) > 84.0:
            return np.full((height, width, 3), self._colours[white], np.uint8)
        x = left + (right - left) * (np.arange(width) + 0.5) / width
        y = top - (top - bottom) * (np.arange(height) + 0.5) / height
        epsg = utm_epsg(lon, lat)
        easting, northing = _from_mercator(epsg).transform(*np.meshgrid(x, y))
        grid = _drawing_grid(epsg, easting, northing)
        ids = simulated_land_use(grid, self._seed)
        columns = ((easting - grid.left) / grid.resolution).astype(np.int64)
        rows = ((grid.top - northing) / grid.resolution).astype(np.int64)
        return self._colours[np.minimum(ids[rows, columns], white)]


def simulated_land_use(grid: PatchGrid, seed: int) -> NDArray[np.uint8]:
    """Land use as it is drawn on the map.

    Args:
        grid: A window in a UTM zone with 5 m pixels whose corner is a multiple of 5 m.
        seed: Of the world.

    Returns:
        (rows, columns) uint8, ids of the legend ``osm_landuse``, 255 = not mapped.
    """
    wider = _grown(grid, _MARGIN_STEPS)
    surface = survey(wider, seed).surface
    places = _neighbourhoods(wider, seed)
    rows, columns = np.indices(surface.shape)
    rows = np.clip(rows + places.rows_off, 0, surface.shape[0] - 1)
    columns = np.clip(columns + places.columns_off, 0, surface.shape[1] - 1)
    seen = surface[rows, columns]
    mapping = _load_mapping()
    drawn = np.where(places.outdated, mapping.former_osm_id[seen], mapping.osm_id[seen])
    drawn = np.where(places.laziness < mapping.mapped_share[seen], drawn, UNLABELLED)
    inner = slice(_MARGIN_STEPS, -_MARGIN_STEPS)
    return _generalised(drawn.astype(np.uint8))[inner, inner]


def _drawing_grid(
    epsg: int, easting: NDArray[np.float64], northing: NDArray[np.float64]
) -> PatchGrid:
    left = math.floor(easting.min() / _STEP_M) * _STEP_M
    top = math.ceil(northing.max() / _STEP_M) * _STEP_M
    height = math.floor((top - northing.min()) / _STEP_M) + 1
    width = math.floor((easting.max() - left) / _STEP_M) + 1
    return PatchGrid(epsg, left, top, height, width, _STEP_M)


def _grown(grid: PatchGrid, steps: int) -> PatchGrid:
    return PatchGrid(
        grid.epsg,
        grid.left - steps * grid.resolution,
        grid.top + steps * grid.resolution,
        grid.height + 2 * steps,
        grid.width + 2 * steps,
        grid.resolution,
    )


def _neighbourhoods(grid: PatchGrid, seed: int) -> _Neighbourhoods:
    """The nearest site of a jittered lattice decides for a pixel."""
    x, y = grid.pixel_centres()
    home_column = np.floor(x / _NEIGHBOURHOOD_M).astype(np.int64)[None, :]
    home_row = np.floor(y / _NEIGHBOURHOOD_M).astype(np.int64)[:, None]
    salt = stable_hash(seed, "osm neighbourhood", grid.epsg)
    nearest = np.full(grid.shape, np.inf, np.float32)
    identity = np.zeros(grid.shape, np.uint64)
    for right in (-1, 0, 1):
        for up in (-1, 0, 1):
            site = lattice_hash(home_column + right, home_row + up, salt)
            east = (home_column + right + to_unit(site, 0)) * _NEIGHBOURHOOD_M - x[None, :]
            north = (home_row + up + to_unit(site, 1)) * _NEIGHBOURHOOD_M - y[:, None]
            distance = (east * east + north * north).astype(np.float32)
            identity = np.where(distance < nearest, site, identity)
            nearest = np.minimum(nearest, distance)
    return _described(identity, seed)


def _described(identity: NDArray[np.uint64], seed: int) -> _Neighbourhoods:
    traits = lattice_hash(identity, np.zeros(1, np.int64), stable_hash(seed, "osm traits"))
    radius = _OFFSET_M * np.minimum(_RADII, np.sqrt(-2.0 * np.log1p(-to_unit(traits, 0))))
    angle = 2.0 * np.pi * to_unit(traits, 1)
    return _Neighbourhoods(
        laziness=to_unit(traits, 2),
        columns_off=np.rint(radius * np.cos(angle) / _STEP_M).astype(np.int64),
        rows_off=np.rint(radius * np.sin(angle) / _STEP_M).astype(np.int64),
        outdated=to_unit(traits, 3) < _OUTDATED_SHARE,
    )


def _generalised(drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Majority over 5 x 5 steps; beyond the window nothing votes."""
    candidates = [*(row.id for row in load_legend("osm_landuse")), UNLABELLED]
    most = np.zeros(drawn.shape, np.uint8)
    winner = np.full(drawn.shape, UNLABELLED, np.uint8)
    for candidate in np.intersect1d(candidates, drawn):
        votes = _box_sum((drawn == candidate).astype(np.uint8))
        winner = np.where(votes > most, np.uint8(candidate), winner)
        most = np.maximum(most, votes)
    return winner


def _box_sum(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    reach = _MAJORITY_STEPS // 2
    padded = np.pad(plane, reach)
    height, width = plane.shape
    down = np.zeros((height, padded.shape[1]), np.uint8)
    total = np.zeros(plane.shape, np.uint8)
    for start in range(_MAJORITY_STEPS):
        down += padded[start : start + height]
    for start in range(_MAJORITY_STEPS):
        total += down[:, start : start + width]
    return total


@cache
def _load_mapping() -> _Mapping:
    with files("pipeline.simulator").joinpath("osm_mapping.csv").open() as table:
        rows = {row["surface"]: row for row in csv.DictReader(table)}
    ordered = [rows[name] for name in surface_names()]
    return _Mapping(
        osm_id=np.array([row["osm_id"] for row in ordered], np.uint8),
        mapped_share=np.array([row["mapped_share"] for row in ordered], np.float32),
        former_osm_id=np.array([row["former_osm_id"] for row in ordered], np.uint8),
    )


@cache
def _to_lonlat() -> Transformer:
    return Transformer.from_crs(3857, 4326, always_xy=True)


@cache
def _from_mercator(epsg: int) -> Transformer:
    return Transformer.from_crs(3857, epsg, always_xy=True)
