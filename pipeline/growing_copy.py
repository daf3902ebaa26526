"""The folder in which a copy of a store grows, until it is whole and takes its name.

It lies beside the output, ``.<output>.<work>.partial``. A file in it appears whole, and is on disk
when it has its name: what is there need not be made again. So the same command goes on after an
error, a kill or a power cut, and nothing under the output's name is ever half a store.
"""

import asyncio
import glob
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from pipeline.atomic_file import (
    PARTIAL_SUFFIX,
    atomic_file,
    remove_partial_files,
    sync,
    write_atomically,
)
from pipeline.errors import PipelineError
from pipeline.run_lock import hold_run_lock

Marks = dict[str, list[int]]
"""What tells a file of the source from a later one of its name: size and time, by key."""

_STORE = "store"
_MARKS = "source.json"


class SyncedStore(LocalStore):
    """A folder for zarr whose files are on disk once they have their names."""

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file whole or not at all."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write a file whole or not at all."""
        with atomic_file(self.root / key) as file:
            file.write(value.as_numpy_array().data)


class GrowingCopy:
    """A copy on its way.

    Attributes:
        store: Folder of the store that grows.
    """

    def __init__(self, folder: Path) -> None:
        self.store = folder / _STORE
        self._marks = folder / _MARKS

    def source_marks(self) -> Marks:
        """Of the files that the copy was made from so far; empty if there is none of it yet."""
        return dict(json.loads(self._marks.read_bytes())) if self._marks.is_file() else {}

    def note_source(self, marks: Marks) -> None:
        """Remember what the copy is made from; whatever was made of other files must be gone."""
        write_atomically(self._marks, json.dumps(marks).encode())


@contextmanager
def growing_copy(output: Path, work: str) -> Iterator[GrowingCopy]:
    """Begin a copy or go on with it; it takes the output's name when the block ends well.

    Args:
        output: The store to make.
        work: Tells the work from any other with the same output; part of a file name.

    Raises:
        PipelineError: The output exists, or another process is making it in the same way.
    """
    _refuse_existing(output)
    folder = output.with_name(f".{output.name}.{work}{PARTIAL_SUFFIX}")
    verb = "goes on" if folder.exists() else "grows"
    lock = hold_run_lock(folder)
    if lock is None:
        raise PipelineError(f"another process is making {output}; wait for its end")
    try:
        _refuse_existing(output)  # the other process may have come to its end just now
        print(f"{output} {verb} in {folder}", file=sys.stderr, flush=True)
        remove_partial_files(folder)
        copy = GrowingCopy(folder)
        yield copy
        copy.store.replace(output)
        sync(output.parent)
        shutil.rmtree(folder)
    finally:
        lock.release()
    _remove_abandoned(output)


def _refuse_existing(output: Path) -> None:
    if output.exists():
        _remove_abandoned(output)
        raise PipelineError(f"{output} exists; choose another name or remove it")


def _remove_abandoned(output: Path) -> None:
    """Remove what was begun, or left, under this name: the name is taken now."""
    for folder in output.parent.glob(f".{glob.escape(output.name)}.*{PARTIAL_SUFFIX}"):
        lock = hold_run_lock(folder) if folder.is_dir() else None
        if lock is not None:
            shutil.rmtree(folder)
            lock.release()
