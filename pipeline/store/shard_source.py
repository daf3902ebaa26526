"""Bytes of the shards of one array, from files or from object storage, behind one interface.

A shard is known by its number; where its bytes lie is decided here and nowhere else. Sources can be
pickled: files are opened, connections made and threads started where and when they are first used.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from pipeline.errors import PipelineError
from pipeline.store.object_path import ObjectPath, StorePath

_OPEN_FILES = 48
"""Shards of one array held open at once. Without workers one process reads training, validation
and clean tiles, five arrays each, and the truth: below the usual limit of 1024 files."""

_REQUESTS = 16
"""Requests to object storage under way at once, per array and process."""


class ByteRange(NamedTuple):
    """Where an encoded chunk lies."""

    shard: int
    start: int
    length: int


class ShardSource(Protocol):
    """Reads from the shards of one array."""

    def tails(self, shards: Sequence[int], length: int) -> list[bytes | None]:
        """The last bytes of each shard, fewer if it is shorter; None where there is no shard."""

    def chunks(self, wanted: Sequence[ByteRange]) -> Iterator[memoryview]:
        """The bytes of each range, in order; each is valid until the next one is asked for.

        Raises:
            PipelineError: A shard is gone, or shorter than it was.
        """

    def stored(self) -> set[int]:
        """The shards that are there."""

    def name(self, shard: int) -> str:
        """Of a shard, for messages."""

    def close(self) -> None:
        """Give back files and threads; they are made again when needed."""


def open_source(array_path: StorePath, axes: int) -> ShardSource:
    """The source of an array with so many axes.

    Args:
        array_path: Of the array.
        axes: Number of its dimensions.
    """
    if isinstance(array_path, ObjectPath):
        return _StoredObjects(array_path, axes)
    return _LocalFiles(array_path, axes)


def _shard_key(shard: int, axes: int) -> str:
    """Zarr's own chunk key of a shard that is whole along every axis but the first."""
    return "/".join(["c", str(shard), *["0"] * (axes - 1)])


class _LocalFiles:
    """Files: one positioned read per chunk, into a buffer that is used again."""

    def __init__(self, array_path: Path, axes: int) -> None:
        self._path = array_path
        self._axes = axes
        self._files: OrderedDict[int, int] = OrderedDict()
        self._inodes: dict[int, int] = {}
        self._buffer = np.empty(0, np.uint8)

    def tails(self, shards: Sequence[int], length: int) -> list[bytes | None]:
        return [self._tail(shard, length) for shard in shards]

    def chunks(self, wanted: Sequence[ByteRange]) -> Iterator[memoryview]:
        for shard, start, length in wanted:
            if length > len(self._buffer):
                self._buffer = np.empty(length + length // 4, np.uint8)
            view = self._buffer[:length].data
            try:
                file = self._open(shard)
            except FileNotFoundError:
                raise PipelineError(
                    f"there is no file {self.name(shard)} any more; build the store again"
                ) from None
            found = os.preadv(file, [view], start)
            # The kernel gives less than was asked for above 2 GB and at the end of a file only.
            if found != length:
                raise PipelineError(
                    f"{self.name(shard)} ends in the middle of a chunk; "
                    "remove the file and build the store again"
                )
            yield view

    def stored(self) -> set[int]:
        files = self._path.glob("c/*" + "/0" * (self._axes - 1))
        names = (file.relative_to(self._path).parts[1] for file in files)
        return {int(name) for name in names if name.isdecimal()}

    def name(self, shard: int) -> str:
        return str(self._path / _shard_key(shard, self._axes))

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        self._inodes.clear()

    def __getstate__(self) -> dict[str, Any]:
        # A child process must open files of its own.
        fresh = {"_files": OrderedDict(), "_inodes": {}, "_buffer": np.empty(0, np.uint8)}
        return self.__dict__ | fresh

    def _tail(self, shard: int, length: int) -> bytes | None:
        try:
            file = self._open(shard)
        except FileNotFoundError:
            return None
        size = os.fstat(file).st_size
        return os.pread(file, length, max(0, size - length))

    def _open(self, shard: int) -> int:
        file = self._files.get(shard)
        if file is not None:
            self._files.move_to_end(shard)
            return file
        if len(self._files) >= _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        file = os.open(self.name(shard), os.O_RDONLY)
        inode = os.fstat(file).st_ino
        if self._inodes.setdefault(shard, inode) != inode:
            os.close(file)
            raise PipelineError(
                f"{self.name(shard)} was written again while it was read, and its index is another "
                "one now; start again"
            )
        # Reading ahead would fetch megabytes of other samples and seasons with every chunk.
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        self._files[shard] = file
        return file


class _StoredObjects:
    """Objects: one request per chunk, many under way at once."""

    def __init__(self, array_path: ObjectPath, axes: int) -> None:
        self._path = array_path
        self._axes = axes
        self._pool: ThreadPoolExecutor | None = None
        self._e_tags: dict[int, str | None] = {}

    def tails(self, shards: Sequence[int], length: int) -> list[bytes | None]:
        def tail(shard: int) -> bytes | None:
            try:
                content, self._e_tags[shard] = self._object(shard).read_tail(length)
            except FileNotFoundError:
                return None
            return content

        return list(self._threads().map(tail, shards))

    def chunks(self, wanted: Sequence[ByteRange]) -> Iterator[memoryview]:
        return self._threads().map(self._chunk, wanted)

    def stored(self) -> set[int]:
        keys = (self._path / "c").below()
        return {int(key.split("/")[0]) for key in keys}

    def name(self, shard: int) -> str:
        return str(self._object(shard))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._e_tags.clear()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pool": None, "_e_tags": {}}

    def _chunk(self, wanted: ByteRange) -> memoryview:
        try:
            shard, start, length = wanted
            found = self._object(shard).read_range(start, length, self._e_tags.get(shard))
        except FileNotFoundError as error:
            raise PipelineError(f"{error} any more; build the store again") from None
        if len(found) != wanted.length:
            raise PipelineError(
                f"{self.name(wanted.shard)} ends in the middle of a chunk; "
                "remove the object and build the store again"
            )
        return found

    def _object(self, shard: int) -> ObjectPath:
        return self._path / _shard_key(shard, self._axes)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_REQUESTS, thread_name_prefix="objects")
        return self._pool
