"""The folder of an export: what it is an export of, so that two never mix."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.atomic_file import remove_partial_files, write_atomically
from pipeline.errors import PipelineError
from pipeline.export.store_group import StoreGroup

RECORD = "export.json"
_LOCK = ".export.lock"


@contextmanager
def claimed_folder(folder: Path, group: StoreGroup, form: dict[str, Any]) -> Iterator[None]:
    """Begin an export, or go on with the same one; nobody else writes there meanwhile.

    What a killed export left half written is removed.

    Args:
        folder: Of the export.
        group: Any group of the store.
        form: Whatever decides the bytes of the files besides the store.

    Raises:
        PipelineError: The folder holds an export of another store or of another form, or something
            else, or another process is writing there.
    """
    record = {
        "store": group.store.name,
        "title": group.attributes.get("title", ""),
        "dataset_hash": group.attributes.get("dataset_hash", ""),
        "simulated": group.simulated,
    } | form
    _refuse_other_content(folder, record)
    with sole_writer(folder):
        remove_partial_files(folder)
        write_atomically(folder / RECORD, json.dumps(record, indent=2).encode() + b"\n")
        yield


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keep other exports out of a folder, which is made if need be.

    Raises:
        PipelineError: One is at work there, or there is a file in its place.
    """
    if folder.exists() and not folder.is_dir():
        raise PipelineError(f"{folder} is a file; choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise PipelineError(
            f"another export is writing into {folder}; wait for its end or choose another --output"
        ) from None
    try:
        yield
    finally:
        # First its name, then the lock, so that no later export is surprised by either.
        (folder / _LOCK).unlink(missing_ok=True)
        lock.release()


def holds_anything(folder: Path) -> bool:
    """Whether there is more in a folder than hidden files."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _refuse_other_content(folder: Path, record: dict[str, Any]) -> None:
    path = folder / RECORD
    if not path.is_file():
        if holds_anything(folder):
            raise PipelineError(
                f"{folder} holds something else (no {RECORD}); choose another --output"
            )
        return
    try:
        existing = dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise PipelineError(
            f"{path} is not the record of an export; choose another --output or remove the folder"
        ) from None
    differing = [key for key in record if existing.get(key) != record[key]]
    if differing:
        key = differing[0]
        raise PipelineError(
            f"{folder} holds another export ({key} {existing.get(key)!r}, not "
            f"{record[key]!r}); choose another --output or remove the folder"
        )
