"""What every store of ours has in its metadata: arrays of records, coordinates, consolidation."""

import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.settings.dataset import SEASONS
from pipeline.store.layout import RECORDS_PER_CHUNK, RecordArray

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
        By key, sorted; the same bytes for the same store.
    """
    import zarr  # late: Snakemake reads this module at every start
    from zarr.storage import MemoryStore

    with warnings.catch_warnings():
        # Consolidated metadata is not in the v3 specification yet; readers without it still work.
        warnings.simplefilter("ignore")
        for path in (*groups, None):
            zarr.consolidate_metadata(MemoryStore(content), path=path)
    documents = {key: buffer.to_bytes() for key, buffer in sorted(content.items())}
    roots = [ROOT_DOCUMENT, *(f"{group}/{ROOT_DOCUMENT}" for group in groups)]
    return documents | {key: _with_sorted_members(documents[key]) for key in roots}


def json_bytes(document: Any) -> bytes:
    """A JSON document as stored."""
    return json.dumps(document, indent=2).encode() + b"\n"


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
        dimension_names=[name],
        attributes=attributes,
    )
    coordinate[:] = values
