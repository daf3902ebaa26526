"""The simulated archive: every scene of every collection, computed from place and time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import box

from pipeline.grid import PatchGrid
from pipeline.simulator import sentinel1, sentinel2, utm
from pipeline.simulator.mgrs import tiles_at
from pipeline.simulator.scene import Scene
from pipeline.simulator.scenes import ProceduralScene, band_on

COORDINATES = "SIMULATED/COORDINATES"
"""Folder of the images whose pixel values are their own coordinates, one per UTM zone."""

_SEARCH_STEP_DEGREES = 0.25
_MAX_SEARCH_POINTS = 400
_ZONE_LEFT_M = 99_960.0
_ZONE_WIDTH_M = 840_000.0
_ZONE_BOTTOM_AND_TOP_M = {326: (0.0, 9_400_020.0), 327: (1_099_960.0, 10_000_000.0)}


@dataclass(frozen=True)
class ProceduralArchive:
    """All scenes of the simulated Earth; implements the protocol `Archive`.

    Attributes:
        seed: Of the world; another seed is another planet.
        collections: Ids of the image collections.
    """

    seed: int
    collections: tuple[str, ...] = field(
        default=(*sentinel2.COLLECTIONS, sentinel1.GRD), init=False
    )

    def search(
        self,
        collection: str,
        bounds: tuple[float, float, float, float],
        start_ms: int,
        end_ms: int,
    ) -> list[Scene]:
        """Scenes whose footprint touches the bounds, ordered by index.

        Raises:
            KeyError: There is no such collection.
            ValueError: The bounds are too large for an archive without an index.
        """
        if collection not in self.collections:
            raise KeyError(collection)
        places = _places(bounds)
        area = box(*bounds)
        scenes: Iterator[ProceduralScene]
        if collection == sentinel1.GRD:
            frames = {frame for place in places for frame in sentinel1.frames_at(*place)}
            scenes = sentinel1.search(list(frames), start_ms, end_ms, self.seed)
        else:
            tiles = {tile for place in places for tile in tiles_at(*place)}
            scenes = sentinel2.search(collection, list(tiles), start_ms, end_ms, self.seed)
        found: list[Scene] = [scene for scene in scenes if scene.footprint.intersects(area)]
        return sorted(found, key=lambda scene: scene.index)

    def get(self, asset_id: str) -> Scene | None:
        """The image of that id, parsed from the id alone; None where there is none."""
        collection, _, index = asset_id.rpartition("/")
        if collection == COORDINATES:
            return coordinate_image(int(index)) if _is_zone(index) else None
        if collection == sentinel1.GRD:
            return sentinel1.get(index, self.seed)
        if collection in sentinel2.COLLECTIONS:
            return sentinel2.get(collection, index, self.seed)
        return None


def coordinate_image(epsg: int) -> ProceduralScene:
    """An image of a whole UTM zone on the 10 m lattice whose values are coordinates.

    Bands ``x`` and ``y`` hold the pixel centres in metres, ``col`` and ``row`` the pixel numbers.
    """
    bottom, top = _ZONE_BOTTOM_AND_TOP_M[epsg // 100]
    origin = (_ZONE_LEFT_M, top)
    outline = box(_ZONE_LEFT_M, bottom, _ZONE_LEFT_M + _ZONE_WIDTH_M, top)
    names = ("x", "y", "col", "row")
    size = (top - bottom, _ZONE_WIDTH_M)

    def paint(band: str, grid: PatchGrid) -> tuple[NDArray[np.float64], None]:
        x, y = grid.pixel_centres()
        column = (x - origin[0]) / grid.resolution - 0.5
        row = (origin[1] - y) / grid.resolution - 0.5
        across, down = {"x": (x, 0.0 * y), "y": (0.0 * x, y)}.get(band, (column, 0.0 * row))
        if band == "row":
            across, down = 0.0 * column, row
        return across + down[:, None], None

    return ProceduralScene(
        f"{COORDINATES}/{epsg}",
        str(epsg),
        epsg,
        outline,
        utm.lonlat_outline(epsg, outline),
        {"system:index": str(epsg), "system:time_start": 0},
        {name: band_on(name, "float64", origin, 10.0, size) for name in names},
        paint,
    )


def _is_zone(index: str) -> bool:
    return index.isdecimal() and len(index) == 5 and utm.is_utm(int(index))


def _places(bounds: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """Points so dense that every tile or frame touching the bounds holds one of them."""
    west, south, east, north = bounds
    counts = [
        max(2, math.ceil((stop - start) / _SEARCH_STEP_DEGREES) + 1)
        for start, stop in ((west, east), (south, north))
    ]
    if counts[0] * counts[1] > _MAX_SEARCH_POINTS:
        raise ValueError(
            f"a search over {east - west:.1f} x {north - south:.1f} degrees is too large; "
            "the simulated archive takes about 5 x 5 degrees"
        )
    longitudes = np.linspace(west, east, counts[0])
    latitudes = np.linspace(south, north, counts[1])
    return [(float(lon), float(lat)) for lon in longitudes for lat in latitudes]
