"""``ee.Element``, ``ee.Feature``: properties of images and features."""

from dataclasses import replace
from typing import Any

from pipeline.simulator.graph import implements
from pipeline.simulator.values import Element, Feature, Geometry, field_of


def with_properties(element: Element, properties: dict[str, Any]) -> Element:
    """The element with properties added or replaced."""
    return replace(element, properties={**element.properties, **properties})


@implements("Feature")
def _feature(geometry: Geometry | None, metadata: dict[str, Any], geometryKey: Any) -> Feature:
    return Feature(geometry, dict(metadata))


@implements("Element.get", "Element.getString", "Element.getNumber")
def _get(object: Element, property: str) -> Any:
    return field_of(object, property)


@implements("Element.set")
def _set(object: Element, key: str, value: Any) -> Element:
    return with_properties(object, {key: value})


@implements("Element.setMulti")
def _set_multi(object: Element, properties: dict[str, Any]) -> Element:
    return with_properties(object, properties)


@implements("Element.propertyNames")
def _property_names(element: Element) -> list[str]:
    return sorted(element.properties)


@implements("Element.toDictionary")
def _to_dictionary(element: Element, properties: list[str] | None) -> dict[str, Any]:
    """The named properties, or all but those of the system."""
    if properties is not None:
        return {name: field_of(element, name) for name in properties}
    return {
        name: value for name, value in element.properties.items() if not name.startswith("system:")
    }


@implements("Image.id")
def _id(element: Element) -> Any:
    return element.properties.get("system:index")
