"""``ee.Projection``, and what moves images between pixel grids."""

from dataclasses import replace
from typing import Any

from pipeline.simulator.coercion import single_projection
from pipeline.simulator.graph import implements
from pipeline.simulator.image import Image
from pipeline.simulator.projection import Projection, affine_from, parse_projection
from pipeline.simulator.refusal import EarthEngineError, not_implemented


@implements("Projection")
def _projection(crs: Any, transform: list[float] | None, transformWkt: str | None) -> Projection:
    if transformWkt is not None:
        raise not_implemented("the argument 'transformWkt' of Projection")
    if isinstance(crs, Projection):
        return crs
    if not isinstance(crs, str):
        raise EarthEngineError("Projection: The CRS of a map projection must be a text.")
    return parse_projection(crs, transform)


@implements("Projection.crs")
def _crs(projection: Projection) -> str:
    return projection.crs


@implements("Projection.nominalScale")
def _nominal_scale(proj: Projection) -> float:
    return proj.nominal_scale


@implements("Image.projection")
def _image_projection(image: Image) -> Projection:
    return single_projection(image)


@implements("Image.resample")
def _resample(image: Image, mode: str) -> Image:
    if mode == "bicubic":
        raise not_implemented("bicubic resampling")
    if mode != "bilinear":
        raise EarthEngineError(f"Image.resample: Unrecognized mode '{mode}'.")
    return image.mapped(lambda band: band.resampled("bilinear"))


@implements("Image.reproject")
def _reproject(
    image: Image, crs: Projection, crsTransform: list[float] | None, scale: float | None
) -> Image:
    target = _target(crs, crsTransform, scale)
    return image.mapped(lambda band: band.reprojected(target))


@implements("Image.setDefaultProjection")
def _set_default_projection(
    image: Image, crs: Projection, crsTransform: list[float] | None, scale: float | None
) -> Image:
    target = _target(crs, crsTransform, scale)
    return image.mapped(lambda band: replace(band, projection=target))


def _target(crs: Projection, crs_transform: list[float] | None, scale: float | None) -> Projection:
    if crs_transform is not None and scale is not None:
        raise EarthEngineError("Image.reproject: Cannot specify both crsTransform and scale.")
    if crs_transform is not None:
        return Projection(crs.epsg, affine_from(crs_transform))
    return crs.scaled_to(scale) if scale is not None else crs
