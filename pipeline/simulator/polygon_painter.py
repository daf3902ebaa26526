"""Paints land-use polygons, e.g. an OpenStreetMap extract, for the simulated WMS server."""

from collections.abc import Sequence

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio import features
from shapely.geometry.base import BaseGeometry

from pipeline.legend import load_legend

_BLEND = 4
"""Samples per pixel side where edges are blended."""


class PolygonPainter:
    """Draws polygons in legend colours on white, later ones over earlier ones."""

    def __init__(
        self, polygons: Sequence[BaseGeometry], ids: Sequence[int], antialiased: bool
    ) -> None:
        """Prepare to paint.

        Args:
            polygons: In EPSG:3857, in the order they are drawn.
            ids: Class id of each, legend ``osm_landuse``.
            antialiased: Whether pixels on an edge blend the colours of both sides.
        """
        self._polygons = list(polygons)
        self._ids = list(ids)
        self._index = shapely.STRtree(self._polygons)
        self._samples = _BLEND if antialiased else 1
        self._colours = legend_palette()

    def paint(
        self, bounds: tuple[float, float, float, float], width: int, height: int
    ) -> NDArray[np.uint8]:
        """A window in EPSG:3857 (left, bottom, right, top) as (height, width, 3) RGB."""
        left, bottom, right, top = bounds
        columns, rows = width * self._samples, height * self._samples
        transform = Affine((right - left) / columns, 0.0, left, 0.0, (bottom - top) / rows, top)
        background = len(self._colours) - 1
        ids = np.full((rows, columns), background, np.uint8)
        touching = np.sort(self._index.query(shapely.box(*bounds)))
        shapes = [(self._polygons[index], self._ids[index]) for index in touching]
        if shapes:
            features.rasterize(shapes, out=ids, transform=transform)
        return self._blend(ids)

    def _blend(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colours of the pixels; where the samples of one differ, the mean of their colours."""
        rows, columns = ids.shape[0] // self._samples, ids.shape[1] // self._samples
        samples = ids.reshape(rows, self._samples, columns, self._samples).swapaxes(1, 2)
        picture = self._colours[samples[..., 0, 0]]
        mixed = (samples != samples[..., :1, :1]).any(axis=(2, 3))
        blended = self._colours[samples[mixed]].mean(axis=(1, 2))
        picture[mixed] = np.rint(blended)
        return picture


def legend_palette() -> NDArray[np.uint8]:
    """Colours of the classes by id, white last: (classes + 1, 3) uint8."""
    colours = [row.rgb for row in load_legend("osm_landuse")]
    return np.array([*colours, (255, 255, 255)], np.uint8)
