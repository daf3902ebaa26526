"""Stores of tiles: create one, fill its shards, finish its groups.

Three steps, whoever the tiles come from::

    groups = {"train": TileGroup(count, 510, arrays), "test": TileGroup(...)}
    create_tile_store(path, groups, attributes)           # once, before any writer
    write_tiles(path, "train", shard, {sample: {"s2": ..., "s1": ..., "label": ...}})
    finish_tiles(path, "train", {"id": ..., "lon": ...}, valid)  # records; ``valid`` last

`grow_tile_store` makes room for more. The form is `pipeline.store.tile_layout`;
``xarray.open_zarr(path, group="train")`` reads it.
"""

import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file
from pipeline.errors import PipelineError
from pipeline.sensors import cube_bands
from pipeline.store.create import read_attributes
from pipeline.store.description import band_table
from pipeline.store.metadata import (
    ROOT_DOCUMENT,
    add_band_names,
    add_pixel_coordinates,
    add_record_array,
    chunk_codecs,
    codecs_in_use,
    consolidated_documents,
    write_documents,
)
from pipeline.store.shard_file import ShardFile
from pipeline.store.tile_layout import TILE_LAYOUT, TILE_VALID, TileArray, TileGroup

if TYPE_CHECKING:
    import zarr

TilePixels = Mapping[str, NDArray[Any]]
"""One tile: by name of the array, ([band,] y, x) of the array's dtype."""

_PIXEL_SIZE_M = 10.0
_SENSORS = {"s2": "sentinel-2", "s1": "sentinel-1"}
_COMMENT = (
    "Sample k lies on EPSG:epsg[k]; a pixel centre has easting left[k] + x and northing "
    "top[k] + y. Samples whose `valid` is false are empty."
)


class LazyTiles(Mapping[int, TilePixels]):
    """Tiles by sample that are read when asked for, and not kept."""

    def __init__(self, readers: Mapping[int, Callable[[], TilePixels]]) -> None:
        self._readers = readers

    def __getitem__(self, sample: int) -> TilePixels:
        return self._readers[sample]()

    def __iter__(self) -> Iterator[int]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def create_tile_store(
    path: Path, groups: Mapping[str, TileGroup], attributes: Mapping[str, Any]
) -> None:
    """Write the metadata of an empty store, or leave the same store as it is.

    The document of the store itself is written last, so a store that was half created is none.

    Args:
        path: Folder of the store.
        groups: By name, usually ``train`` and ``test``.
        attributes: Of the store and of every group; `common_attributes` and at least ``title``,
            ``source``, ``simulated`` and ``dataset_hash``, which tells one dataset from another.

    Raises:
        PipelineError: Something else is in the way: another dataset's store, or not a store.
    """
    shared = dict(attributes) | {"layout": TILE_LAYOUT}
    if not _refuse_other(path, groups, shared, operator.eq):
        _write_documents(path, groups, shared)


def grow_tile_store(
    path: Path, groups: Mapping[str, TileGroup], attributes: Mapping[str, Any]
) -> None:
    """Give a store room for more tiles, and other attributes; pixels and records stay.

    A reader sees the old size or the new one; what is new is not valid until `finish_tiles`.

    Args:
        path: A store made by `create_tile_store`.
        groups: As it is to be.
        attributes: As for `create_tile_store`, with the store's own ``dataset_hash``.

    Raises:
        PipelineError: It is another dataset's, its tiles are of another size, or it has more.
    """
    shared = dict(attributes) | {"layout": TILE_LAYOUT}
    _refuse_other(path, groups, shared, operator.le)
    _write_documents(path, groups, shared)


def tile_shard_files(
    path: Path, group: str, shard: int | str, arrays: Sequence[TileArray]
) -> list[Path]:
    """The files that hold one shard, one per array: exactly what its job writes.

    Args:
        path: Folder of the store.
        group: Name of the group.
        shard: Its number, or a wildcard such as ``{shard}``.
        arrays: Those of the group.
    """
    return [path / group / array.shard_key(shard) for array in arrays]


