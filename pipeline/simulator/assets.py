"""``getAsset`` and ``listAssets``: what the archive says of its scenes."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.simulator.collection import PUBLIC_ASSETS, SearchBounds
from pipeline.simulator.json_result import geometry_json, to_json
from pipeline.simulator.refusal import EarthEngineError, missing_asset, not_implemented
from pipeline.simulator.scene import Archive, Scene, SceneBand
from pipeline.simulator.values import Date, geojson_shape

_TIME_TERM = re.compile(r'(startTime|endTime)\s*(>=|<)\s*"([^"]+)"')
_PLACE_TERM = re.compile(r'intersects\("(.+)"\)')
_PROPERTY_TERM = re.compile(r'properties\.([\w:]+)\s*(<=|>=|!=|<|>|=)\s*"?([^"]+?)"?')
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}


def asset_json(archive: Archive, asset_id: str) -> dict[str, Any]:
    """The description of a scene or a collection, as ``assets.get`` answers.

    Raises:
        EarthEngineError: The archive has no such asset.
    """
    if asset_id in archive.collections:
        name = PUBLIC_ASSETS + asset_id
        return {"type": "IMAGE_COLLECTION", "name": name, "id": asset_id}
    scene = archive.get(asset_id)
    if scene is None:
        raise missing_asset(asset_id)
    return scene_json(scene)


def list_assets(archive: Archive, collection: str, condition: str) -> list[dict[str, Any]]:
    """The scenes of a collection that pass a filter, as ``assets.listAssets`` describes them.

    Args:
        archive: Where they are.
        collection: Its id.
        condition: The query parameter ``filter``: terms joined by AND.

    Raises:
        EarthEngineError: No such collection, no region, or a term we do not understand.
    """
    if collection not in archive.collections:
        raise missing_asset(collection)
    bounds, tests = SearchBounds(), []
    for term in filter(None, re.split(r"\s+AND\s+", condition)):
        term_bounds, test = _parse_term(term.strip())
        bounds = bounds.within(term_bounds)
        tests.append(test)
    if bounds.lonlat is None:
        raise not_implemented("listAssets without a region")
    found = archive.search(collection, bounds.lonlat, bounds.start_ms, bounds.end_ms)
    return [scene_json(scene) for scene in found if all(test(scene) for test in tests)]


def scene_json(scene: Scene) -> dict[str, Any]:
    """A scene as the REST API describes an image asset."""
    start = scene.properties["system:time_start"]
    end = scene.properties.get("system:time_end", start)
    return {
        "type": "IMAGE",
        "name": PUBLIC_ASSETS + scene.asset_id,
        "id": scene.asset_id,
        "startTime": _timestamp(start),
        "endTime": _timestamp(end),
        "geometry": geometry_json(scene.footprint),
        "properties": {
            name: to_json(value)
            for name, value in scene.properties.items()
            if not name.startswith("system:")
        },
        "bands": [_band_json(band, scene.epsg) for band in scene.bands.values()],
    }


def _parse_term(term: str) -> tuple[SearchBounds, Callable[[Scene], bool]]:
    """One term of a filter: where its scenes are, and the exact test."""
    if match := _TIME_TERM.fullmatch(term):
        moment = Date.parse(match[3]).millis
        if match[1] == "startTime" and match[2] == ">=":
            return SearchBounds(start_ms=moment), _anything
        if match[1] == "endTime" and match[2] == "<":
            return SearchBounds(end_ms=moment), _anything
    elif match := _PLACE_TERM.fullmatch(term):
        place = _parse_place(match[1])
        return SearchBounds(lonlat=place.bounds), lambda scene: scene.footprint.intersects(place)
    elif match := _PROPERTY_TERM.fullmatch(term):
        return SearchBounds(), _property_test(match[1], match[2], match[3])
    raise not_implemented(f"the filter term '{term}' of listAssets")


def _anything(scene: Scene) -> bool:
    return True


def _parse_place(text: str) -> BaseGeometry:
    """The region of a filter: the client writes GeoJSON with Python's quotes, or WKT."""
    try:
        return geojson_shape(ast.literal_eval(text.replace("\\", "")))
    except (SyntaxError, ValueError):
        pass
    try:
        return shapely.from_wkt(text)
    except shapely.errors.GEOSException:
        raise EarthEngineError(f"Cannot read the region '{text[:200]}'.") from None


def _property_test(name: str, comparison: str, text: str) -> Callable[[Scene], bool]:
    compare = _COMPARISONS[comparison]

    def test(scene: Scene) -> bool:
        value = scene.properties.get(name)
        if isinstance(value, int | float):
            return compare(value, float(text))
        return isinstance(value, str) and compare(value, text)

    return test


def _timestamp(millis: int) -> str:
    return Date(millis).utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _band_json(band: SceneBand, epsg: int) -> dict[str, Any]:
    """A band with its grid; Affine names the transform's terms a b c, d e f by rows."""
    transform = band.transform
    return {
        "id": band.name,
        "dataType": _type_json(band.dtype),
        "grid": {
            "crsCode": f"EPSG:{epsg}",
            "dimensions": {"width": band.width, "height": band.height},
            "affineTransform": {
                "scaleX": transform.a,
                "shearX": transform.b,
                "translateX": transform.c,
                "shearY": transform.d,
                "scaleY": transform.e,
                "translateY": transform.f,
            },
        },
    }


def _type_json(dtype: np.dtype[Any]) -> dict[str, Any]:
    if dtype.kind == "f":
        return {"precision": "FLOAT" if dtype.itemsize == 4 else "DOUBLE"}
    limits = np.iinfo(dtype)
    return {"precision": "INT", "range": {"min": int(limits.min), "max": int(limits.max)}}
