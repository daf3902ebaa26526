"""Smooth functions of place, computed at nodes fixed in a UTM zone and interpolated to pixels.

Because the nodes do not move with the window, a pixel's value does not depend on the window either.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid

OfPlace = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[Any]]
"""Easting and northing, (n,) each, to values, (layers, n)."""


def through_nodes(grid: PatchGrid, spacing_m: float, function: OfPlace) -> NDArray[Any]:
    """A function of place at the pixel centres, bilinear between nodes.

    Args:
        grid: The pixels.
        spacing_m: Distance of the nodes, metres; nodes lie at its multiples.
        function: Computes the layers at the nodes.

    Returns:
        (layers, rows, columns), in the type of the function's values.
    """
    x, y = grid.pixel_centres()
    nodes_x, west, share_east = _brackets(x, spacing_m)
    nodes_y, south, share_north = _brackets(y, spacing_m)
    mesh_x, mesh_y = np.meshgrid(nodes_x, nodes_y)
    values = function(mesh_x.ravel(), mesh_y.ravel())
    values = values.reshape(-1, *mesh_x.shape)
    up = share_north.astype(values.dtype)[:, None]
    right = share_east.astype(values.dtype)
    rows = values[:, south] + (values[:, south + 1] - values[:, south]) * up
    result: NDArray[Any] = rows[:, :, west] + (rows[:, :, west + 1] - rows[:, :, west]) * right
    return result


def _brackets(
    centres: NDArray[np.float64], spacing_m: float
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Nodes around the centres; for each centre, the node before it and the way beyond it."""
    scaled = centres / spacing_m
    before = np.floor(scaled)
    first, last = before.min(), before.max() + 1.0
    nodes = np.arange(first, last + 1.0) * spacing_m
    return nodes, (before - first).astype(np.intp), scaled - before
