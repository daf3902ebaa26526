"""No two patches overlap: patches already taken, looked up by place in constant time.

Patches are hashed by the cell of a cubic lattice through the Earth that their centre lies in, which
knows neither zone edges nor the antimeridian nor poles. A cell is wider than the largest distance
between the centres of two patches that overlap, so a patch is compared with those of 27 cells.
"""

import itertools
import math
from collections import defaultdict

from pipeline.grid import PatchGrid

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth. Source: IUGG, (2a + b) / 3 of WGS 84."""

_CELL_MARGIN = 1.02
"""UTM lengths are up to 0.04 % too short, lengths on a sphere up to 0.6 % off the ellipsoid's."""

_Cell = tuple[int, int, int]


def patches_overlap(first: PatchGrid, second: PatchGrid) -> bool:
    """Whether two patches share ground; a common edge is not shared ground.

    Exact within a UTM zone; across zones true to a few millimetres (footprints are densified).
    """
    if first.epsg != second.epsg:
        return bool(first.footprint.intersection(second.footprint).area > 0.0)
    left, bottom, right, top = first.bounds
    other_left, other_bottom, other_right, other_top = second.bounds
    side_by_side = left >= other_right or other_left >= right
    one_above = bottom >= other_top or other_bottom >= top
    return not (side_by_side or one_above)


class PatchIndex:
    """The patches taken so far, each with the number it was given."""

    def __init__(self, side_m: float) -> None:
        """Make an empty index for patches whose sides are at most ``side_m`` metres."""
        self._side_m = side_m
        self._cell_m = side_m * math.sqrt(2.0) * _CELL_MARGIN
        self._patches: defaultdict[_Cell, list[tuple[int, PatchGrid]]] = defaultdict(list)

    def add(self, number: int, grid: PatchGrid) -> None:
        """Take a patch.

        Raises:
            ValueError: The patch is larger than the index was made for.
        """
        if max(grid.shape) * grid.resolution > self._side_m:
            raise ValueError(f"a patch of {grid.shape} pixels is wider than {self._side_m} m")
        self._patches[self._cell(grid)].append((number, grid))

    def first_overlap(self, grid: PatchGrid) -> int | None:
        """The smallest number of a taken patch that overlaps this one; None if it is free."""
        x, y, z = self._cell(grid)
        numbers = [
            number
            for dx, dy, dz in _NEIGHBOURS
            for number, taken in self._patches.get((x + dx, y + dy, z + dz), ())
            if patches_overlap(grid, taken)
        ]
        return min(numbers, default=None)

    def _cell(self, grid: PatchGrid) -> _Cell:
        lon, lat = map(math.radians, grid.centre_lonlat)
        scale = EARTH_RADIUS_M / self._cell_m
        return (
            math.floor(scale * math.cos(lat) * math.cos(lon)),
            math.floor(scale * math.cos(lat) * math.sin(lon)),
            math.floor(scale * math.sin(lat)),
        )


_NEIGHBOURS = tuple(itertools.product((-1, 0, 1), repeat=3))