def write_tiles(
    path: Path, group: str, shard: int, tiles: Mapping[int, TilePixels]
) -> dict[str, str]:
    """Write every pixel array of one shard; each file appears whole or not at all.

    The bytes depend on the pixels alone. All files are complete before the first takes its place,
    and one tile at a time is in memory if the mapping loads its values lazily.

    Args:
        path: A store made by `create_tile_store`.
        group: Name of the group.
        shard: Which one.
        tiles: By sample: those that are kept; the rest of the shard stays empty.

    Returns:
        SHA-256 of each file, hexadecimal, by its path below the store.

    Raises:
        ValueError: A sample outside the shard, or arrays other than the store's.
    """
    stored = read_tile_group(path, group)
    allowed = stored.samples_of(shard)
    outside = [sample for sample in tiles if sample not in allowed]
    if outside:
        raise ValueError(f"sample {outside[0]} is not among {allowed.start} to {allowed.stop - 1}")
    files = tile_shard_files(path, group, shard, stored.arrays)
    with ExitStack() as open_files:
        writers = [
            _TileWriter(array, stored, open_files.enter_context(atomic_file(file)))
            for array, file in zip(stored.arrays, files, strict=True)
        ]
        for sample in sorted(tiles):
            pixels = tiles[sample]
            _check_names(sample, pixels, stored)
            for writer in writers:
                writer.append(sample, pixels[writer.array.name])
        return {
            file.relative_to(path).as_posix(): writer.finish()
            for file, writer in zip(files, writers, strict=True)
        }


def finish_tiles(
    path: Path, group: str, records: Mapping[str, Sequence[Any]], valid: Sequence[bool]
) -> None:
    """Write the arrays without pixels; whoever sees ``valid`` sees all the rest.

    Args:
        path: The store.
        group: Name of the group, all of whose shards are written.
        records: By name of the array, one value per sample; arrays not named stay empty.
        valid: Whether each sample is kept.

    Raises:
        ValueError: A record the group does not have, or not one value per sample.
    """
    from pipeline.store.groups import write_records  # late: Snakemake reads this module each time

    count = read_tile_group(path, group).count
    for name, values in (*records.items(), (TILE_VALID.name, valid)):
        if len(values) != count:
            raise ValueError(f"{len(values)} values of {name} for {count} samples")
        if not (path / group / name / ROOT_DOCUMENT).exists():
            raise ValueError(f"group {group} of {path} has no record {name}")
        write_records(path / group, name, values)


def read_tile_group(path: Path, group: str) -> TileGroup:
    """The shape and the pixel arrays of a group, from its metadata; ``records`` stays empty.

    Raises:
        PipelineError: There is no such group in a store of tiles.
    """
    attributes = read_attributes(path / group)
    if attributes is None or attributes.get("layout") != TILE_LAYOUT:
        raise PipelineError(f"there is no group {group} of tiles in {path}; build the store first")
    document = json.loads((path / group / ROOT_DOCUMENT).read_bytes())
    members = document["consolidated_metadata"]["metadata"]
    sharded = {name: member for name, member in members.items() if _is_sharded(member)}
    order = attributes["pixel_arrays"]
    first = sharded[order[0]]
    return TileGroup(
        count=first["shape"][0],
        size=first["shape"][-1],
        arrays=tuple(_array_of(name, sharded[name]) for name in order),
        records=(),
        shard_size=first["chunk_grid"]["configuration"]["chunk_shape"][0],
    )


class _TileWriter:
    """Appends the tiles of one array to its open file."""

    def __init__(self, array: TileArray, group: TileGroup, file: BinaryIO) -> None:
        self.array = array
        self._group = group
        self._file = ShardFile(file, (group.shard_size,), array.codecs)

    def append(self, sample: int, tile: NDArray[Any]) -> None:
        """Add one tile."""
        shape = self.array.tile_shape(self._group.size)
        if tile.shape != shape or tile.dtype != np.dtype(self.array.dtype):
            raise ValueError(
                f"{self.array.name} of sample {sample} is {tile.dtype} {tile.shape}, "
                f"the store holds {self.array.dtype} {shape}"
            )
        self._file.append((sample % self._group.shard_size,), tile, self.array.nodata)

    def finish(self) -> str:
        """Complete the file; its SHA-256."""
        return self._file.finish()


def _check_names(sample: int, pixels: TilePixels, group: TileGroup) -> None:
    expected = {array.name for array in group.arrays}
    if set(pixels) != expected:
        raise ValueError(f"sample {sample} has {sorted(pixels)}, the store {sorted(expected)}")


