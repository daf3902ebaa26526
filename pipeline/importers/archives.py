"""Members of folders, tar(.gz) and zip archives, one after another and none of them trusted.

The door through which every import comes. Nothing is unpacked on disk and one member at a time is
in memory, so the size of an archive does not matter. What must not be read (paths that lead out of
the archive, links, devices, bombs, damaged members) is refused by name, and the rest goes on.
"""

import gzip
import io
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from pipeline.errors import PipelineError

MEBIBYTE = 1 << 20

_LONGEST_NAME = 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_PART = re.compile(r"\.part[a-z]{2}|\.part\d+|\.\d{3}")
_SKIP_BYTES = MEBIBYTE
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile)
"""What the standard library raises on bytes that are cut short or altered."""


@dataclass(frozen=True)
class Limits:
    """What a member may cost.

    Attributes:
        member_bytes: Largest member that is read.
        ratio: A member this many times larger than its packed bytes is a bomb.
        ratio_free_bytes: Members up to this size may be packed as tightly as they like: empty
            label masks shrink a thousandfold.
        skip_bytes: Most bytes of a compressed tar that are unpacked to get past one member; what
            lies behind a larger one is out of reach.
    """

    member_bytes: int = 64 * MEBIBYTE
    ratio: float = 200.0
    ratio_free_bytes: int = 16 * MEBIBYTE
    skip_bytes: int = 16 * 1024 * MEBIBYTE


@dataclass(frozen=True)
class Refusal:
    """Something that was not imported.

    Attributes:
        source: File name of the archive or folder.
        name: The member, or the sample; as printable text.
        reason: Why, in a few words.
    """

    source: str
    name: str
    reason: str


@dataclass(frozen=True)
class Member:
    """One file of an archive or folder.

    Attributes:
        source: File name of the archive or folder.
        name: Its path there, relative and without ``..``.
        size: Bytes, unpacked.
        read: Gives the bytes; only until the next member is asked for.

    ``read`` raises `DamagedMember`.
    """

    source: str
    name: PurePosixPath
    size: int
    read: Callable[[], bytes]


class DamagedMember(Exception):
    """A member is cut short or altered; the text says how."""


def iterate_members(
    path: Path, refuse: Callable[[Refusal], None], limits: Limits | None = None
) -> Iterator[Member]:
    """Go through the files of a folder or archive in a fixed order.

    Folders and zip archives are walked in the order of their names, tar archives in that of their
    bytes. ``x.tar.gz.partaa`` stands for all its parts. An archive that
    lies in a folder is gone through in its place.

    Args:
        path: A folder, ``.tar``, ``.tar.gz``, ``.tgz`` or ``.zip`` file.
        refuse: Told of every member that is left out.
        limits: Of one member.

    Raises:
        PipelineError: There is nothing at the path, or no archive of a known kind.
    """
    limits = limits or Limits()
    if path.is_dir():
        return _folder_members(path, refuse, limits)
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; give a folder or an archive")
    if is_zip(path):
        return _zip_members(path, refuse, limits)
    if is_tar(path):
        return _tar_members(path, refuse, limits)
    raise PipelineError(f"{path} is neither a folder nor a .tar, .tar.gz or .zip archive")


def reported_before(refusal: Refusal) -> None:
    """For a second pass over a source whose refusals are known from the first."""


def is_zip(path: Path) -> bool:
    """Whether a file is named as a zip archive."""
    return path.name.lower().endswith(".zip")


def is_tar(path: Path) -> bool:
    """Whether a file is named as a tar archive, or as the first part of one."""
    name = path.name.lower()
    match = _PART.search(name)
    if match and match.end() == len(name):
        name = name[: match.start()]
    return name.endswith((".tar", ".tar.gz", ".tgz"))


def printable(name: str) -> str:
    """A foreign name as it may be shown: control characters escaped, cut to a sane length."""
    text = name.encode("utf-8", "backslashreplace").decode()
    safe = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
    return safe if len(safe) <= 200 else f"{safe[:197]}..."


def unsafe_name(name: str) -> str:
    """Why a path inside an archive must not be followed; empty if it may."""
    if not name or len(name) > _LONGEST_NAME:
        return f"name of {len(name)} characters"
    if any(ord(character) < 32 for character in name):
        return "control character in the name"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "absolute path"
    if ".." in re.split(r"[/\\]", name):
        return "path leads out of the archive"
    return "backslash in the name" if "\\" in name else ""


def _folder_members(
    root: Path, refuse: Callable[[Refusal], None], limits: Limits
) -> Iterator[Member]:
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        here = Path(folder)
        for name in [name for name in subfolders if (here / name).is_symlink()]:
            relative = (here / name).relative_to(root).as_posix()
            refuse(Refusal(root.name, printable(relative), "link"))
        for name in sorted(names):
            path = here / name
            relative = path.relative_to(root).as_posix()
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and (is_zip(path) or is_tar(path)):
                yield from _nested_members(path, relative, refuse, limits)
                continue
            reason = _mode_reason(status.st_mode) or _size_reason(status.st_size, None, limits)
            if reason := unsafe_name(relative) or reason:
                refuse(Refusal(root.name, printable(relative), reason))
                continue
            yield Member(root.name, PurePosixPath(relative), status.st_size, path.read_bytes)


