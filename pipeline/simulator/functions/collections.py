"""``ee.ImageCollection`` and ``ee.FeatureCollection``: listing, ordering, mapping, mosaics."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.simulator.collection import Collection, Filter
from pipeline.simulator.graph import implements
from pipeline.simulator.image import Image
from pipeline.simulator.projection import PixelGrid
from pipeline.simulator.raster import Band, Pixels
from pipeline.simulator.refusal import wrong_type
from pipeline.simulator.scene import Archive
from pipeline.simulator.values import Closure, Feature, field_of


@implements("ImageCollection.load")
def _load(id: str, version: int | None, archive: Archive) -> Collection:
    return Collection.load(archive, id)


@implements("Collection")
def _of_features(features: list[Any]) -> Collection:
    return Collection.of(features)


@implements("ImageCollection.fromImages")
def _of_images(images: list[Image]) -> Collection:
    return Collection(tuple(images), of_images=True)


@implements("Collection.filter")
def _filter(collection: Collection, filter: Any) -> Collection:
    if not hasattr(filter, "accepts"):
        raise wrong_type("Collection.filter, argument 'filter'", "Filter", filter)
    condition: Filter = filter
    return collection.filtered(condition)


@implements("Collection.limit")
def _limit(
    collection: Collection, limit: int | None, key: str | None, ascending: bool
) -> Collection:
    """The first elements, of a null key none; elements of equal key keep their order."""
    elements = list(collection.elements)
    if key:
        elements = [element for element in elements if field_of(element, key) is not None]
        elements.sort(key=lambda element: field_of(element, key), reverse=not ascending)
    return collection.with_elements(elements[:limit])


@implements("Collection.first")
def _first(collection: Collection) -> Any:
    return collection.elements[0] if collection.elements else None


@implements("Collection.toList")
def _to_list(collection: Collection, count: int, offset: int) -> list[Any]:
    return list(collection.elements[offset : offset + count])


@implements("Collection.size")
def _size(collection: Collection) -> int:
    return len(collection.elements)


@implements("Collection.merge")
def _merge(collection1: Collection, collection2: Collection) -> Collection:
    return collection1.with_elements([*collection1.elements, *collection2.elements])


@implements("Collection.map")
def _map(collection: Collection, baseAlgorithm: Closure, dropNulls: bool) -> Collection:
    results: Iterator[Any] = map(baseAlgorithm, collection.elements)
    kept = [result for result in results if not (dropNulls and result is None)]
    for result in kept:
        if not isinstance(result, Image | Feature):
            raise wrong_type("Collection.map: A mapped algorithm's result", "Element", result)
    return Collection.of(kept)


@implements("AggregateFeatureCollection.array")
def _aggregate_array(collection: Collection, property: str) -> list[Any]:
    values = (field_of(element, property) for element in collection.elements)
    return [value for value in values if value is not None]


@implements("ImageCollection.toBands")
def _to_bands(collection: Collection) -> Image:
    """All bands in one image, named ``<index>_<band>``."""
    return Image.of(
        band.renamed(f"{image.properties.get('system:index', position)}_{band.name}")
        for position, image in enumerate(collection.elements)
        for band in image.bands
    )


@implements("ImageCollection.mosaic")
def _mosaic(collection: Collection) -> Image:
    """The last valid pixel on top; a mosaic has no grid of its own."""
    images: tuple[Image, ...] = collection.elements
    if not images:
        return Image.of(())
    names = images[0].band_names
    return Image.of(_mosaic_band([image.band(name) for image in images]) for name in names)


def _mosaic_band(layers: list[Band]) -> Band:
    def evaluate(grid: PixelGrid) -> Pixels:
        values, valid = layers[0].evaluate(grid)
        for layer in layers[1:]:
            above, above_valid = layer.evaluate(grid)
            values, valid = np.where(above_valid, above, values), valid | above_valid
        return values, valid

    return Band(layers[0].name, layers[0].dtype, None, evaluate)
