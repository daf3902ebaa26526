"""A store of any of our layouts, seen as groups of samples with scenes: what the checks look at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.legend import load_legend
from pipeline.store.damage import LostFile
from pipeline.store.groups import group_members, group_names, read_records, store_attributes
from pipeline.store.shard_reader import ShardedArray, ZarrArray, open_chunks

_LEGENDS = ("dynamic_world", "osm_landuse")


@dataclass(frozen=True)
class StoredArray:
    """One array of pixels.

    Attributes:
        name: In its group.
        dtype: As stored.
        nodata: As stored.
        shape: Of the whole array.
        shard_size: Samples in one file.
        seasonal: Whether the second axis is time.
        bands: Names along the band axis, empty if there is none.
        ids: Class ids that may occur, empty if it holds no labels.
        legend: Name of our legend that these ids are of; empty if it is another's.
        dimensions: Names of the axes.
    """

    name: str
    dtype: str
    nodata: int
    shape: tuple[int, ...]
    shard_size: int
    seasonal: bool
    bands: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    legend: str = ""
    dimensions: tuple[str, ...] = ()

    @property
    def optical(self) -> bool:
        """Whether it holds Sentinel-2."""
        return self.name == "s2" or self.name.startswith("s2_")

    @property
    def seasons(self) -> int:
        """Scenes of a sample."""
        return self.shape[1] if self.seasonal else 1

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, (season, [band,] y, x)."""
        return self.shape[1:] if self.seasonal else (1, *self.shape[1:])

    def shard_key(self, shard: int) -> str:
        """Path of a shard's file below the group."""
        return f"{self.name}/c/{shard}" + "/0" * (len(self.shape) - 1)


