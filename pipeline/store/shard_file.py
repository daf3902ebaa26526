"""One file of a sharded Zarr array, written chunk by chunk in one pass.

The file follows the ``sharding_indexed`` codec of Zarr v3: encoded inner chunks, each with its own
checksum, then an index of (offset, length) pairs and its CRC-32C. Writing it here rather than
through zarr keeps one chunk in memory instead of several copies of a shard, puts the chunks in an
order of our choosing, and leaves a file also where every chunk is empty (zarr writes none, and
workflow outputs must exist).

Source: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import google_crc32c
import numcodecs  # type: ignore[import-untyped]
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from pipeline.errors import PipelineError

# Several Blosc threads store the blocks of a chunk in the order in which they finish: other bytes
# on every run. Shards are compressed by as many processes as there are jobs instead.
blosc.use_threads = False

_ABSENT = np.uint64(2**64 - 1)
"""Offset and length of an inner chunk that is not in the file; it reads as nodata."""

_SHUFFLES = {
    "noshuffle": blosc.NOSHUFFLE,
    "shuffle": blosc.SHUFFLE,
    "bitshuffle": blosc.BITSHUFFLE,
}


class ShardFile:
    """Appends encoded chunks to an open file and remembers where they lie."""

    def __init__(
        self, file: BinaryIO, chunk_counts: tuple[int, ...], codecs: Sequence[dict[str, Any]]
    ) -> None:
        """Write to a file that is empty so far.

        Args:
            file: Open for writing.
            chunk_counts: Inner chunks of a shard along the axes that have several.
            codecs: Of the chunks, behind ``bytes``: those in the metadata of the store.

        Raises:
            PipelineError: One of them is none that this module writes.
        """
        self._file = file
        self._encoders = [_encoder(codec) for codec in codecs]
        self._digest = hashlib.sha256()
        self._position = 0
        self._index = np.full((*chunk_counts, 2), _ABSENT, dtype="<u8")

    def append(self, position: tuple[int, ...], chunk: NDArray[Any], nodata: int) -> None:
        """Add one inner chunk; one without data is left out, and reads as nodata."""
        if np.all(chunk == nodata):
            return
        little_endian = chunk.dtype.newbyteorder("<")
        encoded: Any = np.ascontiguousarray(chunk, little_endian)
        for encode in self._encoders:
            encoded = encode(encoded)
        self._index[position] = self._position, len(encoded)
        self._write(encoded)

    def finish(self) -> str:
        """Add the index; the SHA-256 of the whole file."""
        index = self._index.tobytes()
        self._write(_with_checksum(index))
        return self._digest.hexdigest()

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self._position += len(content)


def _encoder(codec: dict[str, Any]) -> Callable[[Any], bytes]:
    """What a codec of the array's metadata does."""
    options = codec.get("configuration", {})
    match codec["name"]:
        case "crc32c":
            return _with_checksum
        case "zstd":
            zstd = numcodecs.Zstd(level=options["level"], checksum=options["checksum"])
            return lambda content: bytes(zstd.encode(content))
        case "blosc":
            compressor = numcodecs.Blosc(
                cname=options["cname"],
                clevel=options["clevel"],
                shuffle=_SHUFFLES[options["shuffle"]],
                blocksize=options["blocksize"],
            )
            return lambda content: bytes(compressor.encode(content))
    raise PipelineError(
        f"the store was begun with the codec {codec['name']!r}, which this version does not write; "
        "go on with the version that began it, or remove the store"
    )


def _with_checksum(content: bytes) -> bytes:
    return content + google_crc32c.value(content).to_bytes(4, "little")
