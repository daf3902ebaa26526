"""Which picture is asked for so that a tile can be read from it.

A cached WMS answers a window that coincides with the pixel grid of one of its zoom levels by
cropping, and every other window by resampling, which blends legend colours. Such a window costs
nothing on servers without a cache, and its pixels are always square.
"""

import math
from dataclasses import dataclass

from affine import Affine
from pyproj import Transformer

from pipeline.grid import PatchGrid
from pipeline.osm_landuse.errors import WmsContractError

WEB_MERCATOR = "EPSG:3857"

WEB_MERCATOR_EDGE_M = 20037508.342789244
"""Half the width of the square web-mercator world: pi x 6378137 m (EPSG:3857)."""

_CACHE_TILE_PIXELS = 256
_MARGIN_PIXELS = 2
_MOST_PIXELS = 16_000_000
"""MapProxy's default limit, 4000 x 4000."""

_RELEASED_EXPANSION = 0.1
_RELEASED_OVERSAMPLING = 2
"""The authors' script asks for the box grown by a tenth on each side, at twice the tile's pixels.

Source: github.com/zhu-xlab/CromSS, 1-download_osm script, SIZE_BUFF = 10, SIZE_EXPAND = 2.
"""


@dataclass(frozen=True)
class MapRequest:
    """One GetMap window in EPSG:3857.

    Attributes:
        bounds: Left, bottom, right, top, metres of the projection (larger than ground metres).
        width: Columns.
        height: Rows.
    """

    bounds: tuple[float, float, float, float]
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) of a corner to EPSG:3857 coordinates."""
        left, bottom, right, top = self.bounds
        return Affine(
            (right - left) / self.width, 0.0, left, 0.0, (bottom - top) / self.height, top
        )


def aligned_request(
    grid: PatchGrid,
    ground_resolution_m: float,
    max_width: int | None = None,
    max_height: int | None = None,
) -> MapRequest:
    """The window over a tile on the pixel grid of a web-mercator zoom level.

    The zoom is the coarsest whose pixels are at most ``ground_resolution_m`` on the ground at the
    tile's centre; it is lowered where the server's largest map would be exceeded.

    Args:
        grid: The tile.
        ground_resolution_m: Wanted ground size of a pixel, metres.
        max_width: Most columns the server gives, None when unlimited.
        max_height: Most rows the server gives, None when unlimited.

    Raises:
        WmsContractError: Within the server's limits pixels would be coarser than the tile's.
    """
    left, bottom, right, top = _mercator_bounds(grid)
    shrink = _ground_scale(grid)
    zoom = math.ceil(math.log2(_resolution(0) * shrink / ground_resolution_m))
    while _resolution(zoom) * shrink <= grid.resolution:
        size = _resolution(zoom)
        first_column = math.floor((left + WEB_MERCATOR_EDGE_M) / size) - _MARGIN_PIXELS
        last_column = math.ceil((right + WEB_MERCATOR_EDGE_M) / size) + _MARGIN_PIXELS
        first_row = math.floor((WEB_MERCATOR_EDGE_M - top) / size) - _MARGIN_PIXELS
        last_row = math.ceil((WEB_MERCATOR_EDGE_M - bottom) / size) + _MARGIN_PIXELS
        width, height = last_column - first_column, last_row - first_row
        if _fits(width, height, max_width, max_height):
            bounds = (
                first_column * size - WEB_MERCATOR_EDGE_M,
                WEB_MERCATOR_EDGE_M - last_row * size,
                last_column * size - WEB_MERCATOR_EDGE_M,
                WEB_MERCATOR_EDGE_M - first_row * size,
            )
            return MapRequest(bounds, width, height)
        zoom -= 1
    raise WmsContractError(
        f"the server's largest map ({max_width} x {max_height}) cannot hold a tile of {grid.shape} "
        f"pixels at {grid.resolution:g} m; use smaller tiles or another server"
    )


def released_request(grid: PatchGrid) -> MapRequest:
    """The window of the authors' script: a tenth larger on each side, twice the tile's pixels."""
    left, bottom, right, top = _mercator_bounds(grid)
    grow_x = (right - left) * _RELEASED_EXPANSION
    grow_y = (top - bottom) * _RELEASED_EXPANSION
    width, height = (  # cut, not rounded, as in the script
        int(size * (1 + 2 * _RELEASED_EXPANSION) * _RELEASED_OVERSAMPLING)
        for size in (grid.width, grid.height)
    )
    return MapRequest((left - grow_x, bottom - grow_y, right + grow_x, top + grow_y), width, height)


def _mercator_bounds(grid: PatchGrid) -> tuple[float, float, float, float]:
    transformer = Transformer.from_crs(grid.epsg, 3857, always_xy=True)
    left, bottom, right, top = transformer.transform_bounds(*grid.bounds, densify_pts=21)
    return left, bottom, right, top


def _ground_scale(grid: PatchGrid) -> float:
    """Ground metres per projected metre at the tile's centre: the cosine of its latitude."""
    left, bottom, right, top = grid.bounds
    transformer = Transformer.from_crs(grid.epsg, 4326, always_xy=True)
    latitude = transformer.transform((left + right) / 2, (bottom + top) / 2)[1]
    return math.cos(math.radians(latitude))


def _resolution(zoom: int) -> float:
    return float(2 * WEB_MERCATOR_EDGE_M / _CACHE_TILE_PIXELS / 2**zoom)


def _fits(width: int, height: int, max_width: int | None, max_height: int | None) -> bool:
    return (
        width <= (max_width or width)
        and height <= (max_height or height)
        and width * height <= _MOST_PIXELS
    )