@dataclass(frozen=True)
class StoredGroup:
    """Samples of one size: a whole store of four seasons, or one split of a store of tiles.

    Attributes:
        store: Folder of the store.
        name: Of the group; empty if it is the store itself.
        attributes: Of the group.
        arrays: Its pixels, of equal number of samples and equal shards.
        record_names: Its arrays of one value per sample, or per sample and season.
    """

    store: Path
    name: str
    attributes: Mapping[str, Any] = field(repr=False)
    arrays: tuple[StoredArray, ...]
    record_names: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Folder of the group."""
        return self.store / self.name if self.name else self.store

    @property
    def count(self) -> int:
        """Samples, valid or not."""
        return self.arrays[0].shape[0]

    @property
    def seasons(self) -> int:
        """Scenes of a sample."""
        return self.arrays[0].seasons

    @property
    def shard_size(self) -> int:
        """Samples in one shard."""
        return self.arrays[0].shard_size

    @property
    def imported(self) -> bool:
        """Whether others published the pixels: then samples may be incomplete and grids free."""
        return "s2_offset" in self.record_names

    def label(self, array: str) -> str:
        """Name of an array in a finding."""
        return f"{self.name}/{array}" if self.name else array

    def record(self, name: str) -> NDArray[Any]:
        """One array of records, as stored; raises as `read_records` does."""
        return read_records(self.path, name)


@dataclass(frozen=True)
class Sample:
    """The pixels of one sample.

    Attributes:
        group: It belongs to.
        index: Along the first axis.
        id: As recorded.
        valid: As recorded.
        split: As recorded.
        pixels: By array: (season, [band,] y, x); one season in stores of tiles.
        records: Other records that a check needs, by name.
    """

    group: StoredGroup
    index: int
    id: str
    valid: bool
    split: str
    pixels: Mapping[str, NDArray[Any]] = field(repr=False)
    records: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def season_names(self) -> list[int | None]:
        """Number of each season as findings name it: None where there is one scene only."""
        return list(range(self.group.seasons)) if self.group.seasons > 1 else [None]

    def bands(self, season: int) -> dict[str, NDArray[Any]]:
        """The bands of Sentinel-2, (y, x) by name."""
        return {
            band: self.pixels[array.name][season][position]
            for array in self.group.arrays
            if array.optical
            for position, band in enumerate(array.bands)
        }

    def labels(self) -> Iterator[StoredArray]:
        """The arrays that hold class ids."""
        return (array for array in self.group.arrays if array.ids)


def open_groups(store: Path) -> tuple[StoredGroup, ...]:
    """The groups of a store of ours.

    Raises:
        PipelineError: There is no store of ours.
    """
    names = group_names(store, store_attributes(store))
    return tuple(_open_group(store, name) for name in names)


class SampleReader:
    """Reads the pixels of samples of one group; for one thread, a context manager."""

    def __init__(self, group: StoredGroup, names: Sequence[str] | None = None) -> None:
        """Open some of the arrays of a group, by default all."""
        self._arrays = [a for a in group.arrays if names is None or a.name in names]
        self._chunks: dict[str, ShardedArray | ZarrArray] = {
            array.name: open_chunks(group.path / array.name) for array in self._arrays
        }

    def __enter__(self) -> "SampleReader":
        return self

    def __exit__(self, *exception: object) -> None:
        for chunks in self._chunks.values():
            chunks.close()

    def read(self, index: int) -> dict[str, NDArray[Any]]:
        """The pixels of a sample, (season, [band,] y, x) by array.

        Raises:
            PipelineError: One of its chunks is damaged, or a file with it is lost.
        """
        return {array.name: self._read(array, index) for array in self._arrays}

    def read_if_there(self, index: int) -> dict[str, NDArray[Any]]:
        """As `read`, with nodata where a file is lost: of samples that need not be there.

        Raises:
            PipelineError: One of its chunks is damaged.
        """
        return {array.name: self._read_if_there(array, index) for array in self._arrays}

    def _read_if_there(self, array: StoredArray, index: int) -> NDArray[Any]:
        try:
            return self._read(array, index)
        except LostFile:
            return np.full(array.sample_shape, array.nodata, array.dtype)

    def _read(self, array: StoredArray, index: int) -> NDArray[Any]:
        pixels = np.empty(array.sample_shape, array.dtype)
        chunks = self._chunks[array.name]
        if prod(chunks.item_shape) == pixels.size:
            chunks.read_into(pixels.reshape(chunks.item_shape), index)
            return pixels
        for season in range(array.seasons):
            chunks.read_into(pixels[season], index, season)
        return pixels


def _open_group(store: Path, name: str) -> StoredGroup:
    path = store / name if name else store
    attributes, members = group_members(path)
    pixels = {
        key: member
        for key, member in members.items()
        if "/" not in key and _is_sharded(member) and len(member["shape"]) >= 3
    }
    if not pixels:
        raise PipelineError(
            f"{path} holds no array of pixels in shards; build it again, or, if it is a copy, look "
            "at the store that it was made from"
        )
    order = attributes.get("pixel_arrays", sorted(pixels, key=_sort_key))
    records = tuple(
        key
        for key, member in members.items()
        if member.get("node_type") == "array" and member["dimension_names"][0] == "sample"
        if key not in pixels
    )
    arrays = tuple(_stored_array(path, key, pixels[key]) for key in order)
    return StoredGroup(store, name, attributes, arrays, records)


def _sort_key(name: str) -> tuple[bool, str]:
    return not name.startswith("s2"), name


def _is_sharded(member: dict[str, Any]) -> bool:
    codecs = member.get("codecs", [])
    return bool(codecs) and codecs[0]["name"] == "sharding_indexed"


def _stored_array(path: Path, name: str, member: dict[str, Any]) -> StoredArray:
    dimensions = member["dimension_names"]
    bands = [dimension for dimension in dimensions if dimension.startswith("band")]
    attributes = member.get("attributes", {})
    return StoredArray(
        name=name,
        dtype=member["data_type"],
        nodata=member["fill_value"],
        shape=tuple(member["shape"]),
        shard_size=member["chunk_grid"]["configuration"]["chunk_shape"][0],
        seasonal="time" in dimensions,
        bands=tuple(map(str, read_records(path, bands[0]))) if bands else (),
        ids=tuple(attributes.get("flag_values", ())),
        legend=_legend(attributes),
        dimensions=tuple(dimensions),
    )


def _legend(attributes: Mapping[str, Any]) -> str:
    meanings = str(attributes.get("flag_meanings", "")).split()
    for name in _LEGENDS:
        if meanings == [row.flag_meaning for row in load_legend(name)]:
            return name
    return ""
