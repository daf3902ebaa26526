"""The files of an array that hold what is asked for, and which of them cannot be missing.

Zarr takes a chunk without a file for one without data. Of pixels a file may be missing where no
sample is valid; everything else, records and coordinates, has all its files from the moment the
store is made. Stores of earlier versions left out the files of empty records: the metadata of an
array tells (`pipeline.store.layout.RECORD_ZSTD`).
"""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.store.damage import lost_file
from pipeline.store.layout import RECORD_ZSTD
from pipeline.store.metadata import ROOT_DOCUMENT, chunk_codecs
from pipeline.store.object_path import StorePath


def chunk_places(
    shape: Sequence[int], lengths: Sequence[int], key: Sequence[Any]
) -> Iterator[tuple[int, ...]]:
    """Positions in the grid of files of those that hold the values of a key.

    Args:
        shape: Of the array.
        lengths: Of a file along each axis: of a shard, where there are shards.
        key: What is asked for along each axis: a number, numbers or a slice.
    """
    parts = [
        np.unique(np.arange(size)[part] // length).tolist()
        for size, part, length in zip(shape, key, lengths, strict=True)
    ]
    return product(*parts)


def chunk_file(array: StorePath, place: Sequence[int]) -> StorePath:
    """The file at a position in the grid: Zarr's own chunk key."""
    return array / "/".join(["c", *map(str, place)])


def stored_size(file: StorePath) -> int:
    """Bytes of a file; 0 if there is none."""
    try:
        return file.stat().st_size if isinstance(file, Path) else file.version()[0]
    except (FileNotFoundError, NotADirectoryError):
        return 0


def require_record_files(
    array: StorePath, shape: Sequence[int], lengths: Sequence[int], key: Sequence[Any]
) -> None:
    """Refuse to read values without pixels whose file is lost; one look per 65,536 samples.

    Args:
        array: Of records, or a coordinate.
        shape: Of the array.
        lengths: Of a chunk along each axis.
        key: What is asked for along each axis, as `chunk_places` takes it.

    Raises:
        LostFile: A file is missing or empty, and the array is one that has all its files.
    """
    for place in chunk_places(shape, lengths, key):
        file = chunk_file(array, place)
        if not stored_size(file) and _has_all_files(array):
            raise lost_file(file)


def _has_all_files(array: StorePath) -> bool:
    return RECORD_ZSTD in chunk_codecs(json.loads((array / ROOT_DOCUMENT).read_bytes()))
