"""All parts of an import: takes units as a source brings them, until every shard is written.

One process reads and decodes; others compress and write the shards that are whole. Threads would
not do: the compressor keeps Python's lock.
"""

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Self

from pipeline.atomic_file import remove_partial_files
from pipeline.importers.shard_part import PartPlan, ShardJob, ShardPart, write_shard
from pipeline.importers.units import Key, Unit, Wanted
from pipeline.progress import told
from pipeline.worker_processes import worker_pool

_MOST_WAITING = 2
"""Whole shards per process that wait on disk for it; then reading waits, too."""


class ShardBoard:
    """Takes units in any order and writes every shard once."""

    def __init__(self, work: Path, plans: list[PartPlan], workers: int = 1) -> None:
        """Take up what an earlier run left in the folder ``work``.

        Args:
            work: Folder of the import.
            plans: What is imported.
            workers: Processes that compress and write; 1 does it here and now.
        """
        self._work = work
        self._folders = {plan.folder for plan in plans}
        self._workers = workers
        self._parts = {(plan.group, plan.part): ShardPart(work, plan) for plan in plans}

    def fill(self, units: Callable[[Wanted], Iterable[Unit]]) -> None:
        """Take what a source has of all that is still wanted, and write every shard.

        Args:
            units: Goes through the source, given what is wanted.

        Raises:
            PipelineError: The source cannot be read.
        """
        if any(part.unwritten for part in self._parts.values()):
            with _Writers(self._workers) as writers:
                self._take_all(units(self._wants), writers)
                for part in self._parts.values():
                    for shard in part.unwritten:  # nothing more will come for these
                        writers.write(part, shard)
        shutil.rmtree(self._work / "staging", ignore_errors=True)
        for folder in (self._work, *self._folders):
            remove_partial_files(folder)

    def _take_all(self, units: Iterable[Unit], writers: "_Writers") -> None:
        missing = sum(part.missing for part in self._parts.values())
        wanted = (unit for unit in units if self._wants(unit.key))
        for unit in told(wanted, "importing parts of samples", missing):
            part = self._parts[unit.key.group, unit.key.part]
            if (whole := part.take(unit)) is not None:
                writers.write(part, whole)
        writers.wait()

    def _wants(self, key: Key) -> bool:
        """Whether a unit is still to be decoded; a second one of the same key is not."""
        part = self._parts.get((key.group, key.part))
        return part is not None and part.wants(key.sample_id)


class _Writers:
    """Processes that write shards; a context manager that ends when all are written."""

    def __init__(self, workers: int) -> None:
        self._pool = worker_pool(workers) if workers > 1 else None
        self._most = workers * _MOST_WAITING
        self._pending: dict[Future[None], tuple[ShardPart, ShardJob]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)

    def write(self, part: ShardPart, shard: int) -> None:
        """Write a shard, now or soon; what went wrong with another one is raised here."""
        job = part.job(shard)
        if self._pool is None:
            write_shard(job)
            part.written(job)
            return
        if len(self._pending) >= self._most:
            self._settle(wait(self._pending, return_when=FIRST_COMPLETED).done)
        self._pending[self._pool.submit(write_shard, job)] = part, job

    def wait(self) -> None:
        """Wait until all that was asked for is written."""
        self._settle(wait(self._pending).done)

    def _settle(self, done: Iterable[Future[None]]) -> None:
        for future in done:
            part, job = self._pending.pop(future)
            future.result()
            part.written(job)
