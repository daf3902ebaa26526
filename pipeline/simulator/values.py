"""What an expression can evaluate to, besides JSON values and images."""

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from pipeline.simulator import utm
from pipeline.simulator.image import Image
from pipeline.simulator.projection import LONLAT, METRES_PER_DEGREE, reproject
from pipeline.simulator.refusal import EarthEngineError

_EDGE_STEP_M = 500.0
_MAX_STEPS_PER_SIDE = 64
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(T.*)?")
"""Of ISO 8601 what both the service and Python read; not 20210401, not 2021-W13."""


@dataclass(frozen=True, order=True)
class Date:
    """An instant, in milliseconds since 1970 UTC."""

    millis: int

    @classmethod
    def parse(cls, value: Any) -> "Date":
        """A date from a date, milliseconds or ISO 8601 text.

        Raises:
            EarthEngineError: None of these.
        """
        if isinstance(value, Date):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return cls(int(value))
        if isinstance(value, str):
            return cls.from_datetime(_parse_iso(value))
        raise EarthEngineError(f"Date: Cannot parse '{value}'.")

    @classmethod
    def from_datetime(cls, moment: datetime.datetime) -> "Date":
        """A date from a datetime; without a time zone it is UTC."""
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return cls(round(moment.timestamp() * 1000))

    @property
    def utc(self) -> datetime.datetime:
        """The same instant as a datetime in UTC."""
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return epoch + datetime.timedelta(milliseconds=self.millis)


@dataclass(frozen=True)
class DateRange:
    """Instants from ``start`` up to, not including, ``end``."""

    start: Date
    end: Date


@dataclass(frozen=True, eq=False)
class Geometry:
    """A shape drawn with straight edges in some CRS.

    Attributes:
        drawn: The shape in the CRS that it was drawn in.
        epsg: That CRS; edges in longitude and latitude count as straight lines, not geodesics.
    """

    drawn: BaseGeometry
    epsg: int = LONLAT

    @cached_property
    def lonlat(self) -> BaseGeometry:
        """The shape in longitude and latitude, its edges densified."""
        return self.drawn if self.epsg == LONLAT else self.in_crs(LONLAT)

    def in_crs(self, epsg: int) -> BaseGeometry:
        """The shape in any CRS, its edges densified where they would bend."""
        if epsg == self.epsg:
            return self.drawn
        return moved_shape(self.drawn, self.epsg, epsg)


@dataclass(frozen=True, eq=False)
class Feature:
    """A geometry with properties."""

    geometry: Geometry | None = None
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Closure:
    """A function of the expression, called with positional arguments."""

    argument_names: tuple[str, ...]
    call: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        """The value of the function's body."""
        if len(arguments) != len(self.argument_names):
            raise EarthEngineError(
                f"A function of {len(self.argument_names)} arguments was given {len(arguments)}."
            )
        return self.call(*arguments)


Element = Image | Feature
"""What collections hold."""


def moved_shape(outline: BaseGeometry, source_epsg: int, target_epsg: int) -> BaseGeometry:
    """A shape in another CRS, its edges densified so that they bend with the projection.

    From a UTM zone to longitude and latitude it is cut in two at the 180th meridian.
    """
    left, bottom, right, top = outline.bounds
    extent = max(right - left, top - bottom)
    if extent > 0.0:
        step = _EDGE_STEP_M if source_epsg != LONLAT else _EDGE_STEP_M / METRES_PER_DEGREE
        outline = shapely.segmentize(outline, max(step, extent / _MAX_STEPS_PER_SIDE))
    if target_epsg == LONLAT and utm.is_utm(source_epsg) and outline.area > 0.0:
        return utm.lonlat_outline(source_epsg, outline)
    return shapely.transform(
        outline,
        lambda xy: np.column_stack(reproject(xy[:, 0], xy[:, 1], source_epsg, target_epsg)),
    )


def outline_of(value: Any) -> BaseGeometry:
    """Longitude and latitude outline of a geometry, an element or a GeoJSON dictionary.

    Raises:
        EarthEngineError: It has none.
    """
    if isinstance(value, Image | Feature):
        value = value.geometry
    if isinstance(value, Geometry):
        return value.lonlat
    if isinstance(value, BaseGeometry):
        return value
    if isinstance(value, dict) and "type" in value:
        return geojson_shape(value)
    raise EarthEngineError(f"A {type(value).__name__} has no geometry.")


def geojson_shape(geojson: dict[str, Any]) -> BaseGeometry:
    """The shape of a GeoJSON geometry or feature.

    Raises:
        EarthEngineError: It is not one.
    """
    inner = geojson.get("geometry") if geojson.get("type") == "Feature" else geojson
    try:
        return shape(inner)
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError):
        raise EarthEngineError(f"Geometry: Cannot read the GeoJSON {str(geojson)[:200]}.") from None


def field_of(element: Any, name: str) -> Any:
    """A property of an element, or its geometry (``.geo``, ``.all``); None where it has none."""
    if name in (".geo", ".all"):
        return element.geometry
    if name == "system:id" and isinstance(element, Image):
        return element.asset_id
    return element.properties.get(name)


def _parse_iso(text: str) -> datetime.datetime:
    try:
        if _ISO_DATE.fullmatch(text):
            return datetime.datetime.fromisoformat(text)
    except ValueError:
        pass
    raise EarthEngineError(f"Invalid date string '{text}'.")
