"""Flat sheets over the globe, on which the simulated geography is drawn.

A sheet is a zone of two degrees of latitude in the equirectangular projection. Every place on Earth
has one position on one sheet, whatever UTM zone asks for it, so the land is the same in all zones.
Smooth fields come from noise in space and pass over the edges of sheets unbroken; field boundaries
and streets are drawn per sheet and jump there, like the correction lines of a land survey.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.simulator import utm
from pipeline.simulator.interpolation import through_nodes

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius, IUGG."""

NODE_SPACING_M = 60.0
"""Spacing of the nodes at which smooth fields are computed."""

_SHEET_DEGREES = 2.0
_PROJECTION_NODE_M = 240.0
_MARGIN_NODES = 2


@dataclass(frozen=True)
class Sheet:
    """One sheet; ``number`` 0 begins at the equator."""

    number: int

    @property
    def middle_lat(self) -> float:
        """Latitude of its middle, degrees; also the one whose climate calendar it follows."""
        return (self.number + 0.5) * _SHEET_DEGREES

    @cached_property
    def metres_per_degree(self) -> tuple[float, float]:
        """Along longitude and along latitude."""
        north = math.radians(EARTH_RADIUS_M)
        return north * math.cos(math.radians(self.middle_lat)), north


@dataclass(frozen=True, eq=False)
class SheetPoints:
    """The pixels of a window on one sheet.

    Attributes:
        sheet: Which one.
        u: Metres eastwards from Greenwich along the sheet, (rows, columns).
        v: Metres northwards from the equator, (rows, columns).
        belongs: Pixels that lie on this sheet; None = all of them.
    """

    sheet: Sheet
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    belongs: NDArray[np.bool_] | None

    @cached_property
    def nodes(self) -> "NodeLattice":
        """The nodes around all pixels."""
        return NodeLattice.around(self)


@dataclass(frozen=True, eq=False)
class NodeLattice:
    """A rectangle of nodes of the 60 m lattice of a sheet.

    Attributes:
        sheet: Which one.
        columns: Node numbers eastwards.
        rows: Node numbers northwards.
    """

    sheet: Sheet
    columns: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def around(cls, points: SheetPoints) -> "NodeLattice":
        """The smallest rectangle that allows interpolation and slopes at every point."""
        axes = []
        for coordinate in (points.u, points.v):
            first = math.floor(coordinate.min() / NODE_SPACING_M) - _MARGIN_NODES
            last = math.floor(coordinate.max() / NODE_SPACING_M) + 1 + _MARGIN_NODES
            axes.append(np.arange(first, last + 1))
        return cls(points.sheet, *axes)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.columns)

    @cached_property
    def lon(self) -> NDArray[np.float64]:
        """Longitude of each column, degrees."""
        return self.columns.astype(np.float64) * (NODE_SPACING_M / self.sheet.metres_per_degree[0])

    @cached_property
    def lat(self) -> NDArray[np.float64]:
        """Latitude of each row, degrees."""
        return self.rows.astype(np.float64) * (NODE_SPACING_M / self.sheet.metres_per_degree[1])

    @cached_property
    def in_space(self) -> NDArray[np.float64]:
        """(3, nodes) Cartesian coordinates on the sphere, metres."""
        lon, lat = np.radians(self.lon), np.radians(self.lat)
        circle = np.cos(lat)[:, None]
        x, y = circle * np.cos(lon), circle * np.sin(lon)
        z = np.broadcast_to(np.sin(lat)[:, None], x.shape)
        return EARTH_RADIUS_M * np.stack([x.ravel(), y.ravel(), z.ravel()])

    def slope(self, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Change of a field per metre eastwards and northwards; 0 on the rim, where no pixel is."""
        per_node = np.float32(0.5 / NODE_SPACING_M)
        east, north = np.zeros_like(field), np.zeros_like(field)
        east[:, 1:-1] = (field[:, 2:] - field[:, :-2]) * per_node
        north[1:-1] = (field[2:] - field[:-2]) * per_node
        return east, north

    def at(self, fields: NDArray[np.float32], points: SheetPoints) -> NDArray[np.float32]:
        """Fields at the pixels, bilinear.

        Args:
            fields: (rows, columns, fields) at the nodes.
            points: Pixels within the lattice.

        Returns:
            (fields, rows, columns).
        """
        return sample_lattice(fields, points, NODE_SPACING_M, self.columns[0], self.rows[0])


def sample_lattice(
    fields: NDArray[np.float32],
    points: SheetPoints,
    spacing: float,
    first_column: int,
    first_row: int,
) -> NDArray[np.float32]:
    """Bilinear values at the pixels of fields on a regular lattice of a sheet.

    Args:
        fields: (rows, columns, fields), rows northwards.
        points: Pixels within the lattice.
        spacing: Of the lattice, metres.
        first_column: Number of the westernmost node.
        first_row: Number of the southernmost node.

    Returns:
        (fields, rows, columns).
    """
    across, down = points.u * (1.0 / spacing), points.v * (1.0 / spacing)
    column, row = np.floor(across), np.floor(down)
    right = (across - column).astype(np.float32).ravel()[:, None]
    up = (down - row).astype(np.float32).ravel()[:, None]
    width = fields.shape[1]
    flat = fields.reshape(-1, fields.shape[2])
    index = (row.astype(np.int64) - first_row) * width + (column.astype(np.int64) - first_column)
    index = index.ravel()
    south = _between(flat, index, index + 1, right)
    north = _between(flat, index + width, index + width + 1, right)
    north -= south
    north *= up
    north += south
    return np.ascontiguousarray(north.T).reshape(-1, *points.u.shape)


def place_on_sheets(grid: PatchGrid) -> Iterator[SheetPoints]:
    """The pixel centres of a window in a UTM zone, sheet by sheet; nearly always there is one."""
    lon, lat = _pixel_lonlat(grid)
    lon = (lon + 180.0) % 360.0 - 180.0 if np.abs(lon).max() > 180.0 else lon
    numbers = np.floor(lat / _SHEET_DEGREES).astype(np.int64)
    for number in range(numbers.min(), numbers.max() + 1):
        sheet = Sheet(int(number))
        east, north = sheet.metres_per_degree
        here = numbers == number
        for side in (lon < 0.0, lon >= 0.0) if np.ptp(lon) > 180.0 else (True,):
            belongs = here & side
            if belongs.all():
                yield SheetPoints(sheet, lon * east, lat * north, None)
            elif belongs.any():
                unrolled = _unroll(lon, belongs)
                yield SheetPoints(sheet, unrolled * east, lat * north, belongs)


def _unroll(lon: NDArray[np.float64], belongs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Longitudes made continuous across the 180th meridian, starting from some of the pixels."""
    middle = float(lon[belongs][0])
    return (lon - middle + 180.0) % 360.0 - 180.0 + middle


def _pixel_lonlat(grid: PatchGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of the pixel centres, (rows, columns), within 2 mm.

    The projection is computed on a lattice fixed in the zone and interpolated between its nodes,
    so that a pixel's position does not depend on the window around it.
    """

    def lonlat(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(utm.to_lonlat(grid.epsg, x, y))

    lon, lat = through_nodes(grid, _PROJECTION_NODE_M, lonlat)
    return lon, lat


def _between(
    flat: NDArray[np.float32],
    index: NDArray[np.int64],
    next_index: NDArray[np.int64],
    weight: NDArray[np.float32],
) -> NDArray[np.float32]:
    values = flat.take(next_index, axis=0)
    base = flat.take(index, axis=0)
    values -= base
    values *= weight
    values += base
    return values
