"""The samples of a store, whichever form it has: read one at a time, as stored.

``nol.zarr`` is one group with four seasons; stores of tiles have groups ``train`` and ``test`` with
one date. Exports and the torchgeo datasets see both through `StoreGroup`.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.label_classes import LabelClass, label_classes
from pipeline.sensors import cube_bands
from pipeline.store.groups import group_names, require_arrays, store_attributes
from pipeline.store.interpolation import interpolate
from pipeline.store.object_path import StorePath
from pipeline.store.reader import open_store
from pipeline.store.shard_reader import ShardedArray, ZarrArray, open_chunks

NATIVE_S2 = ("s2_10m", "s2_20m", "s2_60m")
S2_CUBE = "s2"

LABELS = "label"
"""How the names of arrays of labels begin."""

SCENE_CLASS = "scene_class"
"""Record of stores whose samples have a class as a whole."""

_PIXEL_M = 10.0
_RECORD_DIMENSIONS = {"sample", "time"}
_PLACES = ("left", "top", "x_step", "y_step")


class StoreGroup:
    """One group of a store, opened for reading.

    It can be pickled into worker processes, which open their files themselves.

    Args:
        store: Folder of the store, on disk or in object storage.
        name: Of the group; empty for a store that is one group.

    Attributes:
        name: As given.
        store: As given.
        attributes: Of the group.
        dataset: The group as `open_store` gives it.
        seasons: How many seasons each sample has; 1 where there is no time axis.
    """

    def __init__(self, store: StorePath, name: str = "") -> None:
        self.name = name
        self.store = store
        self._path = store / name if name else store
        self.dataset = open_store(store, group=name or None)
        self.attributes: dict[str, Any] = dict(self.dataset.attrs)
        if "id" not in self.dataset or "valid" not in self.dataset:
            raise PipelineError(
                f"{self._path} has no ids of samples, so nothing can be taken from it by name; "
                "choose a store of samples such as nol.zarr"
            )
        identifying = ("id", "valid", "epsg", *_PLACES)
        require_arrays(self._path, [name for name in identifying if name in self.dataset])
        self.seasons = int(self.dataset.sizes.get("time", 1))
        self._readers: dict[str, ShardedArray | ZarrArray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.store, self.name)

    @property
    def simulated(self) -> bool:
        """Whether the pixels are no observation."""
        return bool(self.attributes.get("simulated", False))

    @property
    def seasonal(self) -> bool:
        """Whether there is a time axis."""
        return "time" in self.dataset.sizes

    @cached_property
    def ids(self) -> list[str]:
        """Id of every sample."""
        return [str(value) for value in self.dataset["id"].to_numpy()]

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Whether each sample is complete; the others are empty."""
        return self.dataset["valid"].to_numpy().astype(bool)

    @cached_property
    def splits(self) -> list[str]:
        """Split of every sample: the name of the group where the store has groups."""
        if self.name:
            return [self.name] * len(self.ids)
        return [str(value) for value in self.dataset["split"].to_numpy()]

    @cached_property
    def pixel_arrays(self) -> tuple[str, ...]:
        """Names of the arrays that hold pixels, in alphabetical order."""
        names = [str(name) for name in {**self.dataset.data_vars, **self.dataset.coords}]
        return tuple(sorted(name for name in names if self._spatial(name)))

    @property
    def s2_arrays(self) -> tuple[str, ...]:
        """The arrays of Sentinel-2: a cube or the three native ones."""
        return (S2_CUBE,) if S2_CUBE in self.pixel_arrays else NATIVE_S2

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the 10 m grid."""
        return int(self.dataset.sizes["y"]), int(self.dataset.sizes["x"])

    def band_names(self, array: str) -> tuple[str, ...]:
        """Names along the band axis of an array; empty if it has none."""
        for dimension in self.dataset[array].dims:
            if str(dimension).startswith("band_"):
                return tuple(str(name) for name in self.dataset[dimension].to_numpy())
        return ()

    def classes(self, array: str) -> tuple[LabelClass, ...]:
        """The classes of an array of labels; empty for anything else."""
        if not array.startswith(LABELS) or array not in self.pixel_arrays:
            return ()
        return label_classes(self.dataset[array].attrs)

    def scene_class(self, sample: int) -> str:
        """Name of the class of a whole sample; empty where samples have none."""
        if SCENE_CLASS not in self.dataset:
            return ""
        names = {row.id: row.name for row in label_classes(self.dataset[SCENE_CLASS].attrs)}
        return names.get(int(self.dataset[SCENE_CLASS][sample]), "")

    def epsg(self, sample: int) -> int:
        """EPSG code of the CRS of a sample.

        Raises:
            PipelineError: Its source did not say where it lies.
        """
        code = int(self.dataset["epsg"][sample])
        if code <= 0 or not np.isfinite(self.dataset["left"][sample]):
            raise PipelineError(
                f"sample {self.ids[sample]} of {self._path} has no place on Earth (its source "
                "recorded none), so it cannot become a GeoTIFF; export it as webdataset"
            )
        return code

    def transform(self, sample: int, array: str = "") -> Affine:
        """Pixel (column, row) of a corner to coordinates in the sample's CRS.

        Args:
            sample: Index in the store.
            array: Whose pixels; by default those of the 10 m grid.
        """
        place = {name: float(values[sample]) for name, values in self._places.items()}
        factor = self.shape[0] / self.array_shape(array)[0] if array else 1.0
        return Affine(
            factor * place.get("x_step", _PIXEL_M),
            0.0,
            place["left"],
            0.0,
            factor * place.get("y_step", -_PIXEL_M),
            place["top"],
        )

    def array_shape(self, array: str) -> tuple[int, int]:
        """Rows and columns of an array."""
        rows, columns = self.dataset[array].shape[-2:]
        return int(rows), int(columns)

    def stored_form(self, array: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape of all seasons of one sample, and the dtype, as stored."""
        reader = self._reader(array)
        return reader.shape[1:], reader.dtype

    def read(self, array: str, sample: int, season: int = 0) -> NDArray[Any]:
        """One season of one sample as stored, ([band,] y, x).

        Raises:
            PipelineError: The array is missing or a file is damaged.
        """
        reader = self._reader(array)
        chunk = np.empty(reader.item_shape, reader.dtype)
        reader.read_into(chunk, sample, season)
        axes = len([name for name in self.dataset[array].dims if name not in _RECORD_DIMENSIONS])
        return chunk[season] if chunk.ndim > axes else chunk

    def read_cube(self, sample: int, season: int = 0) -> NDArray[np.uint16]:
        """All Sentinel-2 bands of one season on the 10 m grid, (band, y, x) as stored.

        Native pixels are repeated, which is exact on our grid.
        """
        if self.s2_arrays == (S2_CUBE,):
            return self.read(S2_CUBE, sample, season)
        native = {name: self.read(name, sample, season) for name in NATIVE_S2}
        bands = [
            interpolate(native[band.array][band.position], self.shape, "nearest", nodata=0)
            for band in cube_bands("sentinel-2")
        ]
        return np.stack(bands)

    @property
    def cube_names(self) -> tuple[str, ...]:
        """Bands of `read_cube` in order."""
        if self.s2_arrays == (S2_CUBE,):
            return self.band_names(S2_CUBE)
        return tuple(band.name for band in cube_bands("sentinel-2"))

    def facts(self, sample: int) -> dict[str, Any]:
        """All records of a sample as plain values for JSON: a list where there is one per season.

        Missing numbers and times are None; times are ISO 8601 in UTC.
        """
        return {name: _plain(values[sample]) for name, values in self._records.items()}

    @cached_property
    def _records(self) -> Mapping[str, NDArray[Any]]:
        return {
            str(name): variable.to_numpy()
            for name, variable in sorted(self.dataset.variables.items(), key=lambda i: str(i[0]))
            if "sample" in variable.dims and set(variable.dims) <= _RECORD_DIMENSIONS
        }

    @cached_property
    def _places(self) -> dict[str, NDArray[np.float64]]:
        held = [name for name in _PLACES if name in self.dataset.variables]
        return {name: self.dataset[name].to_numpy() for name in held}

    def _reader(self, array: str) -> ShardedArray | ZarrArray:
        if array not in self._readers:
            self._readers[array] = open_chunks(self._path / array)
        return self._readers[array]

    def _spatial(self, name: str) -> bool:
        dimensions = self.dataset[name].dims
        return "sample" in dimensions and any(str(axis)[0] == "x" for axis in dimensions)


def open_groups(store: StorePath) -> list[StoreGroup]:
    """Open every group of samples of a store.

    Raises:
        PipelineError: There is no store of ours at the path.
    """
    return [StoreGroup(store, name) for name in group_names(store, store_attributes(store))]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else f"{np.datetime_as_string(value, unit='s')}Z"
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain
