"""What every store of ours has in its metadata: arrays of records, coordinates, consolidation."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.settings.dataset import SEASONS
from pipeline.store.layout import (
    RECORD_ZSTD,
    RECORDS_PER_CHUNK,
    Codecs,
    RecordArray,
    holds_pixels,
)

if TYPE_CHECKING:
    import zarr

ROOT_DOCUMENT = "zarr.json"


def add_record_array(group: "zarr.Group", array: RecordArray, count: int) -> None:
    """Add an empty array of one value per sample, or per sample and season."""
    seasons = (SEASONS,) if array.seasonal else ()
    group.create_array(
        array.name,
        shape=(count, *seasons),
        chunks=(RECORDS_PER_CHUNK, *seasons),
        dtype=array.dtype,
        fill_value=array.fill,
        compressors=[RECORD_ZSTD],
        dimension_names=array.dimensions,
        attributes=array.attributes,
    )


def add_band_names(group: "zarr.Group", dimension: str, names: Sequence[str]) -> None:
    """Add the coordinate of a band axis."""
    _add_coordinate(group, dimension, np.array(names, dtype=object), "string", {})


def add_pixel_coordinates(
    group: "zarr.Group", rows: str, columns: str, count: int, pixel_size: float
) -> None:
    """Add the coordinates of the pixel axes: metres from the upper-left corner to the centres."""
    offsets = pixel_size * (np.arange(count) + 0.5)
    southward = {"units": "m", "long_name": "northing of the pixel centre minus `top`"}
    eastward = {"units": "m", "long_name": "easting of the pixel centre minus `left`"}
    _add_coordinate(group, rows, -offsets, "float64", southward)
    _add_coordinate(group, columns, offsets, "float64", eastward)


def consolidated_documents(content: dict[str, Any], groups: Sequence[str] = ()) -> dict[str, bytes]:
    """Every file of a store that was built in a `MemoryStore`, with consolidated metadata.

    Args:
        content: The dictionary of the memory store.
        groups: Names of the groups in it that are opened by themselves, too.

    Returns:
        By key, sorted; the same bytes for the same store. Records have all their chunks, empty.
    """
    import zarr  # late: Snakemake reads this module at every start
    from zarr.storage import MemoryStore

    with warnings.catch_warnings():
        # Consolidated metadata is not in the v3 specification yet; readers without it still work.
        warnings.simplefilter("ignore")
        for path in (*groups, None):
            zarr.consolidate_metadata(MemoryStore(content), path=path)
    documents = {key: buffer.to_bytes() for key, buffer in content.items()}
    documents = dict(sorted((documents | dict(_record_chunks(documents))).items()))
    roots = [ROOT_DOCUMENT, *(f"{group}/{ROOT_DOCUMENT}" for group in groups)]
    return documents | {key: _with_sorted_members(documents[key]) for key in roots}


def write_documents(path: Path, documents: Mapping[str, bytes]) -> None:
    """Write every file of an empty store; of one that grows, chunks that are there stay.

    Whoever sees the document of a group sees all that it describes, and that of the store is last.

    Args:
        path: Folder of the store.
        documents: Of `consolidated_documents`.
    """
    for key, content in documents.items():
        kept = "/c/" in key and (path / key).is_file()
        if key != ROOT_DOCUMENT and not kept:
            write_atomically(path / key, content)
    write_atomically(path / ROOT_DOCUMENT, documents[ROOT_DOCUMENT])


def chunk_codecs(document: Mapping[str, Any]) -> Codecs:
    """What a chunk passes through behind ``bytes``, from the metadata of its array."""
    codecs = document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        codecs = codecs[0]["configuration"]["codecs"]
    return tuple(codec for codec in codecs if codec["name"] != "bytes")


def read_codecs(array: Path) -> Codecs:
    """The codecs that the chunks of a stored array are written with.

    Raises:
        FileNotFoundError: There is no such array.
        PipelineError: Its metadata is damaged.
    """
    try:
        return chunk_codecs(json.loads((array / ROOT_DOCUMENT).read_bytes()))
    except (ValueError, LookupError, TypeError):
        raise PipelineError(
            f"{array / ROOT_DOCUMENT} is not the description of a Zarr array; "
            "copy the store as a whole or build it again"
        ) from None


def codecs_in_use(array: Path, own: Codecs) -> Codecs:
    """The codecs of an array that is there already, as its chunks are written with them; else ours.

    Raises:
        PipelineError: The metadata of the array is damaged.
    """
    return read_codecs(array) if (array / ROOT_DOCUMENT).is_file() else own


def with_empty_files(array: "zarr.Array[Any]") -> "zarr.Array[Any]":
    """The same array, that writes files without data, too: one that is lost then shows."""
    import zarr  # late: Snakemake reads this module at every start

    config: Any = {"order": "C", "write_empty_chunks": True}
    metadata: Any = array.metadata
    return zarr.Array(zarr.AsyncArray(metadata, array.store_path, config))


def json_bytes(document: Any) -> bytes:
    """A JSON document as stored."""
    return json.dumps(document, indent=2).encode() + b"\n"


def _record_chunks(documents: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Every chunk of the arrays of one value per sample, by key; none has a value yet."""
    for key, content in documents.items():
        document = json.loads(content) if key.endswith(f"/{ROOT_DOCUMENT}") else {}
        dimensions = document.get("dimension_names") or [""]
        if dimensions[0] != "sample" or holds_pixels(dimensions):
            continue
        lengths = document["chunk_grid"]["configuration"]["chunk_shape"]
        one_chunk = json.dumps(document | {"shape": lengths, "attributes": {}}, sort_keys=True)
        counts = [-(-size // step) for size, step in zip(document["shape"], lengths, strict=True)]
        for place in product(*map(range, counts)):
            name = "/".join([key.removesuffix(f"/{ROOT_DOCUMENT}"), "c", *map(str, place)])
            yield name, _empty_chunk(one_chunk)


@lru_cache
def _empty_chunk(document: str) -> bytes:
    """The stored form of a chunk without a value, given the metadata of an array of one chunk."""
    import zarr  # late: Snakemake reads this module at every start
    from zarr.core.buffer import cpu
    from zarr.storage import MemoryStore

    content: dict[str, Any] = {ROOT_DOCUMENT: cpu.Buffer.from_bytes(document.encode())}
    array: Any = zarr.open_array(MemoryStore(content), mode="r+")
    with_empty_files(array)[...] = array.fill_value
    (chunk,) = (buffer.to_bytes() for key, buffer in content.items() if key != ROOT_DOCUMENT)
    return bytes(chunk)


def _with_sorted_members(document: bytes) -> bytes:
    root = json.loads(document)
    members = root["consolidated_metadata"]["metadata"]
    root["consolidated_metadata"]["metadata"] = dict(sorted(members.items()))
    return json_bytes(root)


def _add_coordinate(
    group: "zarr.Group", name: str, values: np.ndarray[Any, Any], dtype: str, attributes: Any
) -> None:
    coordinate = group.create_array(
        name,
        shape=values.shape,
        chunks=values.shape,
        dtype=dtype,
        compressors=[RECORD_ZSTD],
        dimension_names=[name],
        attributes=attributes,
    )
    coordinate[:] = values
