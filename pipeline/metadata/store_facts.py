"""What a store says about itself, read from its metadata alone: groups, arrays, attributes.

Everything that is written for other tools (Croissant, STAC, the card, the page on formats) starts
from these facts, so that it cannot say anything that the store does not.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.store.groups import group_members, group_names, store_attributes
from pipeline.store.layout import holds_pixels

_NEEDED = ("title", "source", "simulated", "dataset_hash", "code_version", "version", "layout")


@dataclass(frozen=True)
class ArrayFacts:
    """One array of a store.

    Attributes:
        name: In its group.
        dimensions: Names of the axes.
        shape: Lengths of the axes.
        dtype: As stored.
        nodata: Zarr's fill value.
        chunk: Shape of what is decoded at once.
        shard: Shape of what is one file, None if a chunk is.
        codecs: Names of the codecs of a chunk, with the level where there is one.
        attributes: CF attributes.
    """

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    nodata: Any
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None
    codecs: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def is_coordinate(self) -> bool:
        """Whether it holds the positions along one axis."""
        return self.dimensions == (self.name,)

    @property
    def is_pixels(self) -> bool:
        """Whether it holds pixels; else a coordinate, or one value per sample (and season)."""
        return holds_pixels(self.dimensions)

    @property
    def band_dimension(self) -> str:
        """Name of the band axis, empty if there is none."""
        return next((name for name in self.dimensions if name.startswith("band_")), "")

    @property
    def long_name(self) -> str:
        """What it is, in words."""
        attributes = self.attributes
        return str(attributes.get("long_name") or attributes.get("standard_name") or self.name)


@dataclass(frozen=True)
class GroupFacts:
    """One group of a store: all of it, or a split.

    Attributes:
        name: Empty for the store itself.
        attributes: Of the group.
        arrays: By name.
    """

    name: str
    attributes: dict[str, Any]
    arrays: dict[str, ArrayFacts]

    @property
    def pixels(self) -> list[ArrayFacts]:
        """The arrays of pixels."""
        return [array for array in self.arrays.values() if array.is_pixels]

    @property
    def records(self) -> list[ArrayFacts]:
        """The arrays of one value per sample, or per sample and season."""
        return [
            array
            for array in self.arrays.values()
            if not array.is_pixels and array.dimensions[0] == "sample"
        ]

    @property
    def count(self) -> int:
        """Length of ``sample``: candidates, kept or not."""
        return self.arrays["valid"].shape[0]

    def bands(self, array: str) -> list[dict[str, Any]]:
        """The band table of an array; empty if it has no bands."""
        return list(self.attributes.get("bands", {}).get(array, []))


@dataclass(frozen=True)
class StoreFacts:
    """A store.

    Attributes:
        path: Its folder.
        attributes: Of its root group.
        groups: Itself, or its splits.
    """

    path: Path
    attributes: dict[str, Any]
    groups: tuple[GroupFacts, ...]

    @property
    def kind(self) -> str:
        """Name without the ending: ``nol``, ``dw``, ``osm``, …; key of ``attribution.csv``."""
        return self.path.name.removesuffix(".zarr")

    @property
    def title(self) -> str:
        """For people."""
        return str(self.attributes["title"])

    @property
    def simulated(self) -> bool:
        """Whether the pixels are no observation."""
        return bool(self.attributes["simulated"])

    @property
    def seasonal(self) -> bool:
        """Whether a sample has several dates."""
        return any("time" in array.dimensions for array in self.groups[0].pixels)

    @cached_property
    def pixel_arrays(self) -> dict[str, tuple[GroupFacts, ArrayFacts]]:
        """Arrays of pixels by name, each as in the first group that has it."""
        found: dict[str, tuple[GroupFacts, ArrayFacts]] = {}
        for group in self.groups:
            for array in group.pixels:
                found.setdefault(array.name, (group, array))
        return found


def read_store_facts(path: Path) -> StoreFacts:
    """Read the consolidated metadata of a store of ours.

    Raises:
        PipelineError: There is no store at the path, or it is not one of ours.
    """
    attributes = store_attributes(path, _NEEDED)
    groups = tuple(_group(path, name) for name in group_names(path, attributes))
    return StoreFacts(path, attributes, groups)


def _group(path: Path, name: str) -> GroupFacts:
    attributes, members = group_members(path / name)
    arrays = {
        key: _array(key, member)
        for key, member in sorted(members.items())
        if member["node_type"] == "array"
    }
    return GroupFacts(name, attributes, arrays)


def _array(name: str, member: dict[str, Any]) -> ArrayFacts:
    outer = tuple(member["chunk_grid"]["configuration"]["chunk_shape"])
    codecs = member["codecs"]
    sharded = codecs[0]["name"] == "sharding_indexed"
    inner = codecs[0]["configuration"] if sharded else {"chunk_shape": outer, "codecs": codecs}
    return ArrayFacts(
        name=name,
        dimensions=tuple(member["dimension_names"]),
        shape=tuple(member["shape"]),
        dtype=_dtype(member["data_type"]),
        nodata=member["fill_value"],
        chunk=tuple(inner["chunk_shape"]),
        shard=outer if sharded else None,
        codecs=tuple(_codec(codec) for codec in inner["codecs"]),
        attributes=member["attributes"],
    )


def _dtype(value: Any) -> str:
    return str(value["name"] if isinstance(value, dict) else value)


def _codec(codec: dict[str, Any]) -> str:
    options = codec.get("configuration", {})
    if codec["name"] == "blosc":
        return f"blosc({options['cname']} {options['clevel']}, {options['shuffle']})"
    level = options.get("level")
    return str(codec["name"]) if level is None else f"{codec['name']}({level})"
