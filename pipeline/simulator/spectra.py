"""What Sentinel-2 sees: reflectance at the top of the atmosphere, shading, clouds and noise."""

import datetime
import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.simulator.clouds import CLOUDY, CloudField
from pipeline.simulator.noise import lattice_hash, stable_hash, to_unit
from pipeline.simulator.surfaces import surface_names
from pipeline.simulator.tables import read_table
from pipeline.simulator.world import PIXEL_M, Scenery, scenery_around

Plane = NDArray[np.float32]

_POINT_SPREAD = np.array([0.14, 0.72, 0.14], np.float32)
"""Weights of a pixel and its neighbours in one direction; about the 10 m bands' MTF of 0.26 at the
Nyquist frequency (ESA, Sentinel-2 annual performance report)."""

_MARGIN_M = PIXEL_M
_CLOUD_BIT_OF_QA60 = 1024
_DIFFUSE_SHARE = 0.28
_LIGHT_IN_CLOUD_SHADOW = 0.42
_PHOTON_NOISE, _PROPORTIONAL_NOISE = 0.3, 0.004  # DN at 1 DN, growing as the root; share of DN


@dataclass(frozen=True)
class ReflectancePainter:
    """Paints the bands of one L1C granule, digital numbers of reflectance times 10,000.

    Attributes:
        date: Sensing day.
        seed: Of the world.
        salt: Of the granule.
        sky: Its clouds.
        sun: Zenith and azimuth, degrees.
        offset: Radiometric offset of the collection, digital numbers.
    """

    date: datetime.date
    seed: int
    salt: int
    sky: CloudField
    sun: tuple[float, float]
    offset: int

    def __call__(self, band: str, grid: PatchGrid) -> tuple[NDArray[np.uint16], None]:
        """A band on a window of the tile's grid."""
        factor = round(grid.resolution / PIXEL_M)
        if band == "QA60":
            fine = PatchGrid(
                grid.epsg, grid.left, grid.top, grid.height * factor, grid.width * factor, PIXEL_M
            )
            cloudy = _block_means(self.sky.opacity(fine), factor) >= CLOUDY
            return np.where(cloudy, _CLOUD_BIT_OF_QA60, 0).astype(np.uint16), None
        scenery = scenery_around(grid, _MARGIN_M, self.date, self.seed)
        light = _light(scenery.grid, self)
        radiance = self._at_sensor(band, scenery, light)
        sharp = _blurred(radiance) if factor == 1 else _block_means(radiance[1:-1, 1:-1], factor)
        deviation = _PHOTON_NOISE * np.sqrt(np.maximum(sharp, 1.0)) + _PROPORTIONAL_NOISE * sharp
        noisy = sharp + self._noise(band, grid) * deviation
        return np.clip(np.rint(noisy) + self.offset, 1, 65535).astype(np.uint16), None

    def _at_sensor(self, band: str, scenery: Scenery, light: "_Light") -> Plane:
        """The band on the 10 m pixels of the scenery, before optics and noise."""
        table = _spectra()[band]
        land, state = scenery.landscape, scenery.state
        dormant = table.dormant.take(land.surface)
        dormant *= land.soil
        surface = table.green.take(land.surface)
        surface -= dormant
        surface *= state.green
        surface += dormant
        surface *= land.tone
        if state.snow.any():
            surface += (table.snow - surface) * state.snow
        surface *= light.ground
        surface += np.float32(table.atmosphere * light.haze)
        if light.cloud is not None:
            surface += (np.float32(table.cloud) - surface) * light.cloud
        return surface

    def _noise(self, band: str, grid: PatchGrid) -> Plane:
        """Noise of the instrument, standard deviation 1."""
        columns = np.arange(grid.width) + round(grid.left / grid.resolution)
        rows = np.arange(grid.height) - round(grid.top / grid.resolution)
        hashes = lattice_hash(columns[None, :], rows[:, None], stable_hash(self.salt, band))
        triangular = to_unit(hashes, 0) + to_unit(hashes, 1) - 1.0
        return triangular * np.float32(math.sqrt(6.0))


@dataclass(frozen=True, eq=False)
class _Light:
    """How a window is lit.

    Attributes:
        ground: Light that reaches the ground, 1 on flat land in the sun, (rows, columns).
        cloud: Opacity of the clouds above, or None where there are none.
        haze: Strength of the scattering in the air, about 1.
    """

    ground: Plane
    cloud: Plane | None
    haze: float


@dataclass(frozen=True, eq=False)
class _Table:
    """One band of ``spectra.csv``, without the light scattered by the air."""

    dormant: Plane
    green: Plane
    snow: float
    cloud: float
    atmosphere: float


@lru_cache(maxsize=4)
def _light(grid: PatchGrid, painter: ReflectancePainter) -> _Light:
    scenery = scenery_around(grid, 0.0, painter.date, painter.seed)
    ground = _shading(scenery, *painter.sun)
    haze = 0.92 + 0.3 * (stable_hash(painter.salt, "haze") / 2**64)
    cloud = painter.sky.opacity(grid)
    ground *= 1.0 - (1.0 - _LIGHT_IN_CLOUD_SHADOW) * painter.sky.shadow(grid)
    return _Light(ground, cloud if cloud.any() else None, haze)


def _shading(scenery: Scenery, zenith: float, azimuth: float) -> Plane:
    """Light on sloping ground relative to flat ground: cosine law for the direct part."""
    east, north = scenery.landscape.east, scenery.landscape.north
    tangent = math.tan(math.radians(zenith))
    sun_east = np.float32(math.sin(math.radians(azimuth)) * tangent)
    sun_north = np.float32(math.cos(math.radians(azimuth)) * tangent)
    direct = (1.0 - east * sun_east - north * sun_north) / np.sqrt(1.0 + east**2 + north**2)
    return _DIFFUSE_SHARE + (1.0 - _DIFFUSE_SHARE) * np.clip(direct, 0.0, 2.2)


def _blurred(plane: Plane) -> Plane:
    """The point spread function of the 10 m bands; one pixel is lost on every side."""
    near, centre, far = _POINT_SPREAD
    rows = plane[:-2] * near + plane[1:-1] * centre + plane[2:] * far
    return rows[:, :-2] * near + rows[:, 1:-1] * centre + rows[:, 2:] * far


def _block_means(plane: Plane, factor: int) -> Plane:
    """Means of factor x factor blocks, summed in a fixed order."""
    rows = plane[0::factor].copy()
    for position in range(1, factor):
        rows += plane[position::factor]
    blocks = rows[:, 0::factor].copy()
    for position in range(1, factor):
        blocks += rows[:, position::factor]
    return blocks * np.float32(1.0 / factor**2)


@cache
def _spectra() -> dict[str, _Table]:
    rows = {(row["surface"], row["state"]): row for row in read_table("spectra.csv")}
    bands = [name for name in read_table("spectra.csv")[0] if name.startswith("B")]
    tables = {}
    for band in bands:
        air = float(rows["atmosphere", "dormant"][band])

        def column(state: str, band: str = band, air: float = air) -> Plane:
            values = [float(rows[name, state][band]) - air for name in surface_names()]
            return np.array(values, np.float32)

        snow, cloud = (float(rows[name, "dormant"][band]) for name in ("snow", "cloud"))
        tables[band] = _Table(column("dormant"), column("green"), snow - air, cloud, air)
    return tables
