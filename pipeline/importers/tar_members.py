"""Members of tar archives, plain, packed or in parts, in one pass and in constant memory."""

import gzip
import io
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from pipeline.importers.members import (
    MEBIBYTE,
    DamagedMember,
    Limits,
    Member,
    Refusal,
    printable,
    reading,
    size_reason,
    unsafe_name,
)

_PART = re.compile(r"(?:\.part[a-z]{2}|\.part\d+|\.\d{3})\Z")
_SKIP_BYTES = MEBIBYTE


def is_tar(path: Path) -> bool:
    """Whether a file is named as a tar archive, or as the first part of one."""
    name = _PART.sub("", path.name.lower())
    return name.endswith((".tar", ".tar.gz", ".tgz"))


def tar_members(path: Path, refuse: Callable[[Refusal], None], limits: Limits) -> Iterator[Member]:
    """Go through an archive in the order of its bytes; see `iterate_members`."""
    last = path.name
    with ExitStack() as stack:
        packed = _packed_bytes(path, stack)
        compressed = path.name.lower().endswith(".tgz") or ".tar.gz" in path.name.lower()
        plain = stack.enter_context(gzip.GzipFile(fileobj=packed)) if compressed else packed
        jumps = not compressed and len(parts_of(path)) == 1
        length = path.stat().st_size if jumps else None
        stream = _ForwardStream(cast("BinaryIO", plain), limits, length)
        consumed = packed.tell if compressed else None
        try:
            with reading(path):
                archive = tarfile.TarFile(fileobj=cast("BinaryIO", stream), tarinfo=_StrictHeader)
            while (entry := _next_entry(archive, path)) is not None:
                # tarfile would keep every header it has seen
                archive.members.clear()  # type: ignore[attr-defined]
                last = printable(entry.name)
                if entry.isdir():
                    continue
                if reason := _tar_entry_reason(entry, limits):
                    refuse(Refusal(path.name, last, reason))
                    continue
                read = _tar_reader(archive, entry, limits, consumed, path)
                yield Member(path.name, PurePosixPath(entry.name), entry.size, read)
        except (DamagedMember, _OutOfReach) as error:
            refuse(Refusal(path.name, last, f"the archive ends here: {error}"))


def _next_entry(archive: tarfile.TarFile, path: Path) -> tarfile.TarInfo | None:
    with reading(path):
        return archive.next()


def _tar_entry_reason(entry: tarfile.TarInfo, limits: Limits) -> str:
    if reason := unsafe_name(entry.name):
        return reason
    if entry.issym() or entry.islnk():
        return "link"
    if entry.issparse():
        return "sparse file"
    if not entry.isfile():
        return "not a regular file"
    return size_reason(entry.size, None, limits)


def _tar_reader(
    archive: tarfile.TarFile,
    entry: tarfile.TarInfo,
    limits: Limits,
    consumed: Callable[[], int] | None,
    path: Path,
) -> Callable[[], bytes]:
    def read() -> bytes:
        file = cast("BinaryIO", archive.extractfile(entry))
        start = consumed() if consumed else 0
        content = bytearray()
        with reading(path):
            while piece := file.read(MEBIBYTE):
                content += piece
                packed = consumed() - start if consumed else None
                if reason := size_reason(len(content), packed, limits):
                    raise DamagedMember(reason)
        if len(content) != entry.size:
            raise DamagedMember(f"{len(content)} bytes instead of {entry.size}")
        return bytes(content)

    return read


class _StrictHeader(tarfile.TarInfo):
    """A header that says when it is damaged; `tarfile` would take that for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> "_StrictHeader":
        try:
            return super().fromtarfile(tarfile)
        except _END_MARK:
            raise
        except _BAD_HEADER as error:
            raise EOFError(str(error) or "truncated") from None


_END_MARK = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_BAD_HEADER = tarfile.HeaderError


class _OutOfReach(Exception):
    """Going on would cost too much."""


class _ForwardStream(io.RawIOBase):
    """A stream that only goes forward, for `tarfile`, which seeks before it reads.

    Besides, it bounds what a hostile header can make `tarfile` read or skip.
    """

    def __init__(self, source: BinaryIO, limits: Limits, length: int | None) -> None:
        """Go through a source.

        Args:
            source: At its beginning.
            limits: Of what is read and skipped.
            length: Bytes of a file, in which one can jump; None for what has to be read.
        """
        super().__init__()
        self._source = source
        self._limits = limits
        self._length = length
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        distance = offset - self._position
        if whence != io.SEEK_SET or distance < 0:
            raise tarfile.StreamError("an archive is read forward only")
        if self._length is not None:
            if offset > self._length:
                raise EOFError("truncated")
            self._position = self._source.seek(offset)
            return offset
        if distance > self._limits.skip_bytes:
            raise _OutOfReach(f"the next member lies {distance} bytes ahead")
        while distance:
            piece = self._source.read(min(distance, _SKIP_BYTES))
            if not piece:
                raise EOFError("truncated")
            self._position += len(piece)
            distance -= len(piece)
        return self._position

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._limits.member_bytes + tarfile.RECORDSIZE:
            raise _OutOfReach(f"a header claims {size} bytes")
        content = b""
        while len(content) < size and (piece := self._source.read(size - len(content))):
            content = content + piece if content else piece
        self._position += len(content)
        return content


def _packed_bytes(path: Path, stack: ExitStack) -> BinaryIO:
    """The bytes of an archive as they are on disk, its parts one after another."""
    parts = parts_of(path)
    if len(parts) == 1:
        return stack.enter_context(parts[0].open("rb"))
    return cast("BinaryIO", stack.enter_context(io.BufferedReader(_Joined(parts), MEBIBYTE)))


def parts_of(path: Path) -> list[Path]:
    """All files of an archive, in order; the file itself unless it is a part."""
    stem, found = _PART.subn("", path.name)
    if not found:
        return [path]
    beside = path.parent.iterdir()
    parts = [part for part in beside if part.name != stem and _PART.sub("", part.name) == stem]
    # shorter first: 10 comes after 9
    return sorted(parts, key=lambda part: (len(part.name), part.name))


class _Joined(io.RawIOBase):
    """Several files read as one."""

    def __init__(self, parts: list[Path]) -> None:
        super().__init__()
        self._parts = iter(parts)
        self._file: BinaryIO | None = None
        self._position = 0

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        while True:
            if self._file is None:
                part = next(self._parts, None)
                if part is None:
                    return 0
                self._file = part.open("rb")
            if count := self._file.readinto(buffer):  # type: ignore[attr-defined]
                self._position += count
                return int(count)
            self._file.close()
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()
