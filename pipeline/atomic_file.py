"""Files that appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".partial"
"""Ends the name of every file still being written, zarr's own included."""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of ``path`` when the block ends well.

    The bytes are on disk before the name changes, so that neither a killed process nor a power
    cut leaves a part of a file under its final name. If the block raises, ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            # A full disk shows in `write`, which knows no name; and the other name says nothing.
            error.filename = str(path)
        raise
    sync(path.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all; see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(content)


def remove_partial_files(folder: Path) -> int:
    """Delete what killed writers left below a folder; call it only when nobody writes there.

    Returns:
        The number of files removed.
    """
    leftovers = sorted(folder.rglob(f"*{PARTIAL_SUFFIX}"))
    for leftover in leftovers:
        leftover.unlink()
    return len(leftovers)


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on disk, so that a power cut undoes no change."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
