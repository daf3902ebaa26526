"""What Sentinel-1 sees: backscatter of the land with the speckle of coherent light."""

import datetime
import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from pipeline.grid import PatchGrid
from pipeline.simulator.noise import lattice_hash, stable_hash, uniform
from pipeline.simulator.scenes import half_planes, inside_half_planes
from pipeline.simulator.surfaces import surface_names
from pipeline.simulator.tables import read_table
from pipeline.simulator.world import PIXEL_M, Scenery, scenery_around

Plane = NDArray[np.float32]

LOOKS = 4.4
"""Equivalent number of looks of IW GRD high resolution: ESA Sentinel-1 product specification."""

_CO_POLARISED = {"VV": "VV", "HH": "VV", "VH": "VH", "HV": "VH"}
_TABLE_BITS = 12
_TONE_DB = 5.0
_SLOPE_DB = 8.5
_WIND_DB = (-2.5, 4.5)
_WETNESS_DB = 1.2
_BORDER_NOISE_UNTIL = datetime.date(2018, 3, 14)
_BORDER_NOISE_M = 3_000.0
_BORDER_NOISE_DB = -42.0
_NEAR_AND_FAR_ANGLE = (30.5, 46.0)


@dataclass(frozen=True)
class BackscatterPainter:
    """Paints the bands of one GRD scene, sigma nought in decibels, and the incidence angle.

    Attributes:
        date: Sensing day.
        seed: Of the world.
        salt: Of the scene.
        descending: Whether the radar looks westwards (True) or eastwards.
        outline: Valid data of the scene in its zone.
    """

    date: datetime.date
    seed: int
    salt: int
    descending: bool
    outline: Polygon

    def __call__(self, band: str, grid: PatchGrid) -> tuple[NDArray[np.floating], None]:
        """A band on a window of the scene's grid."""
        if band == "angle":
            return self._incidence_angle(grid), None
        fine = _refined(grid)
        scenery = scenery_around(fine, PIXEL_M, self.date, self.seed)
        power = _between_pixels(self._power(band, scenery), scenery.grid, fine)
        power = _means(power, round(grid.resolution / PIXEL_M))
        power *= self._speckle(band, grid)
        decibels = 10.0 * np.log10(power)
        if self.date < _BORDER_NOISE_UNTIL:
            core = half_planes(self.outline.buffer(-_BORDER_NOISE_M, join_style="mitre"))
            border = ~inside_half_planes(core, grid)
            decibels[border] += np.float32(_BORDER_NOISE_DB) - decibels[border] * 0.9
        return decibels.astype(np.float64), None

    def _power(self, band: str, scenery: Scenery) -> Plane:
        """Mean backscatter of the 10 m pixels, linear."""
        table = _tables()[_CO_POLARISED[band]]
        land, state = scenery.landscape, scenery.state
        offsets = self._weather(len(table.dormant))
        dormant = (table.dormant + offsets).take(land.surface)
        green = (table.green + table.water * offsets).take(land.surface)
        decibels = dormant + (green - dormant) * state.green
        decibels += (table.snow - decibels) * (0.7 * state.snow)
        decibels += (land.tone - 1.0) * _TONE_DB
        towards = -land.east if self.descending else land.east
        decibels += _SLOPE_DB * np.clip(towards, -0.6, 0.7)
        return np.exp2(np.ascontiguousarray(decibels) * np.float32(math.log2(10.0) / 10.0))

    def _weather(self, surfaces: int) -> Plane:
        """Wind on water and moisture of the bare soil on that day, decibels per surface."""
        low, high = _WIND_DB
        wind = low + (high - low) * uniform(self.salt, "wind") ** 1.5
        wet = _WETNESS_DB * (2.0 * uniform(self.salt, "wet") - 1.0)
        water = _tables()["VV"].water
        return np.where(water > 0.0, wind, wet).astype(np.float32)[:surfaces]

    def _speckle(self, band: str, grid: PatchGrid) -> Plane:
        """Multiplicative gamma noise of mean 1, correlated between neighbours as in GRD.

        Pixels of 10 m are finer than the resolution of about 20 m: each is the mean of four
        independent draws, two of which it shares with each neighbour.
        """
        columns = np.arange(grid.width + 1) + math.floor(grid.left / grid.resolution)
        rows = np.arange(grid.height + 1) - math.floor(grid.top / grid.resolution)
        salt = stable_hash(self.salt, _CO_POLARISED[band])
        draws = _table_position(lattice_hash(columns[None, :], rows[:, None], salt))
        cells = _gamma_quantiles().take(draws)
        pairs = cells[:-1] + cells[1:]
        return (pairs[:, :-1] + pairs[:, 1:]) * np.float32(0.25)

    def _incidence_angle(self, grid: PatchGrid) -> NDArray[np.float32]:
        left, _, right, _ = self.outline.bounds
        x, _ = grid.pixel_centres()
        share = np.clip((x - left) / (right - left), 0.0, 1.0)
        near, far = _NEAR_AND_FAR_ANGLE
        across = far - share * (far - near) if self.descending else near + share * (far - near)
        return np.broadcast_to(across.astype(np.float32), grid.shape)


