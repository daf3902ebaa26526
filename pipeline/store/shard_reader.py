"""Chunks of a sharded array, read straight from its shards: the way to train from a store.

Networks take one season of one sample at a time, in random order. `open_chunks` gives a reader for
that: `ShardedArray` knows the one form our stores have (Zarr v3, ``sharding_indexed`` along the
first axis) and needs one read, one checksum and one decompression per chunk, several times faster
than zarr-python; `ZarrArray` reads everything else through zarr-python, with the same results. Both
read from a folder or from object storage, and refuse chunks that their checksums do not fit. Those
of stores of earlier versions have none.

Readers can be pickled; files are opened where and when they are first read.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs  # type: ignore[import-untyped]
import numpy as np
import zarr
from numcodecs import blosc
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from pipeline.errors import PipelineError
from pipeline.store.damage import lost_file, told_if_damaged
from pipeline.store.object_path import StorePath, zarr_source
from pipeline.store.shard_source import ByteRange, open_source

# A loader has as many processes as it needs; threads inside each would only compete with them.
blosc.use_threads = False

_ABSENT = 2**64 - 1
"""Offset of an inner chunk that is not in the file; it reads as the fill value."""

_KNOWN_INDEXES = 4096
"""Indexes of shards that are kept: of 250,000 samples, in 16 MB per array."""

Indexes = NDArray[np.int64]


class _UnknownForm(Exception):
    """The array is stored in a form that `ShardedArray` does not read."""


def open_chunks(array_path: StorePath) -> "ShardedArray | ZarrArray":
    """Open an array of a store for reading whole chunks.

    Args:
        array_path: Of the array, on disk or in object storage.

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
        samples_per_shard: Samples in one file.
    """

    def __init__(self, array_path: StorePath, metadata: dict[str, Any]) -> None:
        form = _ShardForm(metadata)
        self.shape: tuple[int, ...] = form.shape
        self.dtype = form.dtype
        self.item_shape: tuple[int, ...] = form.item_shape
        self.samples_per_shard = form.samples_per_shard
        self._path = array_path
        self._form = form
        self._checked = form.codecs[-1]["name"] == "crc32c"
        self._decoder = _decoder(form.codecs)
        self._source = open_source(array_path, len(form.shape))
        self._indexes: OrderedDict[int, NDArray[np.uint64]] = OrderedDict()

    def read_into(self, out: NDArray[Any], sample: int, season: int = 0) -> None:
        """Read one chunk.

        Args:
            out: Contiguous, of `item_shape` and `dtype`.
            sample: Index along the first axis.
            season: Index along the second; without effect where chunks hold all seasons.

        Raises:
            PipelineError: The shard is lost or damaged.
        """
        self.read_batch(out[None], np.array([sample]), np.array([season]))

    def read_batch(self, out: NDArray[Any], samples: Indexes, seasons: Indexes) -> None:
        """Read one chunk for each of B (sample, season), each with one read and one decompression.

        Args:
            out: (B, *item_shape) of `dtype`, each row contiguous.
            samples: (B,) indices along the first axis.
            seasons: (B,) indices along the second; without effect where chunks hold all seasons.

        Raises:
            PipelineError: A shard is lost or damaged.
        """
        present, wanted = [], []
        for row, place in zip(*self._places(samples, seasons), strict=True):
            if place is None:
                out[row] = self._form.fill_value
            else:
                present.append(row)
                wanted.append(place)
        for row, encoded in zip(present, self._source.chunks(wanted), strict=True):
            try:
                self._decode(encoded, out[row])
            except (ValueError, RuntimeError) as error:
                raise PipelineError(
                    f"sample {samples[row]} of {self._path} is damaged ({error}); "
                    "remove the file of its shard and build the store again"
                ) from None

    def require(self, samples: Indexes) -> None:
        """Refuse samples whose shards are not there, before hours of work run into them.

        Args:
            samples: Indices along the first axis.

        Raises:
            PipelineError: A shard is missing, with its name.
        """
        wanted = np.unique(samples // self.samples_per_shard).tolist()
        lost = sorted(set(wanted) - self._source.stored())
        if lost:
            raise PipelineError(
                f"{self._source.name(lost[0])} is missing, one of {len(lost)} of {len(wanted)} "
                "shards that hold valid samples; copy the store as a whole or build it again"
            )

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        self._source.close()
        self._indexes.clear()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_indexes": OrderedDict()}

    def _places(
        self, samples: Indexes, seasons: Indexes
    ) -> tuple[list[int], list[ByteRange | None]]:
        """Where each chunk lies, None if it is not there; in the order of the files."""
        order: list[int] = np.argsort(samples, kind="stable").tolist()
        shards, rows = np.divmod(samples, self.samples_per_shard)
        columns = seasons if self._form.chunks_per_sample > 1 else np.zeros_like(seasons)
        indexes = self._load_indexes(list(dict.fromkeys(shards[order].tolist())))
        places: list[ByteRange | None] = []
        for position in order:
            shard = int(shards[position])
            index = indexes[shard]
            start, length = index[rows[position], columns[position]].tolist()
            places.append(None if start == _ABSENT else ByteRange(shard, start, length))
        return order, places

    def _load_indexes(self, shards: Sequence[int]) -> dict[int, NDArray[np.uint64]]:
        """The index of each shard."""
        unknown = [shard for shard in shards if shard not in self._indexes]
        tails = self._source.tails(unknown, self._form.index_bytes + 4) if unknown else []
        for shard, tail in zip(unknown, tails, strict=True):
            self._indexes[shard] = self._parse_index(shard, tail)
        found = {shard: self._indexes[shard] for shard in shards}
        for shard in shards:
            self._indexes.move_to_end(shard)
        while len(self._indexes) > _KNOWN_INDEXES:
            self._indexes.popitem(last=False)
        return found

    def _parse_index(self, shard: int, tail: bytes | None) -> NDArray[np.uint64]:
        if tail is None:
            raise lost_file(self._source.name(shard))
        content, checksum = tail[:-4], tail[-4:]
        whole = len(content) == self._form.index_bytes
        if not whole or google_crc32c.value(content) != int.from_bytes(checksum, "little"):
            raise PipelineError(
                f"the index of {self._source.name(shard)} is damaged; "
                "remove the file and build the store again"
            )
        return np.frombuffer(content, "<u8").reshape(self._form.index_shape)

    def _decode(self, encoded: memoryview, out: NDArray[Any]) -> None:
        content = _without_checksum(encoded) if self._checked else encoded
        if self._decoder is None:
            out.reshape(-1)[:] = np.frombuffer(content, self.dtype)
            return
        self._decoder.decode(content, out)


class _WholeArray(WrapperStore[Any]):
    """The files of an array, none of which may be missing when it is asked for."""

    def __init__(self, store: Store, array_path: StorePath) -> None:
        super().__init__(store)
        self._array_path = array_path

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Some bytes of a file; None where there is no metadata.

        Raises:
            LostFile: There is no such file of pixels.
        """
        found = await self._store.get(key, prototype, byte_range)
        if not found and key.startswith("c/"):
            raise lost_file(self._array_path / key)
        return found


