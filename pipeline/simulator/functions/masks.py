"""``ee.Image``: validity of pixels."""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.simulator.graph import implements
from pipeline.simulator.image import Image, constant_image
from pipeline.simulator.projection import LONLAT, PixelGrid
from pipeline.simulator.raster import Band, Pixels, cast
from pipeline.simulator.refusal import EarthEngineError


@implements("Image.unmask")
def _unmask(input: Image, value: Image | None, sameFootprint: bool) -> Image:
    """Fills masked pixels; with ``sameFootprint`` only those inside the image's footprint."""
    filling = value if value is not None else constant_image(0)
    footprint = input.geometry if sameFootprint else None
    fillings = _one_per_band(filling, input, "Image.unmask")
    return input.with_bands(
        _filled(band, fill, footprint) for band, fill in zip(input.bands, fillings, strict=True)
    )


def _filled(band: Band, filling: Band, footprint: BaseGeometry | None) -> Band:
    def fill(grid: PixelGrid) -> Pixels:
        values, valid = band.evaluate(grid)
        if valid.all():
            return values, valid
        new_values, new_valid = filling.evaluate(grid)
        to_fill = ~valid & new_valid
        if footprint is not None:
            to_fill &= _inside(footprint, grid)
        return np.where(to_fill, cast(new_values, band.dtype), values), valid | to_fill

    return Band(band.name, band.dtype, band.projection, fill)


def _inside(footprint: BaseGeometry, grid: PixelGrid) -> NDArray[np.bool_]:
    lon, lat = np.broadcast_arrays(*grid.centres_in(LONLAT))
    return np.asarray(shapely.contains_xy(footprint, lon, lat))


@implements("Image.updateMask")
def _update_mask(image: Image, mask: Image) -> Image:
    masks = _one_per_band(mask, image, "Image.updateMask")
    return image.with_bands(
        _masked(band, chosen) for band, chosen in zip(image.bands, masks, strict=True)
    )


def _masked(band: Band, mask: Band) -> Band:
    def evaluate(grid: PixelGrid) -> Pixels:
        values, valid = band.evaluate(grid)
        keep, keep_valid = mask.evaluate(grid)
        return values, valid & keep_valid & (keep != 0)

    return Band(band.name, band.dtype, band.projection, evaluate)


@implements("Image.mask")
def _mask(image: Image, mask: Image | None) -> Image:
    """The validity as an image of 0 and 1; with a mask given, the image under it."""
    if mask is not None:
        return _update_mask(image, mask)
    return image.mapped(
        lambda band: band.mapped(
            lambda pixels: (pixels[1].astype(np.float32), np.ones_like(pixels[1])), np.float32
        )
    )


def _one_per_band(other: Image, image: Image, where: str) -> tuple[Band, ...]:
    if len(other.bands) == 1:
        return other.bands * len(image.bands)
    if len(other.bands) != len(image.bands):
        raise EarthEngineError(
            f"{where}: Got {len(other.bands)} bands for an image of {len(image.bands)}."
        )
    return other.bands
