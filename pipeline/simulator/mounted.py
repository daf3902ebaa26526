"""Real scenes from a folder of GeoTIFFs, served as if they were in the archive."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PipelineError
from pipeline.simulator.mounted_manifest import ManifestEntry, earth_engine_band, read_manifest
from pipeline.simulator.projection import LONLAT
from pipeline.simulator.scene import Archive, Scene, SceneBand
from pipeline.simulator.values import moved_shape

_PIXEL_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_FOOTPRINT_MARGIN_PIXELS = 0.1


@dataclass(frozen=True)
class _StoredBand:
    """Where the pixels of a band are.

    Attributes:
        file: The GeoTIFF.
        number: Number of the band in it, from 1.
        nodata: Value of pixels without data; None where there is none.
        facts: Its grid and type.
    """

    file: Path
    number: int
    nodata: float | None
    facts: SceneBand

    def read(self, rows: slice, columns: slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels of a window and their validity; what lies beyond the file is invalid."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        values = np.zeros(shape, self.facts.dtype)
        valid = np.zeros(shape, np.bool_)
        stored_rows = slice(max(rows.start, 0), min(rows.stop, self.facts.height))
        stored_columns = slice(max(columns.start, 0), min(columns.stop, self.facts.width))
        if stored_rows.start >= stored_rows.stop or stored_columns.start >= stored_columns.stop:
            return values, valid
        with rasterio.open(self.file) as raster:
            window = Window.from_slices(stored_rows, stored_columns)
            stored = raster.read(self.number, window=window)
        inside = (
            slice(stored_rows.start - rows.start, stored_rows.stop - rows.start),
            slice(stored_columns.start - columns.start, stored_columns.stop - columns.start),
        )
        values[inside] = stored
        valid[inside] = self._is_data(stored)
        return values, valid

    def _is_data(self, stored: NDArray[Any]) -> NDArray[np.bool_]:
        is_data = ~np.isnan(stored) if stored.dtype.kind == "f" else np.ones(stored.shape, np.bool_)
        if self.nodata is not None and not math.isnan(self.nodata):
            is_data &= stored != self.nodata
        return is_data


@dataclass(frozen=True, eq=False)
class MountedScene:
    """One real scene; implements the protocol `Scene`.

    Attributes:
        collection: Id of its collection.
        index: The ``system:index``.
        epsg: CRS of all bands.
        footprint: Where all bands have pixels, longitude and latitude; a tenth of a pixel wider,
            so that it contains a patch that is cut along the very edge of the file.
        properties: Earth Engine properties.
        stored: Its bands in the files, by name.
    """

    collection: str
    index: str
    epsg: int
    footprint: BaseGeometry
    properties: dict[str, Any]
    stored: dict[str, _StoredBand]

    @property
    def asset_id(self) -> str:
        """``<collection>/<index>``."""
        return f"{self.collection}/{self.index}"

    @cached_property
    def bands(self) -> dict[str, SceneBand]:
        """The bands by name, in the order of the manifest."""
        return {name: band.facts for name, band in self.stored.items()}

    def read(
        self, band: str, row_start: int, row_stop: int, col_start: int, col_stop: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels of a window of a band and their validity, as they are in the file."""
        return self.stored[band].read(slice(row_start, row_stop), slice(col_start, col_stop))


@dataclass(frozen=True)
class MountedArchive:
    """The scenes that a folder's manifest describes; implements the protocol `Archive`.

    Attributes:
        folder: The folder with the manifest (see `pipeline.simulator.mounted_manifest`).
        scenes: Its scenes by asset id.

    Raises:
        PipelineError: A bad manifest, or a file that is not what it says.
    """

    folder: Path
    scenes: dict[str, MountedScene] = field(init=False)

    def __post_init__(self) -> None:
        scenes = [_mount(entry) for entry in read_manifest(Path(self.folder))]
        object.__setattr__(self, "scenes", {scene.asset_id: scene for scene in scenes})

    @property
    def collections(self) -> tuple[str, ...]:
        """Ids of the image collections it has scenes of."""
        return tuple(sorted({scene.collection for scene in self.scenes.values()}))

    def search(
        self,
        collection: str,
        bounds: tuple[float, float, float, float],
        start_ms: int,
        end_ms: int,
    ) -> list[Scene]:
        """Scenes whose footprint touches the bounds, ordered by index."""
        return [
            scene
            for scene in self._touching(collection, bounds)
            if start_ms <= scene.properties["system:time_start"] < end_ms
        ]

    def covers(self, collection: str, bounds: tuple[float, float, float, float]) -> bool:
        """Whether a scene of the collection, of whatever time, touches the bounds."""
        return bool(self._touching(collection, bounds))

    def get(self, asset_id: str) -> Scene | None:
        """The scene of that id, or None."""
        return self.scenes.get(asset_id)

    def _touching(
        self, collection: str, bounds: tuple[float, float, float, float]
    ) -> list[MountedScene]:
        area = box(*bounds)
        found = (scene for scene in self.scenes.values() if scene.collection == collection)
        return sorted(
            (scene for scene in found if scene.footprint.intersects(area)),
            key=lambda scene: scene.index,
        )


