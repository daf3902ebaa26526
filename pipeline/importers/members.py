"""One file of an archive that nobody vouches for: what it is, and why it must not be read."""

import errno
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath

from pipeline.errors import PipelineError

MEBIBYTE = 1 << 20

_DAMAGE = (
    *(EOFError, zlib.error, BadGzipFile, tarfile.TarError, zipfile.BadZipFile),
    *(ValueError, NotImplementedError),
)
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


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Tell bytes that are damaged from a disk that does not give them.

    The first stay as they are and are refused by name; the second may be there tomorrow, so that
    they must never become a rejection.

    Args:
        source: The file that is read.

    Raises:
        DamagedMember: Its bytes are damaged.
        PipelineError: They could not be read.
    """
    try:
        yield
    except _DAMAGE as error:
        raise DamagedMember(_described(error)) from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # damage that sends the reader to before the start
            raise DamagedMember(_described(error)) from None
        raise PipelineError(
            f"{source} cannot be read ({error.strerror or error}); mend that and run the same "
            "command again"
        ) from None


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


def _described(error: Exception) -> str:
    return f"damaged ({printable(str(error)) or type(error).__name__})"