class ZarrArray:
    """The same through zarr-python, for arrays in any form; attributes as in `ShardedArray`."""

    def __init__(self, array_path: StorePath) -> None:
        self._path = array_path
        self._array: zarr.Array[Any] | None = None
        array = self._opened()
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.samples_per_shard = (array.shards or array.chunks)[0]
        self._seasonal = len(array.shape) > 1 and array.chunks[:2] == (1, 1) and array.shape[1] > 1
        self.item_shape: tuple[int, ...] = array.shape[2:] if self._seasonal else array.shape[1:]

    def read_into(self, out: NDArray[Any], sample: int, season: int = 0) -> None:
        """Read one chunk; see `ShardedArray.read_into`."""
        with told_if_damaged(self._path):
            array = self._opened()
            out[...] = array[sample, season] if self._seasonal else array[sample]

    def read_batch(self, out: NDArray[Any], samples: Indexes, seasons: Indexes) -> None:
        """Read one chunk for each of B (sample, season); see `ShardedArray.read_batch`."""
        for row in np.argsort(samples, kind="stable"):
            self.read_into(out[row], int(samples[row]), int(seasons[row]))

    def close(self) -> None:
        """Forget the open array."""
        self._array = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}

    def _opened(self) -> "zarr.Array[Any]":
        if self._array is None:
            source = zarr_source(self._path)
            store = LocalStore(source, read_only=True) if isinstance(source, Path) else source
            self._array = zarr.open_array(_WholeArray(store, self._path), mode="r")
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

    @property
    def index_bytes(self) -> int:
        """Length of an index without its checksum."""
        return 8 * prod(self.index_shape)


def _decoder(codecs: list[dict[str, Any]]) -> Any | None:
    """The decompressor of a chain of codecs; None if chunks are not compressed."""
    first, *rest = codecs
    if first["name"] != "bytes" or first.get("configuration", {}).get("endian") == "big":
        raise _UnknownForm
    match [codec["name"] for codec in rest]:
        case [] | ["crc32c"]:
            return None
        case ["zstd"] | ["zstd", "crc32c"]:
            return numcodecs.Zstd()
        case ["blosc"] | ["blosc", "crc32c"]:
            return numcodecs.Blosc()
    raise _UnknownForm


def _without_checksum(encoded: memoryview) -> NDArray[np.uint8]:
    """What lies before the CRC-32C of a chunk.

    Raises:
        ValueError: The chunk is not what it was when its checksum was taken.
    """
    # google_crc32c takes no memory views, but arrays, which copy nothing either
    content = np.frombuffer(encoded, np.uint8)[:-4]
    if google_crc32c.value(content) != int.from_bytes(encoded[-4:], "little"):
        raise ValueError("its checksum does not fit")
    return content
