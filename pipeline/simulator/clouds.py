"""Clouds of a scene and the shadows they cast."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from pipeline.grid import PatchGrid
from pipeline.simulator.interpolation import through_nodes
from pipeline.simulator.noise import mix as mix_bits
from pipeline.simulator.noise import to_unit, value_noise

Plane = NDArray[np.float32]

CLOUDY = 0.5
"""Opacity from which a pixel counts as cloudy."""

_LAYERS_M = np.array([16_000.0, 5_500.0, 2_000.0, 800.0, 320.0, 140.0])
_WEIGHTS = np.array([1.0, 0.7, 0.42, 0.28, 0.2, 0.12], np.float32)
_NODE_M = 60.0
_SAMPLE_M = 1_500.0
_SOFTNESS = 0.3
_HEIGHTS_M = (1_000.0, 3_200.0)
_STEEPEST_SHADOW = math.tan(math.radians(68.0))


@dataclass(frozen=True)
class CloudField:
    """The clouds over one granule, covering the share of it that its metadata declare.

    Attributes:
        salt: What makes this sky differ from others.
        percent: Share of the outline under cloud, 0 to 100.
        outline: Valid data of the granule in its zone.
        sun: Zenith and azimuth, degrees.
    """

    salt: int
    percent: float
    outline: Polygon
    sun: tuple[float, float]

    def opacity(self, grid: PatchGrid) -> Plane:
        """How opaque the sky is over the pixels, 0 to 1; `CLOUDY` and more counts as cloud."""
        field = self._field_on(grid)
        return np.clip((field - self._threshold) * (0.5 / _SOFTNESS) + CLOUDY, 0.0, 1.0)

    def shadow(self, grid: PatchGrid) -> Plane:
        """How much of the direct light clouds take away, 0 to 1."""
        east, north = self._shadow_offset
        cast = PatchGrid(
            grid.epsg, grid.left - east, grid.top - north, *grid.shape, grid.resolution
        )
        return self.opacity(cast)

    @cached_property
    def _shadow_offset(self) -> tuple[float, float]:
        """Way from a cloud to its shadow, whole 10 m pixels."""
        zenith, azimuth = self.sun
        share = float(to_unit(mix_bits(np.array([self.salt], np.uint64)))[0])
        height = _HEIGHTS_M[0] + share * (_HEIGHTS_M[1] - _HEIGHTS_M[0])
        length = height * min(_STEEPEST_SHADOW, math.tan(math.radians(zenith)))
        away = math.radians(azimuth + 180.0)
        return round(length * math.sin(away), -1), round(length * math.cos(away), -1)

    @cached_property
    def _threshold(self) -> float:
        """Value of the field that the declared share of the granule exceeds."""
        left, bottom, right, top = self.outline.bounds
        x, y = np.meshgrid(np.arange(left, right, _SAMPLE_M), np.arange(bottom, top, _SAMPLE_M))
        inside = shapely.contains_xy(self.outline, x, y)
        if self.percent <= 0.0 or not inside.any():
            return math.inf
        return float(np.quantile(self._field(x[inside], y[inside]), 1.0 - self.percent / 100.0))

    def _field_on(self, grid: PatchGrid) -> Plane:
        return through_nodes(grid, _NODE_M, lambda x, y: self._field(x, y)[None])[0]

    def _field(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Plane:
        points = np.stack([x, y, np.full_like(x, 0.5)])
        salts = mix_bits(np.arange(len(_LAYERS_M), dtype=np.uint64) ^ np.uint64(self.salt))
        layers = value_noise(points, _LAYERS_M, salts)
        total = layers[0] * _WEIGHTS[0]
        for layer, weight in zip(layers[1:], _WEIGHTS[1:], strict=True):
            total += layer * weight
        return total
