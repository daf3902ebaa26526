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
        """Pixels of a window of a band and their validity; invalid pixels hold 0."""
        facts = self.bands[band]
        resolution = facts.transform.a
        left = facts.transform.c + col_start * resolution
        top = facts.transform.f - row_start * resolution
        height, width = row_stop - row_start, col_stop - col_start
        grid = PatchGrid(self.epsg, left, top, height, width, resolution)
        rows, columns = np.arange(row_start, row_stop), np.arange(col_start, col_stop)
        valid = self._inside(grid)
        valid &= ((rows >= 0) & (rows < facts.height))[:, None]
        valid &= (columns >= 0) & (columns < facts.width)
        if not valid.any():
            return np.zeros(grid.shape, facts.dtype), valid
        values, clear = self.painter(band, grid)
        if clear is not None:
            valid &= clear
        return np.where(valid, values, 0).astype(facts.dtype), valid

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        """Half planes a x + b y >= c of the outline, rows (a, b, c)."""
        ring = np.asarray(shapely.orient_polygons(self.outline).exterior.coords)
        step = np.diff(ring, axis=0)
        normal = np.column_stack([-step[:, 1], step[:, 0]])
        return np.column_stack([normal, (normal * ring[:-1]).sum(axis=1)])

    def _inside(self, grid: PatchGrid) -> NDArray[np.bool_]:
        x, y = grid.pixel_centres()
        inside = np.ones(grid.shape, bool)
        for a, b, c in self._edges:
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
