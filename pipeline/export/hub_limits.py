"""A folder on its way to the Hugging Face Hub: its files, the Hub's limits, the command to upload.

Nothing here speaks to the Hub or knows a token; ``hf auth login`` is the user's own step.

Source of the limits: https://huggingface.co/docs/hub/storage-limits, "Repository limitations and
recommendations" (read in 2026).
"""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pipeline.errors import PipelineError

ENTRIES_PER_FOLDER_MAX = 10_000
FILES_MAX = 100_000
FILE_BYTES_MAX = 50 * 10**9
FILE_BYTES_ADVISED = 20 * 10**9
REPOSITORY_BYTES_ADVISED = 300 * 10**9
"""Above, the Hub asks to be told before a public upload."""

RepositoryKind = Literal["model", "dataset"]

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class HubFile:
    """A file to upload.

    Attributes:
        path: In the repository.
        source: On this machine.
        size: Bytes.
    """

    path: PurePosixPath
    source: Path
    size: int


def check_repository(name: str) -> str:
    """The name of a repository, ``owner/name``.

    Raises:
        PipelineError: The Hub takes no such name.
    """
    if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise PipelineError(
            f"{name!r} is no name of a repository; write owner/name with letters, digits, '-', "
            "'_' and '.'"
        )
    return name


def check_limits(files: Sequence[HubFile]) -> list[str]:
    """Refuse what the Hub refuses; tell what it advises against.

    Returns:
        A line per thing that it advises against.

    Raises:
        PipelineError: A file is too large, or a folder or the repository has too many entries.
    """
    largest = max(files, key=lambda file: file.size)
    if largest.size > FILE_BYTES_MAX:
        raise PipelineError(
            f"{largest.path} has {_readable(largest.size)}, the Hub takes files up to "
            f"{_readable(FILE_BYTES_MAX)}; build the store with a smaller store.shard_size"
        )
    if len(files) > FILES_MAX:
        raise PipelineError(
            f"{len(files):,} files are more than the {FILES_MAX:,} of a repository; "
            "upload stores one by one, or build with a larger store.shard_size"
        )
    folder, entries = _fullest_folder(files)
    if entries > ENTRIES_PER_FOLDER_MAX:
        raise PipelineError(
            f"the folder {folder} has {entries:,} entries, the Hub takes "
            f"{ENTRIES_PER_FOLDER_MAX:,}; build the store with a larger store.shard_size"
        )
    return _advice(files, largest)


def upload_command(kind: RepositoryKind, repository: str, folder: Path) -> str:
    """The command that uploads a folder; it goes on by itself where it was interrupted."""
    words = ["hf", "upload", repository, str(folder), ".", "--repo-type", kind]
    return shlex.join(words)


def listing(files: Sequence[HubFile]) -> str:
    """What would go: a line per file at the top and per folder, and the sum."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for file in files:
        top = file.path.parts[0] + ("/" if len(file.path.parts) > 1 else "")
        counts[top] += 1
        sizes[top] += file.size
    width = max(len(name) for name in counts)
    lines = [
        f"{name:<{width}}  {count:>7,} {'file ' if count == 1 else 'files'}  "
        f"{_readable(sizes[name]):>9}"
        for name, count in sorted(counts.items())
    ]
    return "\n".join([*lines, f"together {len(files):,} files, {_readable(sum(sizes.values()))}"])


def files_below(folder: Path, at: PurePosixPath) -> list[HubFile]:
    """The finished files below a folder, sorted; hidden and partial ones are left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            found.append(hub_file(path, at / relative.as_posix()))
    return found


def hub_file(source: Path, path: PurePosixPath) -> HubFile:
    """A file and where it goes."""
    return HubFile(path, source, source.stat().st_size)


def _fullest_folder(files: Sequence[HubFile]) -> tuple[PurePosixPath, int]:
    names = [file.path.parts for file in files]
    entries = {parts[: depth + 1] for parts in names for depth in range(len(parts))}
    parts, count = Counter(entry[:-1] for entry in entries).most_common(1)[0]
    return PurePosixPath(*parts), count


def _advice(files: Sequence[HubFile], largest: HubFile) -> list[str]:
    advice = []
    total = sum(file.size for file in files)
    if largest.size > FILE_BYTES_ADVISED:
        advice.append(
            f"{largest.path} has {_readable(largest.size)}; the Hub advises files below "
            f"{_readable(FILE_BYTES_ADVISED)}"
        )
    if total > REPOSITORY_BYTES_ADVISED:
        advice.append(
            f"{_readable(total)} in all; the Hub asks to be told before it takes more than "
            f"{_readable(REPOSITORY_BYTES_ADVISED)}"
        )
    return advice


def _readable(size: int) -> str:
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} B"