@dataclass(frozen=True)
class CombinedArchive:
    """An archive with real scenes mounted into it; implements the protocol `Archive`.

    Where a mounted scene of a collection lies, the collection consists of mounted scenes only, at
    all times: real and simulated scenes of one sensor never mix at one place.

    Attributes:
        primary: The archive everywhere else.
        mounted: The real scenes.
    """

    primary: Archive
    mounted: MountedArchive

    @property
    def collections(self) -> tuple[str, ...]:
        """Ids of the image collections of both."""
        return tuple(dict.fromkeys((*self.primary.collections, *self.mounted.collections)))

    def search(
        self,
        collection: str,
        bounds: tuple[float, float, float, float],
        start_ms: int,
        end_ms: int,
    ) -> list[Scene]:
        """Mounted scenes where the bounds touch any, otherwise those of the primary archive."""
        if self.mounted.covers(collection, bounds):
            return self.mounted.search(collection, bounds, start_ms, end_ms)
        if collection not in self.primary.collections:
            return []
        return self.primary.search(collection, bounds, start_ms, end_ms)

    def get(self, asset_id: str) -> Scene | None:
        """The mounted scene of that id, or that of the primary archive, or None."""
        return self.mounted.get(asset_id) or self.primary.get(asset_id)


def _mount(entry: ManifestEntry) -> MountedScene:
    """A scene of the manifest, its files opened and checked."""
    stored: dict[str, _StoredBand] = {}
    codes: set[int] = set()
    for name, file in entry.files.items():
        bands, epsg = _read_facts(entry, file, name)
        codes.add(epsg)
        for band in bands:
            if band.facts.name in stored:
                raise PipelineError(f"{entry.where}: two bands are called '{band.facts.name}'")
            stored[band.facts.name] = band
    if len(codes) != 1:
        raise PipelineError(
            f"{entry.where}: its files are in {len(codes)} CRS ({sorted(codes)}); use one"
        )
    epsg = codes.pop()
    footprint = _footprint([band.facts for band in stored.values()], epsg, entry.where)
    return MountedScene(entry.collection, entry.index, epsg, footprint, entry.properties, stored)


def _read_facts(entry: ManifestEntry, file: Path, band: str) -> tuple[list[_StoredBand], int]:
    """The bands of one file and its EPSG code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(file) as raster:
                names = _names(entry, raster, band)
                epsg = _epsg(entry, raster)
                _check_pixels(entry, raster)
                return [_stored(entry, raster, n, name) for n, name in enumerate(names, 1)], epsg
    except RasterioIOError as error:
        raise PipelineError(f"{entry.where}: {file} is no raster: {error}") from None


def _names(entry: ManifestEntry, raster: Any, band: str) -> list[str]:
    if band:
        if raster.count != 1:
            raise PipelineError(
                f"{entry.where}: {raster.name} of band '{band}' has {raster.count} bands"
            )
        return [band]
    names = list(entry.bands or (earth_engine_band(text or "") for text in raster.descriptions))
    if len(names) != raster.count:
        raise PipelineError(
            f"{entry.where}: {len(names)} names for the {raster.count} bands of {raster.name}"
        )
    if not all(names):
        raise PipelineError(
            f"{entry.where}: the bands of {raster.name} have no descriptions; name them in 'bands'"
        )
    return names


def _epsg(entry: ManifestEntry, raster: Any) -> int:
    code = raster.crs.to_epsg() if raster.crs else None
    if code is None:
        raise PipelineError(f"{entry.where}: {raster.name} has no CRS with an EPSG code")
    return int(code)


def _check_pixels(entry: ManifestEntry, raster: Any) -> None:
    transform: Affine = raster.transform
    if transform.b or transform.d or transform.is_degenerate or transform == Affine.identity():
        raise PipelineError(f"{entry.where}: {raster.name} is rotated or not georeferenced")
    if unknown := set(raster.dtypes) - set(_PIXEL_TYPES):
        raise PipelineError(
            f"{entry.where}: {raster.name} has pixels of type {sorted(unknown)}; "
            f"use one of {', '.join(_PIXEL_TYPES)}"
        )


def _stored(entry: ManifestEntry, raster: Any, number: int, name: str) -> _StoredBand:
    dtype = np.dtype(raster.dtypes[number - 1])
    nodata = entry.nodata if entry.nodata is not None else raster.nodatavals[number - 1]
    facts = SceneBand(name, dtype, raster.transform, raster.height, raster.width)
    return _StoredBand(Path(raster.name), number, nodata, facts)


def _footprint(bands: Iterable[SceneBand], epsg: int, where: str) -> BaseGeometry:
    outline = shapely.intersection_all([_extent(band) for band in bands])
    if outline.is_empty:
        raise PipelineError(f"{where}: its bands do not lie over each other")
    footprint = moved_shape(outline, epsg, LONLAT)
    shapely.prepare(footprint)
    return footprint


def _extent(band: SceneBand) -> BaseGeometry:
    """The band's rectangle in its CRS with a margin of a part of its pixels."""
    margin = _FOOTPRINT_MARGIN_PIXELS
    first = band.transform @ (-margin, -margin)
    last = band.transform @ (band.width + margin, band.height + margin)
    return box(*np.minimum(first, last), *np.maximum(first, last))
