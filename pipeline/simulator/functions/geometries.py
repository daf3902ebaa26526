"""``ee.Geometry``: shapes in longitude and latitude or in a projection."""

from typing import Any

import numpy as np
from shapely.geometry import MultiPoint, Point, Polygon, box, mapping
from shapely.geometry.base import BaseGeometry

from pipeline.grid import utm_epsg
from pipeline.simulator.graph import implements
from pipeline.simulator.projection import LONLAT, Projection
from pipeline.simulator.refusal import EarthEngineError, not_implemented
from pipeline.simulator.values import Element, Geometry, moved_shape, outline_of

_BUFFER_SEGMENTS_PER_QUARTER = 16


def _drawn(outline: BaseGeometry, crs: Projection | None) -> Geometry:
    return Geometry(outline, crs.epsg if crs else LONLAT)


@implements("GeometryConstructors.Point")
def _point(coordinates: list[float], crs: Projection | None) -> Geometry:
    return _drawn(Point(coordinates), crs)


@implements("GeometryConstructors.MultiPoint")
def _multi_point(coordinates: list[Any], crs: Projection | None) -> Geometry:
    return _drawn(MultiPoint(coordinates), crs)


@implements("GeometryConstructors.Rectangle")
def _rectangle(
    coordinates: list[Any], crs: Projection | None, geodesic: Any, evenOdd: Any
) -> Geometry:
    corners = np.ravel(coordinates).astype(float)
    if corners.size != 4:
        raise EarthEngineError("GeometryConstructors.Rectangle: Needs two corners, 4 numbers.")
    return _drawn(box(*corners), crs)


@implements("GeometryConstructors.Polygon")
def _polygon(
    coordinates: list[Any], crs: Projection | None, geodesic: Any, maxError: Any, evenOdd: Any
) -> Geometry:
    """A polygon from a ring of positions, or from an outer ring and holes."""
    rings = coordinates if isinstance(coordinates[0][0], list) else [coordinates]
    outline = Polygon(rings[0], rings[1:])
    if evenOdd is False and not outline.exterior.is_ccw:
        # By the left-inside rule, that is what lies outside of the ring.
        raise not_implemented("a clockwise polygon with evenOdd=False")
    return _drawn(outline, crs)


@implements("Geometry.buffer")
def _buffer(geometry: Geometry, distance: float, maxError: Any, proj: Any) -> Geometry:
    """All places within a distance in metres, computed in the UTM zone of the centre."""
    centre = geometry.lonlat.centroid
    epsg = utm_epsg(centre.x, centre.y)
    grown = geometry.in_crs(epsg).buffer(distance, _BUFFER_SEGMENTS_PER_QUARTER)
    return Geometry(moved_shape(grown, epsg, LONLAT))


@implements("Geometry.bounds")
def _bounds(geometry: Geometry, maxError: Any, proj: Any) -> Geometry:
    return Geometry(box(*geometry.lonlat.bounds))


@implements("Geometry.centroid")
def _centroid(geometry: Geometry, maxError: Any, proj: Any) -> Geometry:
    return Geometry(geometry.lonlat.centroid)


@implements("Geometry.intersects")
def _intersects(left: Geometry, right: Geometry, maxError: Any, proj: Any) -> bool:
    return bool(left.lonlat.intersects(right.lonlat))


@implements("Geometry.contains")
def _contains(left: Geometry, right: Geometry, maxError: Any, proj: Any) -> bool:
    return bool(left.lonlat.contains(right.lonlat))


@implements("Geometry.coordinates")
def _coordinates(geometry: Geometry) -> Any:
    return mapping(geometry.lonlat)["coordinates"]


@implements("Image.geometry", "Feature.geometry")
def _element_geometry(feature: Element, maxError: Any, proj: Any, geodesics: Any) -> Geometry:
    if isinstance(feature.geometry, Geometry):
        return feature.geometry
    return Geometry(outline_of(feature))