@dataclass(frozen=True, eq=False)
class _Table:
    """One polarisation of ``backscatter.csv``, decibels per surface."""

    dormant: Plane
    green: Plane
    water: Plane
    snow: float


def _table_position(hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """The upper bits of hashes as positions in a table of quantiles."""
    return (hashes >> np.uint64(64 - _TABLE_BITS)).astype(np.intp)


@cache
def _gamma_quantiles() -> Plane:
    """Equally likely values of a gamma distribution of mean 1 and variance 4 / `LOOKS`.

    Numerical inversion of the distribution function; the mean of four of them has `LOOKS` looks.
    """
    shape = LOOKS / 4.0
    values = np.linspace(0.0, 16.0, 400_001)[1:]
    density = values ** (shape - 1.0) * np.exp(-shape * values)
    cumulated = np.cumsum(density)
    middles = (np.arange(2**_TABLE_BITS) + 0.5) / 2**_TABLE_BITS
    quantiles = np.interp(middles, cumulated / cumulated[-1], values)
    return (quantiles / quantiles.mean()).astype(np.float32)


def _refined(grid: PatchGrid) -> PatchGrid:
    """The same ground in 10 m pixels."""
    factor = round(grid.resolution / PIXEL_M)
    return replace(grid, height=grid.height * factor, width=grid.width * factor, resolution=PIXEL_M)


def _between_pixels(power: Plane, lattice: PatchGrid, grid: PatchGrid) -> Plane:
    """Power at pixels that lie off the lattice, bilinear; the offset is the same for all."""
    right, down = (grid.left - lattice.left) / PIXEL_M, (lattice.top - grid.top) / PIXEL_M
    column, row = math.floor(right), math.floor(down)
    weight_right, weight_down = np.float32(right - column), np.float32(down - row)
    power = power[row : row + grid.height + 1, column : column + grid.width + 1]
    rows = power[:-1] + (power[1:] - power[:-1]) * weight_down
    return rows[:, :-1] + (rows[:, 1:] - rows[:, :-1]) * weight_right


def _means(plane: Plane, factor: int) -> Plane:
    if factor == 1:
        return plane
    rows, columns = plane.shape[0] // factor, plane.shape[1] // factor
    return (
        plane.reshape(rows, factor, columns, factor)
        .mean(axis=(1, 3), dtype=np.float64)
        .astype(np.float32)
    )


@cache
def _tables() -> dict[str, _Table]:
    rows = {(row["surface"], row["state"]): row for row in read_table("backscatter.csv")}
    water = np.array([name.endswith("_water") for name in surface_names()], np.float32)
    tables = {}
    for band in ("VV", "VH"):
        dormant, green = (
            np.array([float(rows[name, state][band]) for name in surface_names()], np.float32)
            for state in ("dormant", "green")
        )
        tables[band] = _Table(dormant, green, water, float(rows["snow", "dormant"][band]))
    return tables
