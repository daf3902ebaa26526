"""The server's legend picture against our class table.

A legend picture carries no numbers and its row order is presentation, so classes are never numbered
by it. It only proves, before the first tile, that the server still paints every class in the colour
the table says and paints nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import features
from shapely.geometry import shape

from pipeline.legend import LandCoverClass
from pipeline.osm_landuse.errors import LegendMismatchError
from pipeline.osm_landuse.picture import (
    Rgb,
    is_opaque,
    packed_colours,
    read_picture,
    unpacked_colour,
)

_SWATCH_SIDE = 6
"""Smallest side of a swatch, pixels: larger than a stroke of lettering."""

_SWATCH_FILL = 0.9
"""Share of its bounding box that a swatch fills."""

_COLOUR_TOLERANCE = 2
"""Palette PNGs shift a colour by one or two levels."""


@dataclass(frozen=True)
class Swatch:
    """A filled rectangle of one colour in a legend picture, upper-left corner in pixels."""

    rgb: Rgb
    column: int
    row: int


def find_swatches(body: bytes) -> list[Swatch]:
    """The colour swatches of a legend picture, from top to bottom.

    A swatch is a connected filled rectangle of one colour other than the picture's commonest one.

    Raises:
        WmsPayloadError: The body is not a picture.
    """
    picture = read_picture(body)
    colours, opaque = packed_colours(picture), is_opaque(picture)
    values, counts = np.unique(colours[opaque], return_counts=True)
    if not len(values):
        return []
    large = values[(counts >= _SWATCH_SIDE**2) & (values != values[counts.argmax()])]
    candidates = opaque & np.isin(colours, large)
    found = [
        Swatch(unpacked_colour(int(value)), int(outline.bounds[0]), int(outline.bounds[1]))
        for geometry, value in features.shapes(colours, mask=candidates, connectivity=4)
        if _is_rectangle(outline := shape(geometry))
    ]
    return sorted(found, key=lambda swatch: (swatch.row, swatch.column))


def _is_rectangle(outline: shapely.Polygon) -> bool:
    left, top, right, bottom = outline.bounds
    width, height = right - left, bottom - top
    filled = outline.area >= _SWATCH_FILL * width * height
    return bool(min(width, height) >= _SWATCH_SIDE and filled)


def verify_legend(body: bytes, classes: Sequence[LandCoverClass]) -> list[int]:
    """Check that a legend picture shows every class of the table and no other.

    Returns:
        The class ids in the order of the legend's rows, for the record.

    Raises:
        LegendMismatchError: A class is missing or doubled, or a colour is in no row of the table.
        WmsPayloadError: The body is not a picture.
    """
    table = np.array([row.rgb for row in classes])
    order: list[int] = []
    unexpected: list[Rgb] = []
    for swatch in find_swatches(body):
        row = _matching_row(table, swatch.rgb)
        if row is None:
            unexpected.append(swatch.rgb)
        else:
            order.append(classes[row].id)
    missing = [row.name for row in classes if row.id not in order]
    doubled = sorted({number for number in order if order.count(number) > 1})
    if missing or unexpected or doubled:
        raise LegendMismatchError(
            f"the server's legend differs from classes.csv: missing {missing}, unexpected colours "
            f"{unexpected}, doubled ids {doubled}; is it the right layer, or did the legend change?"
        )
    return order


def _matching_row(table: NDArray[np.int64], rgb: Rgb) -> int | None:
    distance = np.abs(table - np.array(rgb)).max(axis=1)
    row = int(distance.argmin())
    return row if distance[row] <= _COLOUR_TOLERANCE else None