def _refuse_other(
    path: Path,
    groups: Mapping[str, TileGroup],
    attributes: dict[str, Any],
    counts_fit: Callable[[int, int], bool],
) -> bool:
    """Whether this very store is there already, of counts that fit; nothing else may be."""
    existing = read_attributes(path)
    if existing is None:
        ours = {*groups, ROOT_DOCUMENT}
        if path.exists() and any(
            entry.name not in ours and not entry.name.startswith(".") for entry in path.iterdir()
        ):
            raise PipelineError(
                f"{path} exists and is not a store of ours; "
                "choose another name in the settings or move it away"
            )
        return False
    same = existing.get("layout") == TILE_LAYOUT and existing.get("dataset_hash") == attributes.get(
        "dataset_hash"
    )
    if not same or existing.get("groups") != list(groups):
        raise PipelineError(
            f"{path} is another store (dataset {existing.get('dataset_hash')}, not "
            f"{attributes.get('dataset_hash')}); undo the change of settings, choose another name, "
            "or remove the folder"
        )
    for name, group in groups.items():
        stored = read_tile_group(path, name)
        if stored.size != group.size or not counts_fit(stored.count, group.count):
            raise PipelineError(
                f"{path} has room for {stored.count} {name} tiles of {stored.size} pixels, now "
                f"there are {group.count} of {group.size}; remove the folder and build again"
            )
    return True


def _write_documents(
    path: Path, groups: Mapping[str, TileGroup], attributes: dict[str, Any]
) -> None:
    write_documents(path, _documents(path, groups, attributes))


def _documents(
    path: Path, groups: Mapping[str, TileGroup], attributes: dict[str, Any]
) -> dict[str, bytes]:
    """Every file of an empty store: metadata, and the chunks of all that has no pixels."""
    import zarr  # late: Snakemake reads this module at every start
    from zarr.storage import MemoryStore

    content: dict[str, Any] = {}
    own = attributes | {"groups": list(groups)}
    root = zarr.create_group(MemoryStore(content), zarr_format=3, attributes=own)
    for name, group in groups.items():
        begun = replace(group, arrays=tuple(_as_begun(path / name, one) for one in group.arrays))
        _add_group(root, name, begun, attributes)
    return consolidated_documents(content, list(groups))


def _as_begun(group: Path, array: TileArray) -> TileArray:
    return replace(array, codecs=codecs_in_use(group / array.name, array.codecs))


def _add_group(root: "zarr.Group", name: str, group: TileGroup, attributes: dict[str, Any]) -> None:
    own = attributes | {
        "comment": _COMMENT,
        "coordinates": " ".join(array.name for array in (*group.records, TILE_VALID)),
        "pixel_arrays": [array.name for array in group.arrays],
        "bands": {array.name: _bands(array) for array in group.arrays if array.name in _SENSORS},
    }
    node = root.create_group(name, attributes=own)
    for array in group.arrays:
        _add_tile_array(node, array, group)
        if array.band_dimension:
            add_band_names(node, array.band_dimension, array.band_names)
    for record in (*group.records, TILE_VALID):
        add_record_array(node, record, group.count)
    add_pixel_coordinates(node, "y", "x", group.size, _PIXEL_SIZE_M)


def _bands(array: TileArray) -> list[dict[str, Any]]:
    known = {band.name: band for band in cube_bands(_SENSORS[array.name])}
    return band_table([known[name] for name in array.band_names])


def _add_tile_array(node: "zarr.Group", array: TileArray, group: TileGroup) -> None:
    shape = array.tile_shape(group.size)
    node.create_array(
        array.name,
        shape=(group.count, *shape),
        chunks=(1, *shape),
        shards=(group.shard_size, *shape),
        dtype=array.dtype,
        fill_value=array.nodata,
        filters=None,
        compressors=array.codecs,
        dimension_names=array.dimensions,
        attributes=array.attributes | {"spatial:dimensions": ["y", "x"]},
    )


def _is_sharded(member: dict[str, Any]) -> bool:
    codecs = member.get("codecs", [])
    return bool(codecs) and codecs[0]["name"] == "sharding_indexed"


def _array_of(name: str, member: dict[str, Any]) -> TileArray:
    _, *bands, _, _ = member["dimension_names"]
    return TileArray(
        name=name,
        dtype=member["data_type"],
        nodata=member["fill_value"],
        codecs=chunk_codecs(member),
        attributes=member["attributes"],
        band_dimension=bands[0] if bands else "",
        band_names=("",) * member["shape"][1] if bands else (),
    )
