"""What a store of ours says of itself: the first look of everything that reads a finished store.

The attributes and names in it may come from anywhere, so they are checked here, once, before they
become paths or rows.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.atomic_file import sync
from pipeline.errors import PipelineError
from pipeline.store.chunk_files import require_record_files
from pipeline.store.create import read_attributes
from pipeline.store.damage import told_if_damaged
from pipeline.store.metadata import ROOT_DOCUMENT, with_empty_files
from pipeline.store.object_path import StorePath

_LAYOUTS = "noldo-"
"""How the attribute ``layout`` of every store of ours begins."""

_NEEDED = ("title", "simulated", "dataset_hash")
_TABLES = ("settings", "bands", "rechunked")

_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def store_attributes(path: StorePath, needed: Sequence[str] = _NEEDED) -> dict[str, Any]:
    """The attributes of a store of ours, with all that is needed of them.

    Args:
        path: Of the store.
        needed: Names of attributes.

    Raises:
        PipelineError: There is no store of ours at the path, or it does not say what it holds.
    """
    attributes = read_attributes(path)
    if attributes is None:
        scheme = re.match(r"[a-z0-9]+:", str(path)) if isinstance(path, Path) else None
        if scheme:
            raise PipelineError(
                f"{path} is a URL, and this command reads stores on disk; copy the store here first"
            )
        raise PipelineError(
            f"there is no store of ours at {path}; correct the path, or build or import it first"
        )
    if not str(attributes.get("layout", "")).startswith(_LAYOUTS):
        raise PipelineError(
            f"there is no store of ours at {path}: a Zarr group without `layout` {_LAYOUTS}*"
        )
    lacking = [name for name in needed if name not in attributes]
    lacking += [name for name in _TABLES if not isinstance(attributes.get(name, {}), dict)]
    if lacking:
        raise PipelineError(f"{path} lacks the attribute {lacking[0]!r}; build the store again")
    return attributes


def group_names(path: StorePath, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the groups that hold the samples; one empty name if the store itself does.

    Args:
        path: Of the store.
        attributes: Of the store.

    Raises:
        PipelineError: A name is no name of a folder.
    """
    names = attributes.get("groups", [""])
    known = isinstance(names, list) and names
    if not known or not all(name == "" or _GROUP.fullmatch(str(name)) for name in names):
        raise PipelineError(
            f"{path} has groups {names!r}, which are no names of folders; build the store again"
        )
    return tuple(map(str, names))


def group_members(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes of a group, and the metadata of everything below it by path, consolidated.

    Raises:
        PipelineError: They cannot be read.
    """
    try:
        document = json.loads((path / ROOT_DOCUMENT).read_bytes())
        return dict(document["attributes"]), dict(document["consolidated_metadata"]["metadata"])
    except (OSError, ValueError, KeyError, TypeError):
        raise PipelineError(
            f"{path} has no readable metadata; build the store again, or run "
            "`zarr.consolidate_metadata` on it"
        ) from None


def read_records(group: Path, name: str, rows: int | slice = slice(None)) -> NDArray[Any]:
    """An array of one value per sample, or per sample and season, as stored.

    Args:
        group: That holds the array.
        name: Of the array.
        rows: Samples to read.

    Raises:
        PipelineError: It is missing or damaged, or has lost a file.
    """
    try:
        with told_if_damaged(group / name):
            array = zarr.open_array(group / name, mode="r")
            key = (rows, *(slice(None) for _ in array.shape[1:]))
            require_record_files(group / name, array.shape, array.chunks, key)
            return np.asarray(array[rows])
    except FileNotFoundError:
        raise _missing(group, name) from None


def write_records(group: Path, name: str, values: Sequence[Any] | NDArray[Any]) -> None:
    """Write an array of one value per sample, or per sample and season, and wait for the disk."""
    array: Any = with_empty_files(zarr.open_array(group / name, mode="r+"))
    array[...] = np.asarray(values, dtype=array.dtype)
    for chunk in (group / name / "c").rglob("*"):
        if chunk.is_file():
            sync(chunk)


def require_arrays(group: StorePath, names: Iterable[str]) -> None:
    """Make sure that arrays are there: Zarr reads those of a lost folder as if they were empty.

    Raises:
        PipelineError: One is missing.
    """
    for name in names:
        if not (group / name / ROOT_DOCUMENT).is_file():
            raise _missing(group, name)


def _missing(group: StorePath, name: str) -> PipelineError:
    return PipelineError(f"there is no array {name!r} in {group}; build the store again")
