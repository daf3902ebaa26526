"""From a stored picture to the labels of a tile, offline and repeatable.

Three steps keep every class that was painted and invent none: a pixel counts only if its colour is
within a limit of a legend colour and no blended edge (which is one pixel wide and falls out), the
picture is sampled by nearest on a grid four times finer than the tile's, and each tile pixel takes
the majority of its 16 samples. Colours between the legend's are reported: a solid block of one is a
class we do not know.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import Resampling, reproject

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.cleaning import opened, sieved
from pipeline.osm_landuse.map_request import WEB_MERCATOR, MapRequest
from pipeline.osm_landuse.picture import (
    Rgb,
    is_opaque,
    map_colours,
    packed_colours,
    unpacked_colour,
)
from pipeline.osm_landuse.released import decode_as_released
from pipeline.settings.osm_landuse import OsmLanduseSettings

BACKGROUND = 254
"""Picture pixel in the background colour, white: mapped by nobody."""

UNKNOWN = 255
"""Picture pixel whose colour is in no legend row."""

BACKGROUND_RGB = (255, 255, 255)

_FINER = 4
_MIN_KNOWN_SHARE = 0.25
_MIN_WINNING_SHARE = 0.5
_SOLID_BLOCK = 8
"""Side of the smallest solid block that is reported, pixels: wider than any blended edge."""


class TileStatus(StrEnum):
    """What a tile's picture turned out to be."""

    LABELLED = "labelled"
    EMPTY = "empty"
    """Nobody has mapped anything here, or so the server says; not an error."""
    UNKNOWN_COLOURS = "unknown_colours"
    """Too many pixels in no legend colour: broken or foreign, so nothing was labelled."""


@dataclass(frozen=True, eq=False)
class DecodedTile:
    """Labels of one tile and what there is to say about its picture.

    Attributes:
        label: (y, x) uint8 on the tile's grid, ids of the legend ``osm_landuse``, 255 = no label.
        status: See `TileStatus`.
        unknown_share: Share of picture pixels in no legend colour.
        unknown_colours: Colours in no legend row that fill a solid block somewhere.
    """

    label: NDArray[np.uint8]
    status: TileStatus
    unknown_share: float
    unknown_colours: tuple[Rgb, ...]


def decode_tile(
    picture: NDArray[np.uint8], request: MapRequest, grid: PatchGrid, settings: OsmLanduseSettings
) -> DecodedTile:
    """Read the labels of a tile from its picture.

    Args:
        picture: (rows, columns, 4) uint8, red, green, blue, opacity.
        request: The window that the picture shows.
        grid: The tile.
        settings: Colour limit, decoding, cleaning.
    """
    ids = without_hairlines(classify_colours(picture, settings.colour_limit))
    unknown_share = float((ids == UNKNOWN).mean())
    unknown_colours = solid_unknown_colours(picture, ids)
    label = np.full(grid.shape, UNLABELLED, np.uint8)
    status = TileStatus.UNKNOWN_COLOURS
    if unknown_share <= settings.unknown_share_max:
        label = _label(picture, ids, request, grid, settings)
        status = TileStatus.LABELLED if (label != UNLABELLED).any() else TileStatus.EMPTY
    return DecodedTile(label, status, unknown_share, unknown_colours)


def _label(
    picture: NDArray[np.uint8],
    ids: NDArray[np.uint8],
    request: MapRequest,
    grid: PatchGrid,
    settings: OsmLanduseSettings,
) -> NDArray[np.uint8]:
    if settings.decoding == "released":
        return decode_as_released(picture, request, grid)
    label = majority_label(ids, request, grid)
    if settings.cleaning == "sieve":
        return sieved(label)
    if settings.cleaning == "opening":
        return opened(label, UNLABELLED)
    return label


def classify_colours(picture: NDArray[np.uint8], colour_limit: int) -> NDArray[np.uint8]:
    """Class id of each picture pixel.

    A pixel is of a class if none of its channels differs from the legend colour by more than the
    limit (Chebyshev distance). The closest legend colours are 25 apart, so up to 12 the answer is
    unique. Transparent pixels are background.

    Args:
        picture: (rows, columns, 4) uint8.
        colour_limit: Largest difference in one channel, levels.

    Returns:
        (rows, columns) uint8: class id, `BACKGROUND` or `UNKNOWN`.
    """
    classes = load_legend("osm_landuse")
    palette = np.array([row.rgb for row in classes] + [BACKGROUND_RGB])
    ids = np.array([row.id for row in classes] + [BACKGROUND], np.uint8)

    def ids_of(colours: NDArray[np.int64]) -> NDArray[np.uint8]:
        distance = np.abs(colours[:, None] - palette[None]).max(axis=-1)
        near = distance.min(axis=1) <= colour_limit
        return np.where(near, ids[distance.argmin(axis=1)], UNKNOWN).astype(np.uint8)

    found = map_colours(picture, ids_of)
    return np.where(is_opaque(picture), found, BACKGROUND).astype(np.uint8)


