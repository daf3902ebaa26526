"""Values of expressions as the JSON of the REST API."""

from typing import Any

import numpy as np
from affine import Affine
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from pipeline.simulator.collection import Collection
from pipeline.simulator.image import Image
from pipeline.simulator.projection import LONLAT, Projection
from pipeline.simulator.raster import Band
from pipeline.simulator.refusal import not_implemented
from pipeline.simulator.values import Date, Feature, Geometry


def to_json(value: Any) -> Any:
    """A value as JSON, in the form that ``value:compute`` answers.

    Raises:
        EarthEngineError: The type has no JSON form here.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case np.generic():
            return to_json(value.item())
        case float():
            return value if np.isfinite(value) else None
        case list() | tuple():
            return [to_json(item) for item in value]
        case dict():
            return {key: to_json(item) for key, item in value.items()}
        case Date():
            return {"type": "Date", "value": value.millis}
        case Projection():
            return _projection_json(value)
        case Geometry():
            return geometry_json(value.lonlat)
        case Feature():
            return _feature_json(value)
        case Image():
            return _image_json(value)
        case Collection():
            return _collection_json(value)
    raise not_implemented(f"a result of the type {type(value).__name__}")


def geometry_json(outline: BaseGeometry) -> dict[str, Any]:
    """A shape in longitude and latitude as GeoJSON."""
    return dict(mapping(outline))


def _projection_json(projection: Projection) -> dict[str, Any]:
    return {
        "type": "Projection",
        "crs": projection.crs,
        "transform": list(projection.transform)[:6],
    }


def _feature_json(feature: Feature) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": to_json(feature.geometry),
        "properties": to_json(feature.properties),
    }


def _image_json(image: Image) -> dict[str, Any]:
    properties = to_json(image.properties)
    if image.geometry is not None:
        properties["system:footprint"] = geometry_json(image.geometry)
    described = {
        "type": "Image",
        "bands": [_band_json(band) for band in image.bands],
        "properties": properties,
    }
    return described if image.asset_id is None else {**described, "id": image.asset_id}


def _band_json(band: Band) -> dict[str, Any]:
    projection = band.projection or Projection(LONLAT, Affine.identity())
    return {
        "id": band.name,
        "data_type": _type_json(band.dtype),
        "crs": projection.crs,
        "crs_transform": list(projection.transform)[:6],
    }


def _type_json(dtype: np.dtype[Any]) -> dict[str, Any]:
    if dtype.kind == "f":
        precision = "float" if dtype.itemsize == 4 else "double"
        return {"type": "PixelType", "precision": precision}
    limits = np.iinfo(dtype)
    return {"type": "PixelType", "precision": "int", "min": limits.min, "max": limits.max}


def _collection_json(collection: Collection) -> dict[str, Any]:
    described = {
        "type": "ImageCollection" if collection.of_images else "FeatureCollection",
        "features": to_json(collection.elements),
    }
    return described if collection.asset_id is None else {**described, "id": collection.asset_id}
