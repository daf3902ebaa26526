"""Collections: a list of elements, or a part of the archive that is listed when it is needed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.simulator.image import Image, scene_image
from pipeline.simulator.refusal import BAD_REQUEST, EarthEngineError, missing_asset
from pipeline.simulator.scene import Archive
from pipeline.simulator.values import DateRange, outline_of

BEGIN_MS = 0
END_MS = 4_102_444_800_000  # the year 2100
PUBLIC_ASSETS = "projects/earthengine-public/assets/"


@dataclass(frozen=True)
class SearchBounds:
    """A part of the archive that is certain to hold everything a filter accepts.

    Attributes:
        lonlat: West, south, east, north in degrees; None = everywhere.
        start_ms: First sensing time.
        end_ms: End of the sensing times, exclusive.
        indices: The only possible ``system:index`` values; None = any.
    """

    lonlat: tuple[float, float, float, float] | None = None
    start_ms: int = BEGIN_MS
    end_ms: int = END_MS
    indices: frozenset[str] | None = None

    def within(self, other: "SearchBounds") -> "SearchBounds":
        """What lies in both. Of two regions the first one stands: either is certain enough."""
        indices = self.indices
        if other.indices is not None:
            indices = other.indices if indices is None else indices & other.indices
        return SearchBounds(
            self.lonlat or other.lonlat,
            max(self.start_ms, other.start_ms),
            min(self.end_ms, other.end_ms),
            indices,
        )

    def joined(self, other: "SearchBounds") -> "SearchBounds":
        """What covers both."""
        lonlat, indices = None, None
        if self.lonlat and other.lonlat:
            boxes = [shapely.box(*self.lonlat), shapely.box(*other.lonlat)]
            lonlat = shapely.union_all(boxes).bounds
        if self.indices is not None and other.indices is not None:
            indices = self.indices | other.indices
        return SearchBounds(
            lonlat,
            min(self.start_ms, other.start_ms),
            max(self.end_ms, other.end_ms),
            indices,
        )


class Filter(Protocol):
    """A condition on an element, or on a pair of elements in a join."""

    def accepts(self, left: Any, right: Any | None = None) -> bool:
        """Whether the element (or the pair) passes."""
        ...

    def search_bounds(self) -> SearchBounds:
        """Where in the archive accepted elements can be."""
        ...


@dataclass(frozen=True, eq=False)
class Collection:
    """Elements in order.

    Attributes:
        listed: The elements, or None for a part of the archive not yet listed.
        archive: Where it is listed from.
        asset_id: Id of the archive's collection.
        filters: What the archive's scenes have to pass.
        of_images: Whether it is an image collection.
    """

    listed: tuple[Any, ...] | None
    archive: Archive | None = None
    asset_id: str | None = None
    filters: tuple[Filter, ...] = ()
    of_images: bool = False

    @classmethod
    def of(cls, elements: Iterable[Any]) -> "Collection":
        """A collection of given elements; of images if they are."""
        listed = tuple(elements)
        return cls(listed, of_images=bool(listed) and all(isinstance(e, Image) for e in listed))

    @classmethod
    def load(cls, archive: Archive, asset_id: str) -> "Collection":
        """An image collection of the archive.

        Raises:
            EarthEngineError: The archive has no such collection.
        """
        asset_id = asset_id.removeprefix(PUBLIC_ASSETS)
        if asset_id not in archive.collections:
            raise missing_asset(
                asset_id, "ImageCollection.load: ImageCollection asset", BAD_REQUEST
            )
        return cls(None, archive, asset_id, of_images=True)

    def with_elements(self, elements: Iterable[Any]) -> "Collection":
        """A collection of the same kind with other elements."""
        return Collection(tuple(elements), of_images=self.of_images)

    def filtered(self, condition: Filter) -> "Collection":
        """The elements that pass."""
        if self.listed is None:
            return replace(self, filters=(*self.filters, condition))
        return self.with_elements(e for e in self.listed if condition.accepts(e))

    @cached_property
    def elements(self) -> tuple[Any, ...]:
        """All elements; scenes of the archive in the order of their index.

        Raises:
            EarthEngineError: The archive cannot be listed without a place or an index.
        """
        if self.listed is not None:
            return self.listed
        images = map(scene_image, self._candidates())
        return tuple(i for i in images if all(f.accepts(i) for f in self.filters))

    def _candidates(self) -> list[Any]:
        archive, asset_id = self.archive, self.asset_id
        if archive is None or asset_id is None:
            raise ValueError("a collection has either elements or an archive")
        bounds = SearchBounds()
        for condition in self.filters:
            bounds = bounds.within(condition.search_bounds())
        if bounds.indices is not None:
            found = (archive.get(f"{asset_id}/{index}") for index in sorted(bounds.indices))
            return [scene for scene in found if scene is not None]
        if bounds.lonlat is None:
            raise EarthEngineError(
                f"Simulated Earth Engine: '{asset_id}' has no end; "
                "use filterBounds() or filter on system:index before listing it."
            )
        try:
            return archive.search(asset_id, bounds.lonlat, bounds.start_ms, bounds.end_ms)
        except ValueError as error:
            raise EarthEngineError(f"Simulated Earth Engine: {error}") from None


def bounds_of_place(place: Any) -> SearchBounds:
    """Search bounds of everything that touches a geometry, an element or a collection."""
    if isinstance(place, Collection):
        outlines = [outline_of(element) for element in place.elements]
        return SearchBounds(lonlat=_unbroken_bounds(shapely.union_all(outlines)))
    return SearchBounds(lonlat=_unbroken_bounds(outline_of(place)))


def _unbroken_bounds(outline: BaseGeometry) -> tuple[float, float, float, float]:
    """Bounds in degrees; of a shape cut at the 180th meridian they reach beyond it."""
    west, south, east, north = outline.bounds
    if east - west <= 180.0:
        return west, south, east, north
    longitudes = shapely.get_coordinates(outline)[:, 0] % 360.0
    return float(longitudes.min()), south, float(longitudes.max()), north


def bounds_of_dates(dates: DateRange) -> SearchBounds:
    """Search bounds of a range of sensing times."""
    return SearchBounds(start_ms=dates.start.millis, end_ms=dates.end.millis)
