"""Single chunks of a sharded array, read straight from its files: the way to train from a store.

Networks take one season of one sample at a time, in random order. `open_chunks` gives a reader for
that: `ShardedArray` knows the one form our stores have (Zarr v3, ``sharding_indexed`` along the
first axis) and needs one system call and one decompression per chunk, three times faster than
zarr-python; `ZarrArray` reads everything else through zarr-python, with the same results.

Readers hold no threads and can be pickled; files are opened where and when they are first read.
"""

import json
import os
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs  # type: ignore[import-untyped]
import numpy as np
import zarr
from numcodecs import blosc
from numpy.typing import NDArray

from pipeline.errors import PipelineError

# A loader has as many processes as it needs; threads inside each would only compete with them.
blosc.use_threads = False

_ABSENT = 2**64 - 1
"""Offset of an inner chunk that is not in the file; it reads as the fill value."""

_OPEN_FILES = 128
"""Shards of one array held open at once: five arrays stay below the usual limit of 1024 files."""


class _UnknownForm(Exception):
    """The array is stored in a form that `ShardedArray` does not read."""


def open_chunks(array_path: Path) -> "ShardedArray | ZarrArray":
    """Open an array of a store for reading whole chunks.

    Args:
        array_path: Folder of the array.

    Raises:
        PipelineError: There is no array at the path.
    """
    try:
        metadata = json.loads((array_path / "zarr.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise PipelineError(
            f"there is no array {array_path.name!r} in {array_path.parent}; build the store first"
        ) from None
    try:
        return ShardedArray(array_path, metadata)
    except _UnknownForm:
        return ZarrArray(array_path)


class ShardedArray:
    """Chunks of an array whose shards are whole along every axis but the first.

    Attributes:
        shape: Of the array.
        dtype: Of its values.
        item_shape: Shape of one chunk without the leading axes along which chunks have length 1.
    """

    def __init__(self, array_path: Path, metadata: dict[str, Any]) -> None:
        form = _ShardForm(metadata)
        self.shape: tuple[int, ...] = form.shape
        self.dtype = form.dtype
        self.item_shape: tuple[int, ...] = form.item_shape
        self._path = array_path
        self._form = form
        self._decoder = _decoder(form.codecs)
        self._shards: OrderedDict[int, _OpenShard] = OrderedDict()

    def read_into(self, out: NDArray[Any], sample: int, season: int = 0) -> None:
        """Read one chunk.

        Args:
            out: Contiguous, of `item_shape` and `dtype`.
            sample: Index along the first axis.
            season: Index along the second; without effect where chunks hold all seasons.

        Raises:
            PipelineError: The shard's file is damaged.
        """
        shard = self._open(sample // self._form.samples_per_shard)
        row = sample % self._form.samples_per_shard
        column = season if self._form.chunks_per_sample > 1 else 0
        if shard.file is None or (offset := int(shard.index[row, column, 0])) == _ABSENT:
            out[...] = self._form.fill_value
            return
        length = int(shard.index[row, column, 1])
        encoded = os.pread(shard.file, length, offset)
        try:
            self._decode(encoded, out)
        except (ValueError, RuntimeError) as error:
            raise PipelineError(
                f"sample {sample} of {self._path} is damaged ({error}); "
                "remove the file of its shard and build the store again"
            ) from None

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()

    def __getstate__(self) -> dict[str, Any]:
        # A child process must open files of its own.
        return self.__dict__ | {"_shards": OrderedDict()}

    def _decode(self, encoded: bytes, out: NDArray[Any]) -> None:
        if self._decoder is None:
            out.reshape(-1)[:] = np.frombuffer(encoded, self.dtype)
            return
        self._decoder.decode(encoded, out)

    def _open(self, number: int) -> "_OpenShard":
        shard = self._shards.get(number)
        if shard is not None:
            self._shards.move_to_end(number)
            return shard
        if len(self._shards) >= _OPEN_FILES:
            self._shards.popitem(last=False)[1].close()
        key = "/".join(["c", str(number), *["0"] * (len(self.shape) - 1)])
        shard = _OpenShard(self._path / key, self._form)
        self._shards[number] = shard
        return shard


class ZarrArray:
    """The same through zarr-python, for arrays in any form; attributes as in `ShardedArray`."""

    def __init__(self, array_path: Path) -> None:
        self._path = array_path
        self._array: zarr.Array[Any] | None = None
        array = self._opened()
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self._seasonal = len(array.shape) > 1 and array.chunks[:2] == (1, 1) and array.shape[1] > 1
        self.item_shape: tuple[int, ...] = array.shape[2:] if self._seasonal else array.shape[1:]

    def read_into(self, out: NDArray[Any], sample: int, season: int = 0) -> None:
        """Read one chunk; see `ShardedArray.read_into`."""
        array = self._opened()
        out[...] = array[sample, season] if self._seasonal else array[sample]

    def close(self) -> None:
        """Forget the open array."""
        self._array = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}

    def _opened(self) -> "zarr.Array[Any]":
        if self._array is None:
            self._array = zarr.open_array(self._path, mode="r")
        return self._array


class _ShardForm:
    """The parts of an array's metadata that a reader needs.

    Raises:
        _UnknownForm: Anything that this module does not read.
    """

    def __init__(self, metadata: dict[str, Any]) -> None:
        codecs = metadata.get("codecs", [])
        if [codec["name"] for codec in codecs] != ["sharding_indexed"]:
            raise _UnknownForm
        sharding = codecs[0]["configuration"]
        index_codecs = [codec["name"] for codec in sharding["index_codecs"]]
        keys = metadata["chunk_key_encoding"]
        slashes = keys.get("configuration", {}).get("separator", "/") == "/"
        if (
            index_codecs != ["bytes", "crc32c"]
            or sharding.get("index_location", "end") != "end"
            or keys["name"] != "default"
            or not slashes
        ):
            raise _UnknownForm
        self.shape = tuple(metadata["shape"])
        self.dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
        self.fill_value = metadata["fill_value"]
        self.codecs: list[dict[str, Any]] = sharding["codecs"]
        shard = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
        chunk = tuple(sharding["chunk_shape"])
        if chunk[0] != 1 or shard[1:] != self.shape[1:] or len(chunk) < 2:
            raise _UnknownForm
        leading = 2 if chunk[1] == 1 and self.shape[1] > 1 else 1
        if chunk[leading:] != self.shape[leading:]:
            raise _UnknownForm
        self.item_shape = self.shape[leading:]
        self.samples_per_shard = shard[0]
        self.chunks_per_sample = prod(self.shape[1:leading])

    @property
    def index_shape(self) -> tuple[int, int, int]:
        """Samples, chunks of a sample, (offset, length)."""
        return self.samples_per_shard, self.chunks_per_sample, 2


class _OpenShard:
    """The file of a shard and its index; without file, no chunk is present."""

    def __init__(self, path: Path, form: _ShardForm) -> None:
        self.index = np.empty(0, dtype="<u8")
        self.file: int | None = None
        try:
            self.file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        index_bytes = 8 * prod(form.index_shape)
        start = os.fstat(self.file).st_size - index_bytes - 4
        tail = os.pread(self.file, index_bytes + 4, start) if start >= 0 else b""
        content, checksum = tail[:-4], tail[-4:]
        if not tail or google_crc32c.value(content) != int.from_bytes(checksum, "little"):
            self.close()
            raise PipelineError(
                f"the index of {path} is damaged; remove the file and build the store again"
            )
        self.index = np.frombuffer(content, "<u8").reshape(form.index_shape)

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            os.close(self.file)
            self.file = None


def _decoder(codecs: list[dict[str, Any]]) -> Any | None:
    """The decompressor of a chain of codecs; None if chunks are stored as they are."""
    first, *rest = codecs
    if first["name"] != "bytes" or first.get("configuration", {}).get("endian") == "big":
        raise _UnknownForm
    match [codec["name"] for codec in rest]:
        case []:
            return None
        case ["zstd"]:
            return numcodecs.Zstd()
        case ["blosc"]:
            return numcodecs.Blosc()
    raise _UnknownForm
