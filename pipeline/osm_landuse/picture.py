"""Pictures as servers send them, decoded completely or not at all.

Pillow, not GDAL: GDAL reads a truncated PNG without complaint, its missing rows black.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.osm_landuse.errors import WmsPayloadError

Rgb = tuple[int, int, int]


def read_picture(body: bytes) -> NDArray[np.uint8]:
    """Decode a picture file into (rows, columns, 4) uint8: red, green, blue, opacity.

    Raises:
        WmsPayloadError: It is no picture, or not all of one.
    """
    try:
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            return np.asarray(image.convert("RGBA"))
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        raise WmsPayloadError(
            f"expected a picture, got {len(body)} bytes starting {body[:16]!r}: {error}"
        ) from None


def packed_colours(picture: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Each pixel's colour as one number, 0xRRGGBB: (rows, columns, 4) to (rows, columns)."""
    channels = picture.astype(np.int32)
    packed: NDArray[np.int32] = (
        (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]
    )
    return packed


def unpacked_colour(packed: int) -> Rgb:
    """Red, green and blue of 0xRRGGBB."""
    return packed >> 16, packed >> 8 & 255, packed & 255


def map_colours(
    picture: NDArray[np.uint8], numbers_of: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Number every pixel by its colour, asking once per colour that occurs.

    Args:
        picture: (rows, columns, 4) uint8.
        numbers_of: Gives the number of each colour, (colours, 3) to (colours,).

    Returns:
        (rows, columns) uint8.
    """
    packed = packed_colours(picture)
    occurs = np.zeros(1 << 24, bool)
    occurs[packed] = True
    colours = np.flatnonzero(occurs)
    table = np.zeros(1 << 24, np.uint8)
    table[colours] = numbers_of(np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1))
    numbers: NDArray[np.uint8] = table[packed]
    return numbers


def is_opaque(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels are at least half opaque."""
    return picture[..., 3] >= 128
