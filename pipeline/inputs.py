"""Brings inputs from object storage to the disk that the jobs share: ``python -m pipeline.inputs``.

Whatever the settings read (a table of places, an area, archives, folders of tiles) may lie at a URL
such as ``s3://bucket/places.csv``. It is fetched once, into ``inputs`` beside the dataset, and read
there. A transfer that breaks off is continued; one object is one file, which appears whole.
"""

import argparse
import hashlib
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pipeline.atomic_file import PARTIAL_SUFFIX, write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.importers.members import unsafe_name
from pipeline.store.metadata import json_bytes
from pipeline.store.object_path import ObjectPath

_OBJECT_URL = re.compile(r"(s3|gs|az|file)://")
_PIECE_BYTES = 16 << 20
_TOLD_EVERY_S = 5.0


def in_object_storage(source: str) -> bool:
    """Whether a source is an object, or a prefix, rather than a path on disk."""
    return bool(_OBJECT_URL.match(source))


def local_path(source: str, folder: Path) -> Path:
    """Where an input is to be read: the path itself, or where `bring` puts what is at a URL.

    Args:
        source: A path or a URL.
        folder: For inputs, ``results/<name>/inputs``.

    Raises:
        PipelineError: The URL is no name for a file.
    """
    if not in_object_storage(source):
        return Path(source)
    name = source.partition("://")[2].strip("/")
    if reason := unsafe_name(name):
        raise PipelineError(f"{source} cannot be kept as a file ({reason}); copy it elsewhere")
    return folder / name


def bring(source: str, folder: Path) -> Path:
    """Make an input readable on disk; what is there already is left as it is.

    Args:
        source: A path, which is returned as it is; or the URL of an object, or of a prefix, of
            which all objects are fetched.
        folder: For inputs, ``results/<name>/inputs``.

    Returns:
        The file or folder.

    Raises:
        PipelineError: Nothing is at the URL, or it cannot be read; what has arrived is kept.
    """
    path = local_path(source, folder)
    if not in_object_storage(source) or path.is_file():
        return path
    place = ObjectPath(source.rstrip("/"))
    if place.is_file():
        _fetch(place, path)
    else:
        _fetch_all(place, path)
    return path


def _fetch_all(place: ObjectPath, folder: Path) -> None:
    names = place.below()
    if not names:
        raise PipelineError(f"there is nothing at {place}; check the URL in the settings")
    for name in names:
        if reason := unsafe_name(name):
            raise PipelineError(f"{place}/{name} cannot be kept as a file ({reason}); rename it")
        if not (folder / name).is_file():
            _fetch(place / name, folder / name)


def _fetch(place: ObjectPath, path: Path) -> None:
    """Fetch one object in pieces, after those of an earlier attempt at the same version of it."""
    size, version = place.version()
    tag = hashlib.sha256(version.encode()).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{tag}{PARTIAL_SUFFIX}")
    try:
        with partial.open("ab") as file:
            _receive(place, size, file)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    if place.version() != (size, version):
        partial.unlink()
        raise PipelineError(
            f"{place} was replaced while it was fetched; run the same command again"
        )
    partial.replace(path)


def _receive(place: ObjectPath, size: int, file: BinaryIO) -> None:
    """Append what is missing of an object to a file."""
    told = time.monotonic()
    while (have := file.tell()) < size:
        file.write(place.read_range(have, min(_PIECE_BYTES, size - have)))
        if time.monotonic() - told >= _TOLD_EVERY_S:
            told = time.monotonic()
            print(f"{place}: {have / 1e6:.0f} of {size / 1e6:.0f} MB", file=sys.stderr)
    file.flush()
    os.fsync(file.fileno())


def main(arguments: Sequence[str] | None = None) -> None:
    """Bring an input from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.inputs", description=__doc__)
    parser.add_argument("--url", required=True, help="an object or a prefix")
    parser.add_argument("--folder", type=Path, required=True, help="for inputs")
    parser.add_argument("--record", type=Path, required=True, help="where to note that it is there")
    options = parser.parse_args(arguments)
    path = bring(options.url, options.folder)
    write_atomically(options.record, json_bytes({"url": options.url, "path": path.as_posix()}))


if __name__ == "__main__":
    run_step(main)
