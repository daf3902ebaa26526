"""Defects as pipelines make them, planted in copies of a store.

Whatever could give a defect away without a look at the content is made again from the defective
pixels: statistics, agreements of labels, index and checksums of files. A copy is then as consistent
as a store that was wrong from the start. What disks and networks do is planted in the stored bytes.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.osm_landuse.agreement import measure_agreement
from pipeline.statistics import store_statistics
from pipeline.store.create import replace_attributes
from pipeline.store.layout import NATIVE_LAYOUT
from pipeline.store.sample_index import index_store
from pipeline.tile_statistics import tile_statistics
from pipeline.verify.checksums import record_checksums
from pipeline.verify.stored import SampleReader, StoredGroup, open_groups

Image = NDArray[Any]
"""One array of one scene, ([band,] y, x), as stored."""

Change = Callable[[Image, Image], Image]
"""Makes the defective image of the right one and of that of the next sample."""


@dataclass(frozen=True)
class InStoredBytes:
    """What happens to the bytes of a chunk.

    Attributes:
        change: Makes the defective chunk of the right one.
    """

    change: Callable[[bytes], bytes]


Scene = tuple[int, int]
"""Sample and season."""

Place = tuple[str, int | None]
"""Id of a sample, and the season as findings name it: None in stores of one date."""

SCENES = 8
"""Scenes that a defect of single scenes is planted in, each in another sample."""

_SEASON = 2
"""The season of the defects of one whole season."""


@dataclass(frozen=True)
class Extent:
    """Which scenes of a store a defect is planted in.

    Attributes:
        name: As it is told.
        scenes: Chosen of a group and its valid samples.
    """

    name: str
    scenes: Callable[[StoredGroup, Sequence[int]], list[Scene]]


def _every_scene(group: StoredGroup, valid: Sequence[int]) -> list[Scene]:
    return [(sample, season) for sample in valid for season in range(group.seasons)]


def _one_season(group: StoredGroup, valid: Sequence[int]) -> list[Scene]:
    return [(sample, _SEASON) for sample in valid]


def _few_scenes(group: StoredGroup, valid: Sequence[int]) -> list[Scene]:
    """Evenly spread over the samples, the seasons taking turns; a store of tiles has two groups."""
    wanted = SCENES // 2 if group.name else SCENES
    chosen = np.linspace(0, len(valid) - 1, min(wanted, len(valid))).round().astype(int)
    return [(valid[place], turn % group.seasons) for turn, place in enumerate(chosen)]


EVERYWHERE = Extent("everywhere", _every_scene)
ONE_SEASON = Extent("one season", _one_season)
SINGLE_SCENES = Extent("single scenes", _few_scenes)


@dataclass(frozen=True)
class Defect:
    """One thing that went wrong.

    Attributes:
        store: Kind of store it is planted in: ``nol``, ``dw`` or ``osm``.
        what: In words.
        arrays: Arrays that are changed, one by one.
        change: What happens to each scene, or to the chunk that holds it.
        extent: Where.
        alike: Whether it leaves everything looking as it does on Earth, so that nothing is expected
            to be found.
    """

    store: str
    what: str
    arrays: tuple[str, ...]
    change: Change | InStoredBytes
    extent: Extent = EVERYWHERE
    alike: bool = False


def plant(store: Path, defect: Defect | None, folder: Path) -> tuple[Path, frozenset[Place]]:
    """Make a copy of a store with a defect, or with none, as consistent as one that was built so.

    Args:
        store: A finished store.
        defect: What to plant.
        folder: Of the copy.

    Returns:
        The copy, and the scenes that the defect was planted in.
    """
    copy = folder / store.name
    shutil.copytree(store, copy)
    groups = open_groups(copy) if defect else ()
    chosen = [(group, defect.extent.scenes(group, _valid(group))) for group in groups if defect]
    if defect and not isinstance(defect.change, InStoredBytes):
        for (group, scenes), name in product(chosen, defect.arrays):
            _rewrite(group, name, defect.change, scenes)
    _make_consistent(copy)
    if defect and isinstance(defect.change, InStoredBytes):
        for (group, scenes), name in product(chosen, defect.arrays):
            _change_bytes(group, name, defect.change, scenes)
    record_checksums(copy)
    return copy, frozenset(place for group, scenes in chosen for place in _places(group, scenes))


def _valid(group: StoredGroup) -> list[int]:
    return [int(sample) for sample in np.flatnonzero(group.record("valid"))]


def _places(group: StoredGroup, scenes: Sequence[Scene]) -> set[Place]:
    ids = group.record("id")
    return {(str(ids[sample]), season if group.seasons > 1 else None) for sample, season in scenes}


def _change_bytes(
    group: StoredGroup, name: str, change: InStoredBytes, scenes: Sequence[Scene]
) -> None:
    """Change the stored chunks of scenes; where all seasons share one, that."""
    (array,) = (one for one in group.arrays if one.name == name)
    per_sample = zarr.open_array(group.path / name, mode="r").chunks[1]
    chunks = array.seasons // per_sample if array.seasonal else 1
    for sample, season in scenes:
        shard, row = divmod(sample, array.shard_size)
        file = group.path / array.shard_key(shard)
        content = bytearray(file.read_bytes())
        index = np.frombuffer(content[-16 * array.shard_size * chunks - 4 : -4], "<u8")
        start, length = index.reshape(array.shard_size, chunks, 2)[row, season % chunks].tolist()
        content[start : start + length] = change.change(bytes(content[start : start + length]))
        file.write_bytes(content)


def _rewrite(
    group: StoredGroup,
    name: str,
    change: Change,
    scenes: Sequence[Scene],
) -> None:
    """Encode the shards again in which scenes change."""
    valid = _valid(group)
    following = dict(zip(valid, [*valid[1:], *valid[:1]], strict=True))
    target = zarr.open_array(group.path / name, mode="r+")
    size = group.shard_size
    for shard in sorted({sample // size for sample, _ in scenes}):
        rows = range(group.count)[shard * size : (shard + 1) * size]
        with SampleReader(group, [name]) as reader:
            block = np.stack([reader.read(row)[name] for row in rows])
            for sample, season in scenes:
                if sample in rows:
                    other = reader.read(following[sample])[name][season]
                    place = sample - rows.start, season
                    block[place] = change(block[place], other)
        target[rows.start : rows.stop] = block.reshape(-1, *target.shape[1:])


def _make_consistent(copy: Path) -> None:
    """Whatever is derived from pixels is derived again."""
    groups = open_groups(copy)
    for group in groups:
        if "agreement" in group.record_names:
            _measure_again(group)
    native = groups[0].attributes["layout"] == NATIVE_LAYOUT
    statistics = store_statistics(copy) if native else tile_statistics(copy)
    replace_attributes(copy, {"statistics": statistics})
    index_store(copy, copy.with_name(f"{copy.stem}.index.parquet"))


def _measure_again(group: StoredGroup) -> None:
    agreement = zarr.open_array(group.path / "agreement", mode="r+")
    with SampleReader(group, ["label", "label_dw"]) as reader:
        for sample in np.flatnonzero(group.record("valid")).tolist():
            pixels = reader.read(sample)
            agreement[sample] = measure_agreement(pixels["label"][0], pixels["label_dw"][0]).share
