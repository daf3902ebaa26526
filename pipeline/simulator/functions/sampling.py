"""``Image.sampleRectangle``: pixels as JSON, the way the reference scripts fetch them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.graph import implements
from pipeline.simulator.image import Image
from pipeline.simulator.projection import Projection
from pipeline.simulator.raster import Band
from pipeline.simulator.refusal import EarthEngineError, not_implemented
from pipeline.simulator.values import Feature, Geometry

MAX_SAMPLE_PIXELS = 262_144
"""Source: https://developers.google.com/earth-engine/apidocs/ee-image-samplerectangle"""

_PIXEL_TOLERANCE = 1e-6


@implements("Image.toArray")
def _to_array(image: Image, axis: int) -> Image:
    """The bands packed into one array-valued band; only `sampleRectangle` can read it."""
    if axis != 0:
        raise not_implemented("Image.toArray along another axis than 0")
    return replace(image, as_array=True)


@implements("Image.sampleRectangle")
def _sample_rectangle(
    image: Image,
    region: Geometry | None,
    properties: Any,
    defaultValue: float | None,
    defaultArrayValue: Any,
) -> Feature:
    """Each band's pixels on its own grid, those that the region's bounding box touches."""
    if region is None:
        raise not_implemented("Image.sampleRectangle without a region")
    arrays = {band.name: _sampled(band, region, defaultValue) for band in image.bands}
    if image.as_array:
        return Feature(region, {"array": np.stack(list(arrays.values()), axis=-1).tolist()})
    return Feature(region, {name: values.tolist() for name, values in arrays.items()})


def _sampled(band: Band, region: Geometry, default: float | None) -> NDArray[Any]:
    if band.projection is None:
        raise EarthEngineError("Image.sampleRectangle: The image has no fixed projection.")
    row_start, row_stop, col_start, col_stop = _covering_window(region, band.projection)
    count = (row_stop - row_start) * (col_stop - col_start)
    if count > MAX_SAMPLE_PIXELS:
        raise EarthEngineError(
            "Image.sampleRectangle: Too many pixels in sample; "
            f"must be <= {MAX_SAMPLE_PIXELS}. Got {count}."
        )
    values, valid = band.own_window()(row_start, row_stop, col_start, col_stop)
    if valid.all():
        return values
    if default is None:
        raise EarthEngineError(
            "Image.sampleRectangle: Fully or partially masked pixels / pixels outside of the "
            f"image footprint when sampling band '{band.name}' with no default value set. "
            "Note that calling sampleRectangle() on an image after ee.Image.clip() may result in "
            "a sampling bounding box outside the geometry passed to clip()."
        )
    return np.where(valid, values, default)


def _covering_window(region: Geometry, projection: Projection) -> tuple[int, int, int, int]:
    """Rows and columns of a band's grid that a region's bounding box touches."""
    left, bottom, right, top = region.in_crs(projection.epsg).bounds
    first, last = ~projection.transform @ (left, top), ~projection.transform @ (right, bottom)
    (col_start, row_start), (col_stop, row_stop) = (
        (math.floor(min(a, b) + _PIXEL_TOLERANCE) for a, b in zip(first, last, strict=True)),
        (math.ceil(max(a, b) - _PIXEL_TOLERANCE) for a, b in zip(first, last, strict=True)),
    )
    return row_start, row_stop, col_start, col_stop
