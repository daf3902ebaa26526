"""The shards of one part of an import: samples staged one by one, files written when all are there.

The state of an import lies beside its store, in ``<store>.import``: ``staging`` holds the samples
of shards that are not whole yet, ``commits`` one record for each shard and part that is written.
The record is written after the files, so a shard counts once it is there; a killed run goes on
from these two and ends in the same bytes.
"""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file, write_atomically
from pipeline.importers.members import DamagedMember
from pipeline.importers.units import Decoded, Unit
from pipeline.store.metadata import read_codecs
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
        seasonal_chunks: Whether each place along the first axis of a sample is a chunk of its own.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nodata: int
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


@dataclass(frozen=True)
class ShardJob:
    """One shard to write; it can be sent to another process.

    Attributes:
        shard: Its number.
        size: Samples in it.
        folder: Of the group, in the store.
        arrays: Those of the part.
        staged: File of each sample that it holds, by index in the store.
        commit: The record to write once the files are there.
    """

    shard: int
    size: int
    folder: Path
    arrays: tuple[StoredArray, ...]
    staged: dict[int, Path]
    commit: Path


def write_shard(job: ShardJob) -> None:
    """Write the files of a shard, then its commit record."""
    hashes, samples = _write_files(job)
    files = {
        array.key(job.shard): {
            "sha256": hashes[array.name],
            "size": (job.folder / array.key(job.shard)).stat().st_size,
        }
        for array in job.arrays
    }
    record = json.dumps({"files": files, "samples": samples}, indent=1).encode()
    write_atomically(job.commit, record)


def _write_files(job: ShardJob) -> tuple[dict[str, str], dict[int, Any]]:
    """The hashes of the files by array, and the facts of the samples in them."""
    samples: dict[int, Any] = {}
    with ExitStack() as open_files:
        writers = {
            array.name: _shard_file(
                open_files.enter_context(atomic_file(job.folder / array.key(job.shard))),
                job.folder,
                array,
                job.size,
            )
            for array in job.arrays
        }
        for index, path in job.staged.items():
            with np.load(path, allow_pickle=False) as staged:
                samples[index] = json.loads(staged[_FACTS].tobytes())
                for array in job.arrays:
                    if array.name in staged:
                        row = index % job.size
                        _append(writers[array.name], array, row, staged[array.name])
        return {name: writer.finish() for name, writer in writers.items()}, samples


def _append(writer: ShardFile, array: StoredArray, row: int, values: NDArray[Any]) -> None:
    if not array.seasonal_chunks:
        # A chunk of labels holds all seasons: the axis of length one is a matter of metadata.
        writer.append((row,), values, array.nodata)
        return
    for season, chunk in enumerate(values):
        writer.append((row, season), chunk, array.nodata)


def write_empty_shards(plan: PartPlan) -> None:
    """Give the arrays of a part that nothing is known of yet the files that readers expect."""
    for shard in plan.shards:
        for array in plan.arrays:
            path = plan.folder / array.key(shard)
            if not path.is_file():
                with atomic_file(path) as file:
                    _shard_file(file, plan.folder, array, plan.shard_size).finish()


def _shard_file(file: BinaryIO, folder: Path, array: StoredArray, size: int) -> ShardFile:
    return ShardFile(file, (size, *array.chunk_counts), read_codecs(folder / array.name))


def read_facts(work: Path, group: str, part: str, shard: int) -> dict[int, dict[str, Any]]:
    """What the commit of one shard says of its samples; nothing if it was not written."""
    try:
        document = json.loads((_commits(work, group, part) / f"{shard}.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {int(sample): known for sample, known in document["samples"].items()}


class ShardPart:
    """One part of one group; its samples may come in any order."""

    def __init__(self, work: Path, plan: PartPlan) -> None:
        """Take up what an earlier run left in the folder ``work``."""
        self._plan = plan
        self._staging = work / "staging" / (plan.group or "_") / plan.part
        self._commits = _commits(work, plan.group, plan.part)
        self._expected = Counter(index // plan.shard_size for index in plan.samples.values())
        self._written = {shard for shard in plan.shards if self._intact(shard)}
        self._staged = {int(path.stem) for path in self._staging.glob("*.npz")}
        self._waiting = Counter(index // plan.shard_size for index in self._staged)

    @property
    def unwritten(self) -> list[int]:
        """The shards that are still to be written."""
        return [shard for shard in self._plan.shards if shard not in self._written]

    @property
    def missing(self) -> int:
        """Samples that are neither written nor staged."""
        return sum(self._expected[shard] - self._waiting[shard] for shard in self.unwritten)

    def wants(self, sample_id: str) -> bool:
        """Whether a sample is neither written nor staged."""
        index = self._plan.samples.get(sample_id)
        return (
            index is not None
            and index // self._plan.shard_size not in self._written
            and index not in self._staged
        )

    def take(self, unit: Unit) -> int | None:
        """Decode and stage a unit: the number of its shard, if that has all its samples now."""
        index = self._plan.samples[unit.key.sample_id]
        try:
            decoded = unit.decode()
            self._check(decoded.arrays)
        except DamagedMember as error:
            decoded = Decoded({}, {REFUSED: str(error)})
        self._stage(index, decoded)
        shard = index // self._plan.shard_size
        return shard if self._waiting[shard] == self._expected[shard] else None

    def _check(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for array in self._plan.arrays:
            found = arrays[array.name]
            if found.shape != array.shape or found.dtype != np.dtype(array.dtype):
                raise DamagedMember(
                    f"{array.name} is {found.dtype} {found.shape}, expected {array.shape}"
                )

    def _stage(self, index: int, decoded: Decoded) -> None:
        facts = np.frombuffer(json.dumps(decoded.facts).encode(), np.uint8)
        with atomic_file(self._staged_file(index)) as file:
            np.savez(file, allow_pickle=False, **{_FACTS: facts}, **decoded.arrays)
        self._staged.add(index)
        self._waiting[index // self._plan.shard_size] += 1

    def job(self, shard: int) -> "ShardJob":
        """What it takes to write a shard."""
        size = self._plan.shard_size
        samples = range(shard * size, (shard + 1) * size)
        return ShardJob(
            shard,
            size,
            self._plan.folder,
            self._plan.arrays,
            {index: self._staged_file(index) for index in samples if index in self._staged},
            self._commits / f"{shard}.json",
        )

    def written(self, job: "ShardJob") -> None:
        """A shard is written and committed: forget what was staged."""
        self._written.add(job.shard)
        for index, path in job.staged.items():
            path.unlink()
            self._staged.discard(index)

    def _staged_file(self, index: int) -> Path:
        return self._staging / f"{index}.npz"

    def _intact(self, shard: int) -> bool:
        """Whether a shard is committed and its files are there, of the right size."""
        try:
            document = json.loads((self._commits / f"{shard}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return False
        files = [(self._plan.folder / key, known) for key, known in document["files"].items()]
        return all(file.is_file() and file.stat().st_size == known["size"] for file, known in files)


def _commits(work: Path, group: str, part: str) -> Path:
    return work / "commits" / (group or "_") / part
