"""Decoded samples on their way into shards: staged one by one, written when a shard is whole.

The state of an import lies beside its store, in ``<store>.import``: ``staging`` holds the samples
of shards that are not whole yet, ``commits`` one record for each shard and part that is written.
The record is written after the files, so a shard counts once it is there; a killed run goes on
from these two and ends in the same bytes.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file, remove_partial_files, write_atomically
from pipeline.importers.members import DamagedMember
from pipeline.importers.telling import Telling
from pipeline.importers.units import Decoded, Key, Unit, Wanted
from pipeline.store.shard_file import ShardFile

REFUSED = "refused"
"""The fact that says why nothing of a unit is in the store."""

_FACTS = "facts"


@dataclass(frozen=True)
class StoredArray:
    """One sharded array of a store, as its writer must know it.

    Attributes:
        name: In the store.
        shape: Of one sample.
        dtype: As stored.
        nodata: As stored.
        compressor: Codec of the inner chunks, as in Zarr's metadata.
        seasonal_chunks: Whether each place along the first axis of a sample is a chunk of its own.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nodata: int
    compressor: dict[str, Any]
    seasonal_chunks: bool = False

    @property
    def chunk_counts(self) -> tuple[int, ...]:
        """Chunks of one sample along the axes that have several."""
        return (self.shape[0],) if self.seasonal_chunks else ()

    def key(self, shard: int) -> str:
        """Path of a shard's file below its group: Zarr's own chunk key."""
        return f"{self.name}/c/{shard}" + "/0" * len(self.shape)


