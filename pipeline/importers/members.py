"""One file of an archive that nobody vouches for: what it is, and why it must not be read."""

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import PurePosixPath

MEBIBYTE = 1 << 20

DAMAGE = (EOFError, zlib.error, BadGzipFile, tarfile.TarError, zipfile.BadZipFile)
"""What the standard library raises on bytes that are cut short or altered."""

_LONGEST_NAME = 1024
_DRIVE = re.compile(r"[A-Za-z]:")


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


def mode_reason(mode: int) -> str:
    """Why something of a file mode is not read; empty for a regular file."""
    if stat.S_ISLNK(mode):
        return "link"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def size_reason(size: int, packed: int | None, limits: Limits) -> str:
    """Why so many bytes, packed into so few (None if unknown), are not read; empty if they are."""
    if size < 0 or size > limits.member_bytes:
        return f"{size} bytes, more than the {limits.member_bytes} allowed"
    if packed is None or size <= limits.ratio_free_bytes or size <= limits.ratio * packed:
        return ""
    return f"{packed} bytes unpack to {size}: a bomb"


def describe_damage(error: Exception) -> str:
    """An error of the standard library, as a reason."""
    return f"damaged ({printable(str(error)) or type(error).__name__})"
