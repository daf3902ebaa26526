"""The cadastre: straight-edged districts, each cut into parcels or blocks along its own axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.noise import lattice_hash, mix, stable_hash, to_unit
from pipeline.simulator.sheets import SheetPoints

DISTRICT_M = 1_500.0
"""Mean size of a district."""

_PHASE = np.float32(64.0)  # keeps lot numbers positive
_ROW_STEP = np.uint64(0xC2B2AE3D27D4EB4F)
_COLUMN_STEP = np.uint64(0x165667B19E3779F9)


@dataclass(frozen=True, eq=False)
class Districts:
    """The district of every pixel: the cells of a jittered lattice's Voronoi diagram.

    Attributes:
        identity: Hash of the district, (rows, columns).
        border: Distance to the next district, metres.
        border_identity: Hash of the pair of districts on both sides of that border.
        across: Position along the district's own axis, metres from its middle.
        down: Position at right angles to it.
    """

    identity: NDArray[np.uint64]
    border: NDArray[np.float32]
    border_identity: NDArray[np.uint64]
    across: NDArray[np.float32]
    down: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lots:
    """Rectangular lots of districts, parcels or blocks of houses.

    Attributes:
        identity: Hash of the lot, (rows, columns).
        edge: Distance to the edge of the lot, metres.
        corner: Distance to one of its corners along the farther axis, metres.
    """

    identity: NDArray[np.uint64]
    edge: NDArray[np.float32]
    corner: NDArray[np.float32]


def find_districts(points: SheetPoints, seed: int) -> Districts:
    """The districts of the pixels of a window."""
    cell_u = np.floor(points.u * (1.0 / DISTRICT_M))
    cell_v = np.floor(points.v * (1.0 / DISTRICT_M))
    east = (points.u - cell_u * DISTRICT_M).astype(np.float32)
    north = (points.v - cell_v * DISTRICT_M).astype(np.float32)
    columns = np.arange(cell_u.min() - 1, cell_u.max() + 2).astype(np.int64)
    rows = np.arange(cell_v.min() - 1, cell_v.max() + 2).astype(np.int64)
    salt = stable_hash(seed, "district", points.sheet.number)
    hashes = lattice_hash(columns[None, :], rows[:, None], salt).ravel()
    site_u = DISTRICT_M * (0.12 + 0.76 * to_unit(hashes, 0))
    site_v = DISTRICT_M * (0.12 + 0.76 * to_unit(hashes, 1))
    home = (cell_v.astype(np.int64) - rows[0]) * len(columns) + cell_u.astype(np.int64) - columns[0]
    places = (site_u + 1j * site_v).astype(np.complex64)
    return _describe(_Sites(home, east, north, places, len(columns)), hashes)


def cut_lots(districts: Districts, depth: NDArray[np.float32], salt: int) -> Lots:
    """Cut districts into strips and the strips into lots.

    Args:
        districts: Of the pixels.
        depth: Depth of the strips of each pixel's district, metres; lots are 0.7 to 2.9 times as
            wide.
        salt: What makes two cuts of the same district differ.
    """
    strip = districts.down / depth + _PHASE
    strip_number = np.floor(strip)
    strip_hash = mix(
        districts.identity + np.uint64(salt) + strip_number.astype(np.uint64) * _ROW_STEP
    )
    width = depth * (0.7 + 2.2 * to_unit(strip_hash, 0) ** 2)
    lot = districts.across / width + (_PHASE + to_unit(strip_hash, 1))
    lot_number = np.floor(lot)
    identity = mix(strip_hash + lot_number.astype(np.uint64) * _COLUMN_STEP)
    inside_strip, inside_lot = (strip - strip_number) * depth, (lot - lot_number) * width
    edge = np.minimum(
        np.minimum(inside_strip, depth - inside_strip), np.minimum(inside_lot, width - inside_lot)
    )
    return Lots(identity, edge, np.maximum(inside_strip, inside_lot))


@dataclass(frozen=True, eq=False)
class _Sites:
    """Where every pixel lies among the sites around it.

    Attributes:
        home: Number of the site of the pixel's own cell.
        east: Position of the pixel within its cell, metres.
        north: The same northwards.
        places: Position of every site within its cell, east + 1j north.
        columns: Cells in one row.
    """

    home: NDArray[np.int64]
    east: NDArray[np.float32]
    north: NDArray[np.float32]
    places: NDArray[np.complex64]
    columns: int

    def way(
        self, right: NDArray[np.int32], up: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Number of the site some cells away, and the way to it from the pixel, metres."""
        number = self.home + up * self.columns + right
        place = self.places.take(number)
        east = place.real - (self.east - np.float32(DISTRICT_M) * right.astype(np.float32))
        north = place.imag - (self.north - np.float32(DISTRICT_M) * up.astype(np.float32))
        return number, east, north

    def ranked(
        self, rank: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """`way` to one of the nine cells around the pixel, by rank 0 to 8."""
        return self.way(rank % 3 - 1, rank // 3 - 1)


def _two_nearest(sites: _Sites) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Ranks, among the nine cells around each pixel, of the two with the nearest sites.

    The rank rides in the lowest four bits of the squared distance, so that running minima find
    distance and site together.
    """
    best = np.full(sites.home.shape, np.iinfo(np.int32).max, np.int32)
    second = best.copy()
    for rank in range(9):
        _, east, north = sites.ranked(np.array(rank, np.int32))
        key = ((east * east + north * north).view(np.int32) & ~15) | rank
        np.minimum(second, np.maximum(best, key), out=second)
        np.minimum(best, key, out=best)
    return best & 15, second & 15


def _describe(sites: _Sites, hashes: NDArray[np.uint64]) -> Districts:
    first, second = _two_nearest(sites)
    number, east, north = sites.ranked(first)
    other, other_east, other_north = sites.ranked(second)
    apart = np.hypot(east - other_east, north - other_north)
    nearer = east * east + north * north
    farther = other_east * other_east + other_north * other_north
    angle = to_unit(hashes, 2) * np.float32(np.pi)
    cosine, sine = np.cos(angle).take(number), np.sin(angle).take(number)
    identity = hashes.take(number)
    return Districts(
        identity=identity,
        border=np.maximum(0.0, farther - nearer) / (2.0 * apart),
        border_identity=mix(identity ^ hashes.take(other)),
        across=-(east * cosine + north * sine),
        down=east * sine - north * cosine,
    )
