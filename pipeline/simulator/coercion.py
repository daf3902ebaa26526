"""Arguments brought to the type that a function's signature declares."""

from collections.abc import Callable, Mapping
from typing import Any

import shapely

from pipeline.simulator.collection import Collection
from pipeline.simulator.image import Image, constant_image
from pipeline.simulator.projection import Projection, parse_projection
from pipeline.simulator.refusal import EarthEngineError, wrong_type
from pipeline.simulator.values import (
    Closure,
    Date,
    DateRange,
    Feature,
    Geometry,
    geojson_shape,
    outline_of,
)


def coerce(value: Any, declared: str, where: str) -> Any:
    """A value as the declared type, e.g. a number as a constant image.

    Args:
        value: Not None.
        declared: Type of the signature, e.g. ``List<String>``.
        where: The function and argument, for the message.

    Raises:
        EarthEngineError: It cannot be one.
    """
    base, _, inner = declared.partition("<")
    if base == "List":
        return _list(value, inner.removesuffix(">"), where)
    if base in _COERCIONS:
        return _COERCIONS[base](value, where)
    return value


def single_projection(image: Image) -> Projection:
    """The projection that all bands of an image share.

    Raises:
        EarthEngineError: They differ.
    """
    projections = {band.projection for band in image.bands}
    if len(projections) != 1:
        raise EarthEngineError(
            "Image.projection: The bands of the specified image contains different projections. "
            "Use Image.select to pick a single band."
        )
    return projections.pop() or parse_projection("EPSG:4326")


def _list(value: Any, inner: str, where: str) -> list[Any]:
    if isinstance(value, Collection):
        value = list(value.elements)
    if not isinstance(value, list):
        raise wrong_type(where, f"List<{inner or 'Object'}>", value)
    if not inner or inner == "Object":
        return value
    return [coerce(item, inner, where) if item is not None else None for item in value]


def _image(value: Any, where: str) -> Image:
    if isinstance(value, Image):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return constant_image(value)
    raise wrong_type(where, "Image<unknown bands>", value)


def _element(value: Any, where: str) -> Image | Feature:
    if isinstance(value, Image | Feature):
        return value
    raise wrong_type(where, "Element", value)


def _geometry(value: Any, where: str) -> Geometry:
    if isinstance(value, Geometry):
        return value
    if isinstance(value, Collection):
        return Geometry(shapely.union_all([outline_of(element) for element in value.elements]))
    if isinstance(value, Feature) and value.geometry is not None:
        return value.geometry
    if isinstance(value, Image) and value.geometry is not None:
        return Geometry(value.geometry)
    if isinstance(value, dict) and "type" in value:
        return Geometry(geojson_shape(value))
    raise wrong_type(where, "Geometry", value)


def _projection(value: Any, where: str) -> Projection:
    if isinstance(value, Projection):
        return value
    if isinstance(value, str):
        return parse_projection(value)
    if isinstance(value, Image):
        return single_projection(value)
    raise wrong_type(where, "Projection", value)


def _collection(value: Any, where: str) -> Collection:
    if isinstance(value, Collection):
        return value
    if isinstance(value, list):
        return Collection.of(value)
    raise wrong_type(where, "FeatureCollection", value)


def _date(value: Any, where: str) -> Date:
    if isinstance(value, str | int | float | Date) and not isinstance(value, bool):
        return Date.parse(value)
    raise wrong_type(where, "Date", value)


def _date_range(value: Any, where: str) -> DateRange:
    if isinstance(value, DateRange):
        return value
    if isinstance(value, list) and len(value) == 2:
        return DateRange(_date(value[0], where), _date(value[1], where))
    start = _date(value, where)
    return DateRange(start, Date(start.millis + 1))


def _integer(value: Any, where: str) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return int(value)
    raise wrong_type(where, "Integer", value)


def _number(value: Any, where: str) -> int | float:
    if isinstance(value, int | float):
        return value
    raise wrong_type(where, "Number", value)


def _string(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    raise wrong_type(where, "String", value)


def _boolean(value: Any, where: str) -> bool:
    if isinstance(value, bool | int | float):
        return bool(value)
    raise wrong_type(where, "Boolean", value)


def _dictionary(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise wrong_type(where, "Dictionary", value)


def _closure(value: Any, where: str) -> Closure:
    if isinstance(value, Closure):
        return value
    raise wrong_type(where, "Algorithm", value)


def _filter(value: Any, where: str) -> Any:
    if hasattr(value, "accepts"):
        return value
    raise wrong_type(where, "Filter", value)


_COERCIONS: Mapping[str, Callable[[Any, str], Any]] = {
    "Algorithm": _closure,
    "Boolean": _boolean,
    "Date": _date,
    "DateRange": _date_range,
    "Dictionary": _dictionary,
    "Element": _element,
    "Feature": _element,
    "FeatureCollection": _collection,
    "Filter": _filter,
    "Float": _number,
    "Geometry": _geometry,
    "Image": _image,
    "ImageCollection": _collection,
    "Integer": _integer,
    "Long": _integer,
    "Number": _number,
    "Projection": _projection,
    "String": _string,
}
