"""Earth Engine images: named bands with properties and a footprint."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from shapely.geometry.base import BaseGeometry

from pipeline.simulator.projection import PixelGrid, Projection
from pipeline.simulator.raster import Band, Pixels, on_any_grid
from pipeline.simulator.refusal import EarthEngineError
from pipeline.simulator.scene import Scene

_CONSTANT_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")


@dataclass(frozen=True, eq=False)
class Image:
    """An image.

    Attributes:
        make_bands: Gives its bands in order; called when they are first needed, because most
            images of a collection are only asked for their properties.
        properties: Its properties, the ``system:`` ones included.
        geometry: Its footprint, longitude and latitude; None where it has no edge.
        asset_id: Id of the asset it was loaded from.
        as_array: Its bands were packed into one array-valued band (``toArray``).
    """

    make_bands: Callable[[], tuple[Band, ...]]
    properties: dict[str, Any] = field(default_factory=dict)
    geometry: BaseGeometry | None = None
    asset_id: str | None = None
    as_array: bool = False

    @classmethod
    def of(cls, bands: Iterable[Band]) -> "Image":
        """An image of given bands, without properties."""
        return cls(_given(bands))

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """The bands in order."""
        return self.make_bands()

    @property
    def band_names(self) -> list[str]:
        """Names of the bands."""
        return [band.name for band in self.bands]

    def with_bands(self, bands: Iterable[Band]) -> "Image":
        """The same image, with its properties and footprint, of other bands."""
        return replace(self, make_bands=_given(bands))

    def mapped(self, change: Callable[[Band], Band]) -> "Image":
        """The image after a change of each band."""
        return self.with_bands(change(band) for band in self.bands)

    def band(self, name: str) -> Band:
        """The band of that name.

        Raises:
            EarthEngineError: There is none.
        """
        for band in self.bands:
            if band.name == name:
                return band
        raise EarthEngineError(f"Image.band: no band '{name}'. Available bands: {self.band_names}")


def scene_image(scene: Scene) -> Image:
    """The image of a scene of the archive, each band on its own grid by nearest neighbour."""
    properties = {"system:index": scene.index, **scene.properties}
    return Image(partial(_scene_bands, scene), properties, scene.footprint, scene.asset_id)


def constant_image(value: Any) -> Image:
    """An image of the same value everywhere, one band per number.

    Raises:
        EarthEngineError: Not a number or a list of numbers.
    """
    values = value if isinstance(value, list) else [value]
    names = ["constant"] if len(values) == 1 else [f"constant_{n}" for n in range(len(values))]
    return Image.of(map(_constant_band, names, values))


def _given(bands: Iterable[Band]) -> Callable[[], tuple[Band, ...]]:
    made = tuple(bands)
    return lambda: made


def _scene_bands(scene: Scene) -> tuple[Band, ...]:
    bands = []
    for name, facts in scene.bands.items():
        projection = Projection(scene.epsg, facts.transform)
        evaluate = on_any_grid(partial(scene.read, name), projection, "nearest")
        bands.append(Band(name, facts.dtype, projection, evaluate))
    return tuple(bands)


def _constant_band(name: str, value: Any) -> Band:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EarthEngineError(f"Image.constant: '{value}' is not a number.")
    dtype = np.dtype(np.float64) if isinstance(value, float) else _smallest_type(value)

    def evaluate(grid: PixelGrid) -> Pixels:
        shape = grid.height, grid.width
        return np.full(shape, value, dtype), np.ones(shape, np.bool_)

    return Band(name, dtype, None, evaluate)


def _smallest_type(value: int) -> np.dtype[Any]:
    for name in _CONSTANT_TYPES:
        limits = np.iinfo(name)
        if limits.min <= value <= limits.max:
            return np.dtype(name)
    raise EarthEngineError(f"Image.constant: {value} does not fit into 64 bits.")