@dataclass(frozen=True)
class PartPlan:
    """What one part of one group will hold.

    Attributes:
        group: Name of the group.
        part: Name of the part.
        folder: Of the group, in the store.
        samples: Index in the store by id, of the samples that the source has this part of.
        arrays: What a unit of the part is stored as.
        count: Samples in the group, with or without this part.
        shard_size: Samples in one shard.
    """

    group: str
    part: str
    folder: Path
    samples: Mapping[str, int]
    arrays: tuple[StoredArray, ...]
    count: int
    shard_size: int

    @property
    def shards(self) -> range:
        """All shards of the group: one in which nothing has this part is an empty file.

        Readers take a shard without a file for a lost one.
        """
        return range(-(-self.count // self.shard_size))


class ShardBoard:
    """Takes units in any order and writes every shard once; for one process."""

    def __init__(self, work: Path, plans: list[PartPlan]) -> None:
        """Take up what an earlier run left in the folder ``work``."""
        self._work = work
        self._parts = {(plan.group, plan.part): _Part(work, plan) for plan in plans}
        self._seen: set[Key] = set()

    @property
    def complete(self) -> bool:
        """Whether every shard of every part is written."""
        return all(part.complete for part in self._parts.values())

    def fill(self, units: Callable[[Wanted], Iterable[Unit]]) -> None:
        """Take what a source has of all that is still wanted, and write every shard.

        Args:
            units: Goes through the source, given what is wanted.
        """
        if not self.complete:
            missing = sum(part.missing for part in self._parts.values())
            with Telling("importing", "parts of samples", missing) as told:
                for unit in units(self.wants):
                    if self.take(unit):
                        told.count()
        self.close()

    def wants(self, key: Key) -> bool:
        """Whether a unit is still to be decoded."""
        part = self._parts.get((key.group, key.part))
        return part is not None and key not in self._seen and part.wants(key.sample_id)

    def take(self, unit: Unit) -> bool:
        """Decode and stage a unit, unless that was done before: whether it was taken."""
        wanted = self.wants(unit.key)
        if wanted:
            self._parts[unit.key.group, unit.key.part].take(unit)
        self._seen.add(unit.key)
        return wanted

    def close(self) -> None:
        """The source is at its end: write the shards for which nothing more will come."""
        for part in self._parts.values():
            part.close()
        shutil.rmtree(self._work / "staging", ignore_errors=True)
        remove_partial_files(self._work)


def write_empty_shards(plan: PartPlan) -> None:
    """Give the arrays of a part that nothing is known of yet the files that readers expect."""
    for shard in plan.shards:
        for array in plan.arrays:
            path = plan.folder / array.key(shard)
            if not path.is_file():
                with atomic_file(path) as file:
                    _shard_file(file, plan, array).finish()


def _shard_file(file: BinaryIO, plan: PartPlan, array: StoredArray) -> ShardFile:
    return ShardFile(file, (plan.shard_size, *array.chunk_counts), array.compressor)


def read_facts(work: Path, group: str, part: str, shard: int) -> dict[int, dict[str, Any]]:
    """What the commit of one shard says of its samples; nothing if it was not written."""
    try:
        document = json.loads((_commits(work, group, part) / f"{shard}.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {int(sample): known for sample, known in document["samples"].items()}


class _Part:
    """One part of one group."""

    def __init__(self, work: Path, plan: PartPlan) -> None:
        self._work = work
        self._plan = plan
        self._staging = work / "staging" / (plan.group or "_") / plan.part
        self._commits = _commits(work, plan.group, plan.part)
        self._expected = Counter(index // plan.shard_size for index in plan.samples.values())
        self._written = {shard for shard in plan.shards if self._intact(shard)}
        self._staged = {int(path.stem) for path in self._staging.glob("*.npz")}
        self._waiting = Counter(index // plan.shard_size for index in self._staged)

    @property
    def complete(self) -> bool:
        return len(self._written) == len(self._plan.shards)

    @property
    def missing(self) -> int:
        """Samples that are neither written nor staged."""
        unwritten = self._expected.keys() - self._written
        return sum(self._expected[shard] - self._waiting[shard] for shard in unwritten)

    def wants(self, sample_id: str) -> bool:
        index = self._plan.samples.get(sample_id)
        return (
            index is not None
            and index // self._plan.shard_size not in self._written
            and index not in self._staged
        )

    def take(self, unit: Unit) -> None:
        index = self._plan.samples[unit.key.sample_id]
        try:
            decoded = unit.decode()
            self._check(decoded.arrays)
        except DamagedMember as error:
            decoded = Decoded({}, {REFUSED: str(error)})
        self._stage(index, decoded)
        shard = index // self._plan.shard_size
        if self._waiting[shard] == self._expected[shard]:
            self._write(shard)

    def close(self) -> None:
        for shard in self._plan.shards:
            if shard not in self._written:
                self._write(shard)

    def _check(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for array in self._plan.arrays:
            found = arrays[array.name]
            if found.shape != array.shape or found.dtype != np.dtype(array.dtype):
                raise DamagedMember(
                    f"{array.name} is {found.dtype} {found.shape}, expected {array.shape}"
                )

    def _stage(self, index: int, decoded: Decoded) -> None:
        facts = np.frombuffer(json.dumps(decoded.facts).encode(), np.uint8)
        with atomic_file(self._staging / f"{index}.npz") as file:
            np.savez(file, allow_pickle=False, **{_FACTS: facts}, **decoded.arrays)
        self._staged.add(index)
        self._waiting[index // self._plan.shard_size] += 1

    def _write(self, shard: int) -> None:
        """Write the files of a shard, then its commit record, then forget what was staged."""
        size = self._plan.shard_size
        inside = [
            index for index in range(shard * size, (shard + 1) * size) if index in self._staged
        ]
        samples: dict[int, Any] = {}
        with ExitStack() as open_files:
            writers = {
                array.name: _shard_file(
                    open_files.enter_context(atomic_file(self._plan.folder / array.key(shard))),
                    self._plan,
                    array,
                )
                for array in self._plan.arrays
            }
            for index in inside:
                with np.load(self._staging / f"{index}.npz", allow_pickle=False) as staged:
                    samples[index] = json.loads(staged[_FACTS].tobytes())
                    for array in self._plan.arrays:
                        if array.name in staged:
                            self._append(writers[array.name], array, index, staged[array.name])
            hashes = {name: writer.finish() for name, writer in writers.items()}
        document = {
            "files": {
                array.key(shard): {
                    "sha256": hashes[array.name],
                    "size": (self._plan.folder / array.key(shard)).stat().st_size,
                }
                for array in self._plan.arrays
            },
            "samples": samples,
        }
        record = json.dumps(document, indent=1).encode()
        write_atomically(self._commits / f"{shard}.json", record)
        self._written.add(shard)
        del self._waiting[shard]
        for index in inside:
            (self._staging / f"{index}.npz").unlink()
            self._staged.discard(index)

    def _append(
        self, writer: ShardFile, array: StoredArray, index: int, values: NDArray[Any]
    ) -> None:
        row = index % self._plan.shard_size
        if not array.seasonal_chunks:
            # A chunk of labels holds all seasons: the axis of length one is a matter of metadata.
            writer.append((row,), values, array.nodata)
            return
        for season, chunk in enumerate(values):
            writer.append((row, season), chunk, array.nodata)

    def _intact(self, shard: int) -> bool:
        """Whether a shard is committed and its files are there, of the right size."""
        try:
            document = json.loads((self._commits / f"{shard}.json").read_bytes())
        except FileNotFoundError:
            return False
        files = [(self._plan.folder / key, known) for key, known in document["files"].items()]
        return all(file.is_file() and file.stat().st_size == known["size"] for file, known in files)


def _commits(work: Path, group: str, part: str) -> Path:
    return work / "commits" / (group or "_") / part
