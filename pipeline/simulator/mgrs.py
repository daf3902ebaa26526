"""Sentinel-2 tiles: the 100 km squares of the Military Grid Reference System and their rasters."""

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from pipeline.grid import SENTINEL2_LATTICE_M, SOUTHERN_FALSE_NORTHING_M
from pipeline.simulator import utm

TILE_SIZE_M = 109_800
"""Edge of a tile's raster; neighbours overlap by almost 10 km. Sentinel-2 product specification."""

_SQUARE_M = 100_000
_EQUATOR_OVERLAP_DEGREES = 0.1
_BAND_LETTERS = "CDEFGHJKLMNPQRSTUVWXX"  # 8 degrees each from 80 S; X reaches 84 N
_COLUMN_LETTERS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone number modulo 3
_ROW_LETTERS = "ABCDEFGHJKLMNPQRSTUV"
_EVEN_ZONE_ROW_SHIFT = 5  # even zones begin their rows at F
_NAME = re.compile(r"(\d\d)([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")


@dataclass(frozen=True, order=True)
class Tile:
    """One 100 km square.

    Letters follow NGA.STND.0037 (MGRS), sections on 100 km square identification.

    Attributes:
        epsg: UTM zone.
        column: Easting of its left edge, in units of 100 km.
        row: Northing of its lower edge, in units of 100 km.
    """

    epsg: int
    column: int
    row: int

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the square's middle, degrees."""
        half = _SQUARE_M / 2
        x, y = self.column * _SQUARE_M + half, self.row * _SQUARE_M + half
        lon, lat = utm.to_lonlat(self.epsg, x, y)
        return float(lon), float(lat)

    @cached_property
    def name(self) -> str:
        """Five characters, e.g. ``33UUP``; the band letter is that of the square's middle."""
        zone = self.epsg % 100
        shift = 0 if zone % 2 else _EVEN_ZONE_ROW_SHIFT
        column = _COLUMN_LETTERS[zone % 3][self.column - 1]
        row = _ROW_LETTERS[(self.row + shift) % len(_ROW_LETTERS)]
        return f"{zone:02d}{_band_letter(self.centre[1])}{column}{row}"

    @cached_property
    def origin(self) -> tuple[float, float]:
        """Upper-left corner of the raster: the square snapped outwards to the 60 m lattice."""
        equator = SOUTHERN_FALSE_NORTHING_M if self.epsg >= 32700 else 0.0
        left = math.floor(self.column * _SQUARE_M / SENTINEL2_LATTICE_M) * SENTINEL2_LATTICE_M
        top = (self.row + 1) * _SQUARE_M - equator
        return left, equator + math.ceil(top / SENTINEL2_LATTICE_M) * SENTINEL2_LATTICE_M

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of the raster in the zone, metres."""
        left, top = self.origin
        return left, top - TILE_SIZE_M, left + TILE_SIZE_M, top

    @cached_property
    def touches_its_zone(self) -> bool:
        """Whether some of the square lies between the meridians that bound the zone there."""
        own_hemisphere = (self.centre[1] >= 0.0) == (self.epsg < 32700)
        if not (1 <= self.column <= 8 and own_hemisphere):
            return False
        x = np.array([self.column, self.column + 1 - 1e-5] * 2) * _SQUARE_M
        y = np.repeat([self.row, self.row + 1 - 1e-5], 2) * _SQUARE_M
        lon, _ = utm.to_lonlat(self.epsg, x, y)
        strip = _zone_strip(self.epsg % 100, _band_letter(self.centre[1]))
        return strip is not None and bool(lon.max() > strip[0] and lon.min() < strip[1])


@lru_cache(maxsize=8192)
def tile_from_name(name: str) -> Tile | None:
    """The tile of a five-character name, or None where there is no such square."""
    parts = _NAME.fullmatch(name)
    if parts is None or not 1 <= int(parts[1]) <= 60:
        return None
    zone, band, column_letter, row_letter = int(parts[1]), *parts.groups()[1:]
    if column_letter not in _COLUMN_LETTERS[zone % 3]:
        return None
    epsg = (32600 if band >= "N" else 32700) + zone
    column = _COLUMN_LETTERS[zone % 3].index(column_letter) + 1
    shift = 0 if zone % 2 else _EVEN_ZONE_ROW_SHIFT
    row_rank = (_ROW_LETTERS.index(row_letter) - shift) % len(_ROW_LETTERS)
    middle = _BAND_LETTERS.index(band) * 8.0 - 76.0
    _, northing = utm.from_lonlat(epsg, utm.central_meridian(epsg), middle)
    near = int(northing // _SQUARE_M)
    for row in sorted(range(near - 10, near + 11), key=lambda row: abs(row - near)):
        if row % len(_ROW_LETTERS) == row_rank:
            tile = Tile(epsg, column, row)
            return tile if tile.name == name else None
    return None


def tiles_at(lon: float, lat: float) -> list[Tile]:
    """All tiles, of the own and the neighbouring zones, whose raster holds the place."""
    zone = int((lon + 180.0) // 6.0) % 60 + 1
    found = []
    for candidate in (zone, zone % 60 + 1, (zone - 2) % 60 + 1):
        for hemisphere in _hemispheres(lat):
            epsg = hemisphere + candidate
            x, y = utm.from_lonlat(epsg, lon, lat)
            found += [
                tile for tile in _tiles_around(epsg, float(x), float(y)) if tile.touches_its_zone
            ]
    return found


def _hemispheres(lat: float) -> tuple[int, ...]:
    """EPSG codes to add a zone to; the northernmost tiles reach 9.8 km over the equator."""
    if abs(lat) < _EQUATOR_OVERLAP_DEGREES:
        return 32600, 32700
    return (32600,) if lat > 0.0 else (32700,)


def _tiles_around(epsg: int, x: float, y: float) -> list[Tile]:
    column, row = int(x // _SQUARE_M), int(y // _SQUARE_M)
    near = [_tile(epsg, c, r) for c in (column - 1, column) for r in (row - 1, row, row + 1)]
    return [
        tile
        for tile in near
        if tile.bounds[0] <= x <= tile.bounds[2] and tile.bounds[1] <= y <= tile.bounds[3]
    ]


@lru_cache(maxsize=8192)
def _tile(epsg: int, column: int, row: int) -> Tile:
    return Tile(epsg, column, row)


def _band_letter(lat: float) -> str:
    return _BAND_LETTERS[int(min(max(lat, -80.0), 83.999) + 80.0) // 8]


def _zone_strip(zone: int, band: str) -> tuple[float, float] | None:
    """West and east meridian of a zone in a latitude band; None where the band has no such zone."""
    exceptions: dict[tuple[str, int], tuple[float, float] | None] = {
        ("V", 31): (0.0, 3.0),
        ("V", 32): (3.0, 12.0),
        ("X", 31): (0.0, 9.0),
        ("X", 32): None,
        ("X", 33): (9.0, 21.0),
        ("X", 34): None,
        ("X", 35): (21.0, 33.0),
        ("X", 36): None,
        ("X", 37): (33.0, 42.0),
    }
    west = zone * 6.0 - 186.0
    return exceptions.get((band, zone), (west, west + 6.0))
