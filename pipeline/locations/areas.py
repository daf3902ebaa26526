"""The area of interest: read from a file or from text, in longitude and latitude."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PipelineError

_WKT = re.compile(r"\s*(SRID=4326;)?\s*(MULTI)?POLYGON|\s*GEOMETRYCOLLECTION", re.IGNORECASE)
_WKT_FILES = {".wkt", ".txt"}
_LONLAT = "EPSG:4326"


def read_area(text: str) -> BaseGeometry:
    """Read an area of interest.

    Args:
        text: WKT in longitude and latitude, the path of a file that holds WKT, or the path of a
            GeoJSON or GeoPackage file (or anything else that GDAL reads) in any CRS.

    Returns:
        A valid polygon or multipolygon in EPSG:4326, cut at the antimeridian, within -180..180.

    Raises:
        PipelineError: The file is missing or unreadable; the area is empty, has no polygons, or
            leaves the range of longitude and latitude.
    """
    if _WKT.match(text):
        name, shapes = "the WKT in locations.area", _parse_wkt(text, "locations.area")
    else:
        name, shapes = text, _read_file(Path(text))
    area = _polygons(shapes)
    if area.is_empty:
        found = ", ".join(sorted({shape.geom_type for shape in shapes if not shape.is_empty}))
        raise PipelineError(
            f"{name}: the area of interest is empty ({found or 'no shape'} found); "
            "it needs at least one polygon"
        )
    return _within_180(area, name)


def _read_file(path: Path) -> list[BaseGeometry]:
    if not path.is_file():
        raise PipelineError(
            f"locations.area = {str(path)!r} is neither an existing file nor a WKT polygon"
        )
    if path.suffix.lower() in _WKT_FILES:
        return _parse_wkt(path.read_text(encoding="utf-8", errors="replace"), str(path))
    return _read_layers(path)


def _parse_wkt(text: str, name: str) -> list[BaseGeometry]:
    try:
        return [shapely.from_wkt(text.strip().upper().removeprefix("SRID=4326;"))]
    except ShapelyError as error:
        raise PipelineError(f"{name} is not valid WKT: {error}") from None


def _read_layers(path: Path) -> list[BaseGeometry]:
    import geopandas  # takes half a second, and only this sampler needs it

    shapes: list[BaseGeometry] = []
    try:
        layers = geopandas.list_layers(path)
        for layer in layers.name[layers.geometry_type.notna()]:
            frame = geopandas.read_file(path, layer=layer)
            lonlat = frame if frame.crs is None else frame.to_crs(_LONLAT)
            shapes.extend(shape for shape in lonlat.geometry if shape is not None)
    except (RuntimeError, ShapelyError) as error:  # GDAL's and PROJ's errors are RuntimeErrors
        raise PipelineError(f"{path} cannot be read as an area of interest: {error}") from None
    return shapes


def _polygons(shapes: list[BaseGeometry]) -> BaseGeometry:
    """Everything with a surface, mended and merged."""
    mended = [shapely.make_valid(shape) for shape in shapes]
    parts = shapely.get_parts(shapely.get_parts(mended))
    surfaces = [part for part in parts if part.area > 0.0]
    return shapely.force_2d(shapely.union_all(surfaces))


def _within_180(area: BaseGeometry, name: str) -> BaseGeometry:
    west, south, east, north = area.bounds
    if not (south >= -90.0 and north <= 90.0 and west >= -360.0 and east <= 360.0):
        raise PipelineError(
            f"{name} spans x {west:g} to {east:g} and y {south:g} to {north:g}, which are not "
            "degrees of longitude and latitude; give EPSG:4326, longitude first"
        )
    return area if west >= -180.0 and east <= 180.0 else _wrapped(area)


def _wrapped(area: BaseGeometry) -> BaseGeometry:
    turns = []
    for turn in (-360.0, 0.0, 360.0):
        part = shapely.clip_by_rect(area, turn - 180.0, -90.0, turn + 180.0, 90.0)
        turns.append(shapely.transform(part, partial(np.add, [-turn, 0.0])))
    return _polygons(turns)
