"""What a store looks like in another layout: its arrays, their chunks, the files of a block."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from pipeline.errors import PipelineError
from pipeline.sensors import cube_bands
from pipeline.store.interpolation import Method
from pipeline.store.metadata import ROOT_DOCUMENT
from pipeline.verify.stored import StoredArray, StoredGroup

CUBE = "s2"
"""Name of the array that holds all bands of Sentinel-2 on the 10 m grid."""

Form = Literal["stored", "cube"]


@dataclass(frozen=True)
class Plan:
    """What the output is to look like.

    Attributes:
        form: ``stored`` keeps the arrays; ``cube`` puts all Sentinel-2 bands on the 10 m grid.
        chunks: Length by dimension: ``sample``, ``time``, ``band``, ``y``, ``x``; pixels of 10 m,
            coarser arrays get the same ground. What is not named stays whole.
        samples_per_file: Samples in one file (a Zarr shard); None: a file per chunk.
        method: How bands are brought to 10 m for a cube.
    """

    form: Form = "stored"
    chunks: Mapping[str, int] | None = None
    samples_per_file: int | None = None
    method: Method = "nearest"


@dataclass(frozen=True)
class Target:
    """One array of the output.

    Attributes:
        name: In its group.
        sources: Arrays of the store it is made of: one, or those of a cube.
        shape: Of the whole array.
        dtype: As stored.
        dimensions: Names of the axes.
        chunks: Shape of a chunk.
        shards: Shape of a file that holds several chunks; None where a chunk is a file.
    """

    name: str
    sources: tuple[StoredArray, ...]
    shape: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None

    @property
    def block(self) -> int:
        """Samples that are written together: those of a file."""
        return (self.shards or self.chunks)[0]

    def files(self, sample: int) -> Iterator[str]:
        """Paths below the array of the files that hold a sample, whole or in part."""
        lengths = zip(self.shape[1:], (self.shards or self.chunks)[1:], strict=True)
        for place in product(*(range(-(-length // part)) for length, part in lengths)):
            yield "/".join(["c", str(sample // self.block), *map(str, place)])


def parse_chunks(text: str) -> dict[str, int]:
    """Read ``sample=16,time=4,y=88,x=88``.

    Raises:
        PipelineError: A part is not ``<dimension>=<positive number>``.
    """
    chunks = {}
    for part in filter(None, text.split(",")):
        name, _, length = part.partition("=")
        known = name in ("sample", "time", "band", "y", "x")
        if not known or not length.isdecimal() or int(length) < 1:
            raise PipelineError(
                f"--chunk has {part!r}; allowed are sample, time, band, y and x with a positive "
                "number each, as in sample=16,time=4,y=88,x=88"
            )
        chunks[name] = int(length)
    return chunks


def targets_of(group: StoredGroup, plan: Plan) -> list[Target]:
    """The arrays of pixels that a group of the output has.

    Raises:
        PipelineError: The group has no cube of 13 bands to be made of.
    """
    return [_target(group, sources, plan) for sources in _sources(group, plan.form)]


def work_id(groups: tuple[StoredGroup, ...], plan: Plan) -> str:
    """16 hexadecimal digits that change with the plan and with whatever else decides its files.

    That is all but the shards of the source, which are looked at one by one.
    """
    facts: list[Any] = [asdict(plan)]
    for group in groups:
        documents = [
            (group.path / array.name / ROOT_DOCUMENT).read_text() for array in group.arrays
        ]
        valid = hashlib.sha256(group.record("valid").tobytes()).hexdigest()
        facts.append([group.name, documents, valid])
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def cube_dtype(method: Method) -> np.dtype[Any]:
    """Type of the values of a cube."""
    return np.dtype(np.uint16 if method == "nearest" else np.float32)


def _sources(group: StoredGroup, form: Form) -> list[tuple[StoredArray, ...]]:
    """The arrays that each array of the output is made of."""
    optical = tuple(array for array in group.arrays if array.optical)
    if form == "stored" or len(optical) == 1:
        return [(array,) for array in group.arrays]
    found = sorted(band for array in optical for band in array.bands)
    if found != sorted(band.name for band in cube_bands("sentinel-2")):
        raise PipelineError(
            f"{group.path} lacks bands of Sentinel-2, so there is no cube of 13; use --form stored"
        )
    return [optical, *((array,) for array in group.arrays if not array.optical)]


def _target(group: StoredGroup, sources: tuple[StoredArray, ...], plan: Plan) -> Target:
    first = max(sources, key=lambda array: array.shape[-1])
    shape, dimensions, name, dtype = first.shape, first.dimensions, first.name, first.dtype
    if len(sources) > 1:
        bands = len(cube_bands("sentinel-2"))
        shape = (*shape[:2], bands, *shape[3:])
        dimensions = (*dimensions[:2], "band_s2", *dimensions[3:])
        name, dtype = CUBE, cube_dtype(plan.method).name
    coarseness = max(array.shape[-1] for array in group.arrays) // shape[-1]
    wanted = dict(plan.chunks or {})
    chunks = tuple(
        _chunk_length(axis, length, wanted, coarseness)
        for axis, length in zip(dimensions, shape, strict=True)
    )
    shards = _shards(shape, chunks, plan.samples_per_file)
    return Target(name, sources, shape, dtype, dimensions, chunks, shards)


def _chunk_length(axis: str, length: int, wanted: Mapping[str, int], coarseness: int) -> int:
    kind = axis.split("_")[0]
    if kind not in wanted:
        return 1 if kind == "sample" else length
    asked = wanted[kind]
    if kind in ("y", "x"):
        asked = max(asked // coarseness, 1)
    return min(asked, length)


def _shards(
    shape: tuple[int, ...], chunks: tuple[int, ...], samples_per_file: int | None
) -> tuple[int, ...] | None:
    """A whole number of chunks along every axis, beyond the end of the array if need be."""
    if samples_per_file is None:
        return None
    lengths = zip((samples_per_file, *shape[1:]), chunks, strict=True)
    return tuple(-(-length // chunk) * chunk for length, chunk in lengths)
