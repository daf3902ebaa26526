"""Windows of simulated scenes, as the tests of the painters need them."""

import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon, box

from pipeline.grid import PatchGrid, patch_grid
from pipeline.simulator.clouds import CloudField
from pipeline.simulator.scene import Scene

SEED = 3
SUMMER = datetime.date(2021, 7, 5)
WINTER = datetime.date(2021, 1, 15)
SUN = (35.0, 150.0)


def surroundings(grid: PatchGrid) -> Polygon:
    """A square of 100 km around a grid."""
    left, bottom, right, top = grid.bounds
    return box(left - 5e4, bottom - 5e4, right + 5e4, top + 5e4)


def clear_sky(grid: PatchGrid) -> CloudField:
    """No clouds."""
    return CloudField(1, 0.0, surroundings(grid), SUN)


def random_grids(count: int, pixels: int, seed: int = 4) -> list[PatchGrid]:
    """Snapped grids on all inhabited continents."""
    rng = np.random.default_rng(seed)
    return [
        patch_grid(float(rng.uniform(-120, 150)), float(rng.uniform(-38, 58)), pixels)
        for _ in range(count)
    ]


def read_on(scene: Scene, band: str, grid: PatchGrid) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A band on the native pixels under a grid that is snapped to the band's lattice."""
    transform = scene.bands[band].transform
    row = round((transform.f - grid.top) / transform.a)
    col = round((grid.left - transform.c) / transform.a)
    factor = transform.a / grid.resolution
    height, width = round(grid.height / factor), round(grid.width / factor)
    return scene.read(band, row, row + height, col, col + width)