def _nested_members(
    path: Path, relative: str, refuse: Callable[[Refusal], None], limits: Limits
) -> Iterator[Member]:
    """The members of an archive in a folder, named as if it were a folder itself."""
    if _parts(path)[0] != path:
        return
    for member in iterate_members(path, refuse, limits):
        yield replace(member, name=PurePosixPath(relative) / member.name)


def _zip_members(path: Path, refuse: Callable[[Refusal], None], limits: Limits) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        refuse(Refusal(path.name, path.name, f"damaged archive ({error})"))
        return
    with archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        names = Counter(entry.filename for entry in entries)
        for entry in entries:
            if entry.is_dir():
                continue
            twice = "the same name twice" if names[entry.filename] > 1 else ""
            if reason := zip_entry_reason(entry, limits) or twice:
                refuse(Refusal(path.name, printable(entry.filename), reason))
                continue
            name = PurePosixPath(entry.filename)
            yield Member(path.name, name, entry.file_size, _zip_reader(archive, entry))


def zip_entry_reason(entry: zipfile.ZipInfo, limits: Limits) -> str:
    """Why an entry of a zip archive must not be read; empty if it may."""
    if reason := unsafe_name(entry.orig_filename):
        return reason
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) and (reason := _mode_reason(mode)):
        return reason
    if entry.flag_bits & 1:
        return "encrypted"
    if entry.compress_type not in _ZIP_METHODS:
        return f"packed by method {entry.compress_type}"
    return _size_reason(entry.file_size, entry.compress_size, limits)


def _zip_reader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(entry) as file:
                content = file.read(entry.file_size + 1)
        except (*_DAMAGE, OSError, ValueError, NotImplementedError) as error:
            raise DamagedMember(_damage(error)) from None
        if len(content) != entry.file_size:
            raise DamagedMember(f"{len(content)} bytes instead of {entry.file_size}")
        return content

    return read


def _tar_members(path: Path, refuse: Callable[[Refusal], None], limits: Limits) -> Iterator[Member]:
    last = path.name
    with ExitStack() as stack:
        packed = _packed_bytes(path, stack)
        compressed = path.name.lower().endswith(".tgz") or ".tar.gz" in path.name.lower()
        plain = stack.enter_context(gzip.GzipFile(fileobj=packed)) if compressed else packed
        stream = _ForwardStream(cast("BinaryIO", plain), limits)
        consumed = packed.tell if compressed else None
        try:
            archive = tarfile.TarFile(fileobj=cast("BinaryIO", stream), tarinfo=_StrictHeader)
            while (entry := archive.next()) is not None:
                # tarfile would keep every header it has seen
                archive.members.clear()  # type: ignore[attr-defined]
                last = printable(entry.name)
                if entry.isdir():
                    continue
                if reason := _tar_entry_reason(entry, limits):
                    refuse(Refusal(path.name, last, reason))
                    continue
                read = _tar_reader(archive, entry, limits, consumed)
                yield Member(path.name, PurePosixPath(entry.name), entry.size, read)
        except (*_DAMAGE, _OutOfReach, OSError) as error:
            refuse(Refusal(path.name, last, f"the archive ends here: {_damage(error)}"))


def _tar_entry_reason(entry: tarfile.TarInfo, limits: Limits) -> str:
    if reason := unsafe_name(entry.name):
        return reason
    if entry.issym() or entry.islnk():
        return "link"
    if entry.issparse():
        return "sparse file"
    if not entry.isfile():
        return "not a regular file"
    return _size_reason(entry.size, None, limits)


def _tar_reader(
    archive: tarfile.TarFile,
    entry: tarfile.TarInfo,
    limits: Limits,
    consumed: Callable[[], int] | None,
) -> Callable[[], bytes]:
    def read() -> bytes:
        file = cast("BinaryIO", archive.extractfile(entry))
        start = consumed() if consumed else 0
        content = bytearray()
        try:
            while piece := file.read(MEBIBYTE):
                content += piece
                packed = consumed() - start if consumed else None
                if reason := _size_reason(len(content), packed, limits):
                    raise DamagedMember(reason)
        except (*_DAMAGE, OSError) as error:
            raise DamagedMember(_damage(error)) from None
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

    def __init__(self, source: BinaryIO, limits: Limits) -> None:
        super().__init__()
        self._source = source
        self._limits = limits
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        distance = offset - self._position
        if whence != io.SEEK_SET or distance < 0:
            raise tarfile.StreamError("an archive is read forward only")
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
    parts = _parts(path)
    if len(parts) == 1:
        return stack.enter_context(parts[0].open("rb"))
    return cast("BinaryIO", stack.enter_context(io.BufferedReader(_Joined(parts), MEBIBYTE)))


def _parts(path: Path) -> list[Path]:
    match = _PART.search(path.name)
    if not match or match.end() != len(path.name):
        return [path]
    stem = path.name[: match.start()]
    return sorted(
        part
        for part in path.parent.iterdir()
        if part.name.startswith(stem) and _PART.fullmatch(part.name[len(stem) :])
    )


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


def _mode_reason(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "link"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def _size_reason(size: int, packed: int | None, limits: Limits) -> str:
    if size < 0 or size > limits.member_bytes:
        return f"{size} bytes, more than the {limits.member_bytes} allowed"
    if packed is None or size <= limits.ratio_free_bytes or size <= limits.ratio * packed:
        return ""
    return f"{packed} bytes unpack to {size}: a bomb"


def _damage(error: Exception) -> str:
    return f"damaged ({printable(str(error)) or type(error).__name__})"
