"""Arrays of a zipped Zarr v2 group, chunk by chunk, without trusting its metadata.

A reader of our own, because Zarr v2 metadata may name a codec that unpickles, and because a chunk's
header may claim any size. Known are the codecs of the published SSL4EO-S12 v1.1 files and their
plain relatives; all else is refused.

Source: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html
"""

import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Self

import numcodecs  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from pipeline.importers.archives import zip_entry_reason
from pipeline.importers.members import DamagedMember, Limits, reading

_DEFLATED = ("zlib", "gzip")
_TYPE = re.compile(r"[<>|][biufSU]\d{1,4}|[<>]M8\[[a-z]{1,2}\]")
"""Numbers, short texts and times; numpy would evaluate what other words say."""

_BLOSC_HEADER_BYTES = 16
_TEXT_FILTERS = [{"id": "vlen-utf8"}]
"""The one kind of objects that is read: text of any length."""

_LARGEST_METADATA_BYTES = 1 << 20
_LARGEST_ARRAY_VALUES = 1 << 33


class ZippedGroup:
    """The arrays of one ``.zarr.zip`` file; close it, or use it in a ``with`` block."""

    def __init__(self, file: Path | BinaryIO, limits: Limits | None = None) -> None:
        """Open a file on disk or in memory.

        Raises:
            DamagedMember: It is no zip archive.
            PipelineError: It cannot be read.
        """
        self._limits = limits or Limits()
        self._path = file if isinstance(file, Path) else Path("a file in memory")
        with reading(self._path):
            self._archive = zipfile.ZipFile(file)
        self._entries = {entry.filename: entry for entry in self._archive.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def __contains__(self, array: str) -> bool:
        return f"{array}/.zarray" in self._entries

    def refusals(self) -> dict[str, str]:
        """Entries that are never read, with the reason."""
        reasons = {
            name: zip_entry_reason(entry, self._limits)
            for name, entry in self._entries.items()
            if not entry.is_dir()
        }
        return {name: reason for name, reason in reasons.items() if reason}

    def array(self, name: str) -> "ZippedArray":
        """One array of the group.

        Raises:
            DamagedMember: There is none, or it is stored in a way that is not read.
        """
        content = self.read(f"{name}/.zarray")
        if content is None:
            raise DamagedMember(f"lacks the array {name}")
        if len(content) > _LARGEST_METADATA_BYTES:
            raise DamagedMember(f"metadata of {len(content)} bytes")
        try:
            return ZippedArray(self, name, json.loads(content))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DamagedMember(f"array {name} is not Zarr v2 ({error})") from None

    def read(self, key: str) -> bytes | None:
        """The bytes of one entry; None if there is none.

        Raises:
            DamagedMember: It must not or cannot be read.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        if reason := zip_entry_reason(entry, self._limits):
            raise DamagedMember(f"{key}: {reason}")
        try:
            with reading(self._path):
                return self._archive.read(entry)
        except DamagedMember as error:
            raise DamagedMember(f"{key} is {error}") from None

    @property
    def largest_chunk(self) -> int:
        """Bytes a decoded chunk may take."""
        return self._limits.member_bytes


class ZippedArray:
    """One array; attributes ``shape`` and ``dtype`` as in numpy."""

    def __init__(self, group: ZippedGroup, name: str, metadata: dict[str, Any]) -> None:
        self._text = metadata["dtype"] == "|O" and metadata.get("filters") == _TEXT_FILTERS
        filtered = bool(metadata.get("filters")) and not self._text
        if metadata["zarr_format"] != 2 or filtered or metadata["order"] != "C":
            raise ValueError("format, filters or order")
        self.shape: tuple[int, ...] = tuple(int(length) for length in metadata["shape"])
        self.dtype = _dtype(metadata["dtype"], self._text)
        self._chunks = tuple(int(length) for length in metadata["chunks"])
        self._separator = metadata.get("dimension_separator", ".")
        fill = 0 if metadata["fill_value"] is None else metadata["fill_value"]
        self._fill = np.full((), "" if self._text else np.array(fill).astype(self.dtype))
        self._group = group
        self._name = name
        self._codec = _codec(metadata["compressor"])
        self._check()

    def read(self, *index: int) -> NDArray[Any]:
        """The part of the array at the given positions along its first axes.

        Only the chunks that it touches are read.

        Raises:
            DamagedMember: A chunk is damaged or refused, or there is no such position.
        """
        if any(not 0 <= at < length for at, length in zip(index, self.shape)):  # noqa: B905
            raise DamagedMember(f"{self._name} of shape {self.shape} has no {index}")
        rest = self.shape[len(index) :]
        if prod(rest) * self.dtype.itemsize > self._group.largest_chunk:
            raise DamagedMember(f"{self._name} of shape {self.shape} is too large")
        result = np.empty(rest, self.dtype)
        leading = [position // length for position, length in zip(index, self._chunks)]  # noqa: B905
        inside = tuple(position % length for position, length in zip(index, self._chunks))  # noqa: B905
        lengths = self._chunks[len(index) :]
        grid = [range(-(-size // length)) for size, length in zip(rest, lengths, strict=True)]
        for trailing in product(*grid):
            chunk = np.asarray(self._chunk([*leading, *trailing])[inside])
            where = tuple(
                slice(number * length, min((number + 1) * length, size))
                for number, length, size in zip(trailing, lengths, rest, strict=True)
            )
            result[where] = chunk[tuple(slice(0, part.stop - part.start) for part in where)]
        return result

    def _chunk(self, numbers: Sequence[int]) -> NDArray[Any]:
        key = f"{self._name}/{self._separator.join(map(str, numbers)) or '0'}"
        content = self._group.read(key)
        if self._text:
            return self._texts(key, content)
        if content is None:
            return np.full(self._chunks, self._fill)
        expected = prod(self._chunks) * self.dtype.itemsize
        decoded = self._decode(key, content, expected)
        if len(decoded) != expected:
            raise DamagedMember(f"{key} holds {len(decoded)} bytes instead of {expected}")
        return np.frombuffer(decoded, self.dtype).reshape(self._chunks)

    def _texts(self, key: str, content: bytes | None) -> NDArray[Any]:
        if content is None:
            return np.full(self._chunks, "", object)
        try:
            texts = numcodecs.VLenUTF8().decode(self._decode(key, content, _LARGEST_METADATA_BYTES))
        except (ValueError, UnicodeDecodeError) as error:
            raise DamagedMember(f"{key} is damaged ({error})") from None
        if texts.size != prod(self._chunks):
            raise DamagedMember(f"{key} holds {texts.size} texts")
        return np.asarray(texts, object).reshape(self._chunks)

    def _decode(self, key: str, content: bytes, most: int) -> bytes:
        """The plain bytes of a chunk, at most one more than it may have."""
        if self._codec == "blosc":
            _check_blosc_header(key, content, most)
        try:
            if self._codec in _DEFLATED:
                unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
                content = unpacker.decompress(content, most + 1)
            elif self._codec == "blosc":
                content = bytes(numcodecs.Blosc().decode(content))
        except (zlib.error, RuntimeError, ValueError) as error:
            raise DamagedMember(f"{key} is damaged ({error})") from None
        return content

    def _check(self) -> None:
        if self._separator not in (".", "/"):
            raise ValueError(f"separator {self._separator!r}")
        if len(self._chunks) != len(self.shape) or min((1, *self._chunks)) < 1:
            raise ValueError(f"chunks {self._chunks} of {self.shape}")
        if prod(self._chunks) * self.dtype.itemsize > self._group.largest_chunk:
            raise ValueError(f"chunks of {self._chunks} are too large")
        if min((0, *self.shape)) < 0 or prod(self.shape) > _LARGEST_ARRAY_VALUES:
            raise ValueError(f"shape {self.shape}")


def _dtype(name: Any, text: bool) -> np.dtype[Any]:
    if not text and not (isinstance(name, str) and _TYPE.fullmatch(name)):
        raise ValueError(f"type {name!r}")
    return np.dtype(name)


def _codec(compressor: dict[str, Any] | None) -> str:
    name = "" if compressor is None else str(compressor["id"])
    if name not in ("", "blosc", *_DEFLATED):
        raise ValueError(f"codec {name!r}")
    return name


def _check_blosc_header(key: str, content: bytes, most: int) -> None:
    """Blosc allocates and reads what its header claims, so that must be true.

    Bytes 4 to 8 are the size unpacked, 12 to 16 the size packed, little-endian.

    Source: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
    """
    unpacked, packed = (int.from_bytes(content[start : start + 4], "little") for start in (4, 12))
    if unpacked > most:
        raise DamagedMember(f"{key} claims {unpacked} bytes instead of {most}")
    if len(content) < _BLOSC_HEADER_BYTES or packed != len(content):
        raise DamagedMember(f"{key} claims {packed} packed bytes, it has {len(content)}")
