"""A scene whose pixels are computed when they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from pipeline.grid import PatchGrid
from pipeline.simulator.scene import SceneBand

_PIECE_M = 3_000.0  # whole 60 m pixels; a patch of 264 is one piece

Painter = Callable[[str, PatchGrid], tuple[NDArray[Any], NDArray[np.bool_] | None]]
"""Computes a band on a window: values, and which of them are valid (None = all)."""


@dataclass(eq=False)
class ProceduralScene:
    """One image of the simulated archive; implements the protocol `Scene`.

    Attributes:
        asset_id: ``<collection>/<index>``.
        index: The ``system:index``.
        epsg: UTM zone of all bands.
        outline: Convex polygon of the valid data in the zone, metres.
        footprint: The same in longitude and latitude.
        properties: Earth Engine properties.
        bands: By name, in declared order.
        painter: Computes the pixels.
    """

    asset_id: str
    index: str
    epsg: int
    outline: Polygon
    footprint: BaseGeometry
    properties: dict[str, Any]
    bands: dict[str, SceneBand]
    painter: Painter

    def read(
        self, band: str, row_start: int, row_stop: int, col_start: int, col_stop: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels of a window of a band and their validity; invalid pixels hold 0.

        Large windows are painted piece by piece, so that memory stays small.
        """
        facts = self.bands[band]
        values = np.zeros((row_stop - row_start, col_stop - col_start), facts.dtype)
        valid = np.zeros(values.shape, bool)
        step = max(1, round(_PIECE_M / facts.transform.a))
        for row in range(row_start, row_stop, step):
            for col in range(col_start, col_stop, step):
                height, width = min(step, row_stop - row), min(step, col_stop - col)
                rows = slice(row - row_start, row - row_start + height)
                cols = slice(col - col_start, col - col_start + width)
                values[rows, cols], valid[rows, cols] = self._paint(facts, row, col, height, width)
        return values, valid

    def _paint(
        self, facts: SceneBand, row: int, col: int, height: int, width: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        resolution = facts.transform.a
        left = facts.transform.c + col * resolution
        top = facts.transform.f - row * resolution
        grid = PatchGrid(self.epsg, left, top, height, width, resolution)
        rows, columns = np.arange(row, row + height), np.arange(col, col + width)
        valid = inside_half_planes(self._edges, grid)
        valid &= ((rows >= 0) & (rows < facts.height))[:, None]
        valid &= (columns >= 0) & (columns < facts.width)
        if not valid.any():
            return np.zeros(grid.shape, facts.dtype), valid
        values, clear = self.painter(facts.name, grid)
        if clear is not None:
            valid &= clear
        return np.where(valid, values, 0).astype(facts.dtype), valid

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        return half_planes(self.outline)


def half_planes(polygon: Polygon) -> NDArray[np.float64]:
    """Edges of a convex polygon as rows (a, b, c); inside, a x + b y >= c for all of them."""
    ring = np.asarray(shapely.orient_polygons(polygon).exterior.coords)
    step = np.diff(ring, axis=0)
    normal = np.column_stack([-step[:, 1], step[:, 0]])
    return np.column_stack([normal, (normal * ring[:-1]).sum(axis=1)])


def inside_half_planes(edges: NDArray[np.float64], grid: PatchGrid) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside, (rows, columns)."""
    x, y = grid.pixel_centres()
    inside = np.ones(grid.shape, bool)
    for a, b, c in edges:
        inside &= (a * x)[None, :] + (b * y)[:, None] >= c
    return inside


def band_on(
    name: str, dtype: Any, origin: tuple[float, float], resolution: float, size: tuple[float, float]
) -> SceneBand:
    """A north-up band.

    Args:
        name: Earth Engine band name.
        dtype: Pixel type.
        origin: Upper-left corner, metres.
        resolution: Pixel size, metres.
        size: Extent to the south and to the east, metres; whole pixels.
    """
    transform = Affine(resolution, 0.0, origin[0], 0.0, -resolution, origin[1])
    height, width = (round(extent / resolution) for extent in size)
    return SceneBand(name, np.dtype(dtype), transform, height, width)