def without_hairlines(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mark as unknown what is one pixel wide and lies directly beside another class.

    A blended edge is one pixel wide, and its colour may happen to lie near that of a third class:
    that is the one way in which a class that was not there could come in. Such a pixel touches one
    of the classes it blends. What is really there is at least two pixels wide, or thin between
    blends of its own; straight edges in any direction are left as they are.

    Args:
        ids: (rows, columns) uint8, from `classify_colours`.
    """
    thin = ~_in_blocks(ids)
    surrounded = np.pad(ids, 1, mode="edge")
    beside_another = np.zeros(ids.shape, bool)
    for neighbour in (
        surrounded[:-2, 1:-1],
        surrounded[2:, 1:-1],
        surrounded[1:-1, :-2],
        surrounded[1:-1, 2:],
    ):
        beside_another |= (neighbour != ids) & (neighbour != UNKNOWN)
    return np.where(thin & beside_another, UNKNOWN, ids).astype(np.uint8)


def _in_blocks(ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels belong to a 2 x 2 block of their id."""
    corner = ids[:-1, :-1]
    block = (corner == ids[1:, :-1]) & (corner == ids[:-1, 1:]) & (corner == ids[1:, 1:])
    inside = np.zeros(ids.shape, bool)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            inside[rows, columns] |= block
    return inside


def solid_unknown_colours(picture: NDArray[np.uint8], ids: NDArray[np.uint8]) -> tuple[Rgb, ...]:
    """Colours in no legend row that fill a solid block: a class we do not know, not a blended edge.

    Args:
        picture: (rows, columns, 4) uint8.
        ids: What `classify_colours` made of it.
    """
    colours = np.where(ids == UNKNOWN, packed_colours(picture).astype(np.int64), -1)
    corners = colours[:: _SOLID_BLOCK // 2, :: _SOLID_BLOCK // 2]
    first = corners[:-1, :-1]
    solid = (
        (first >= 0)
        & (first == corners[1:, :-1])
        & (first == corners[:-1, 1:])
        & (first == corners[1:, 1:])
    )
    return tuple(unpacked_colour(int(colour)) for colour in np.unique(first[solid]))


def majority_label(
    ids: NDArray[np.uint8], request: MapRequest, grid: PatchGrid
) -> NDArray[np.uint8]:
    """Labels of a tile by majority over 4 x 4 nearest samples per pixel.

    Unknown colours do not vote; the background does. A pixel stays unlabelled if fewer than a
    quarter of its samples are known or no class has half of the known ones.

    Args:
        ids: (rows, columns) uint8, from `classify_colours`.
        request: The window that the picture shows.
        grid: The tile.

    Returns:
        (y, x) uint8 on the grid, 255 = no label.
    """
    finer = PatchGrid(
        grid.epsg,
        grid.left,
        grid.top,
        grid.height * _FINER,
        grid.width * _FINER,
        grid.resolution / _FINER,
    )
    samples = np.full(finer.shape, UNKNOWN, np.uint8)
    reproject(
        ids,
        samples,
        src_transform=request.transform,
        src_crs=CRS.from_string(WEB_MERCATOR),
        src_nodata=UNKNOWN,
        dst_transform=finer.transform,
        dst_crs=CRS.from_epsg(grid.epsg),
        dst_nodata=UNKNOWN,
        resampling=Resampling.nearest,
        tolerance=0.05,
    )
    votes = _votes(samples, grid)
    known = votes.sum(axis=1)
    winner = votes.argmax(axis=1)
    most = votes.max(axis=1)
    background = votes.shape[1] - 1
    decided = (
        (known >= _MIN_KNOWN_SHARE * _FINER**2)
        & (most >= _MIN_WINNING_SHARE * known)
        & (winner != background)
    )
    return np.where(decided, winner, UNLABELLED).astype(np.uint8).reshape(grid.shape)


def _votes(samples: NDArray[np.uint8], grid: PatchGrid) -> NDArray[np.int64]:
    """Samples per tile pixel and candidate: (pixels, classes + 1), the background last."""
    classes = len(load_legend("osm_landuse"))
    tiled = samples.reshape(grid.height, _FINER, grid.width, _FINER).swapaxes(1, 2)
    blocks = tiled.reshape(grid.height * grid.width, _FINER**2)
    candidate = np.where(blocks == BACKGROUND, classes, blocks).astype(np.int64)
    candidate = np.where(blocks == UNKNOWN, classes + 1, candidate)
    pixels = np.arange(len(blocks))[:, None] * (classes + 2)
    counts = np.bincount((pixels + candidate).ravel(), minlength=len(blocks) * (classes + 2))
    return counts.reshape(len(blocks), classes + 2)[:, : classes + 1]
