"""Samples as WebDataset shards: ``python -m pipeline.export webdataset``.

A shard is a tar file of whole samples, https://github.com/webdataset/webdataset: every array of a
sample as ``<key>.<array>.npy`` with the integers of the store, and what is known of it as
``<key>.json``. Which sample lies in which shard, and every byte, follow from the store and the
sizes alone; an interrupted export goes on with the shard it was at.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file, write_atomically
from pipeline.errors import PipelineError
from pipeline.export.choice import Choice, ChosenSample, choose
from pipeline.export.file_names import file_stem, tar_key
from pipeline.export.output_folder import claimed_folder
from pipeline.export.parallel import map_with_progress
from pipeline.export.store_group import LABELS, StoreGroup, open_groups
from pipeline.legend import UNLABELLED
from pipeline.season_pixels import S1_NODATA, S2_NODATA
from pipeline.store.object_path import StorePath

_TAR_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class TarShard:
    """One file to write.

    Attributes:
        name: Path below the folder of the export.
        samples: In it, in order.
        size: Its bytes.
    """

    name: str
    samples: tuple[ChosenSample, ...]
    size: int


def export_webdataset(
    store: StorePath, output: Path, choice: Choice, shard_bytes: int, workers: int = 1
) -> list[TarShard]:
    """Write all chosen samples as shards that are not there yet, and a list of shards per split.

    A dataset that has grown keeps its full shards; those that no longer belong are removed.

    Args:
        store: Folder of the store.
        output: Folder of the export.
        choice: Which samples.
        shard_bytes: No shard is larger, unless a single sample is.
        workers: Processes.

    Returns:
        All shards of the export.

    Raises:
        PipelineError: Nothing fits the choice, the folder holds another export, or a file of the
            store is damaged.
    """
    if shard_bytes <= 0:
        raise PipelineError(f"a shard of {shard_bytes} bytes holds nothing; give 1 MB or more")
    groups = open_groups(store)
    shards = plan_shards(groups, choose(groups, choice), shard_bytes)
    form = {"export": "webdataset", "shard_bytes": shard_bytes, "choice": choice.to_dict()}
    prepare = partial(_ShardWriter, store, output)
    with claimed_folder(output, groups[0], form):
        for foreign in set(output.glob("*/*.tar")) - {output / shard.name for shard in shards}:
            foreign.unlink()
        for _ in map_with_progress(prepare, shards, workers, "WebDataset"):
            pass
        _write_lists(output, shards)
    return shards


def plan_shards(
    groups: Sequence[StoreGroup], chosen: Sequence[ChosenSample], shard_bytes: int
) -> list[TarShard]:
    """Which samples go into which file: in order, split by split, each file as full as can be."""
    by_name = {group.name: group for group in groups}
    pixels = {group.name: _pixel_bytes(group) for group in groups}
    splits: dict[str, list[tuple[ChosenSample, int]]] = {}
    for sample in chosen:
        group = by_name[sample.group]
        split = file_stem(group.splits[sample.sample] or "all")
        described = _member_size(len(_description(group, sample)))
        splits.setdefault(split, []).append((sample, pixels[sample.group] + described))
    return [
        TarShard(f"{split}/{split}-{number:06d}.tar", samples, size)
        for split, sized in splits.items()
        for number, (samples, size) in enumerate(_packed(sized, shard_bytes))
    ]


def _packed(
    sized: Sequence[tuple[ChosenSample, int]], limit: int
) -> Iterator[tuple[tuple[ChosenSample, ...], int]]:
    samples: list[ChosenSample] = []
    total = 0
    for sample, size in sized:
        if samples and _closed(total + size) > limit:
            yield tuple(samples), _closed(total)
            samples, total = [], 0
        samples.append(sample)
        total += size
    if samples:
        yield tuple(samples), _closed(total)


def _closed(size: int) -> int:
    """Bytes of a tar file with so many in its members: two empty blocks, then whole records."""
    records = -(-(size + 2 * _TAR_BLOCK) // tarfile.RECORDSIZE)
    return records * tarfile.RECORDSIZE


class _ShardWriter:
    """Writes one shard after another from a store that is opened once."""

    def __init__(self, store: StorePath, output: Path) -> None:
        self._groups = {group.name: group for group in open_groups(store)}
        self._output = output

    def __call__(self, shard: TarShard) -> None:
        """Write a shard that is not there yet."""
        path = self._output / shard.name
        if not _is_complete(path, shard):
            with atomic_file(path) as file:
                self._write(file, shard)

    def _write(self, file: BinaryIO, shard: TarShard) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in shard.samples:
                for name, content in _members(self._groups[sample.group], sample):
                    entry = tarfile.TarInfo(name)  # its time, owner and mode are always the same
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))


def _is_complete(path: Path, shard: TarShard) -> bool:
    """Whether a file is the shard: its size and the samples in it."""
    if not path.exists() or path.stat().st_size != shard.size:
        return False
    with tarfile.open(path) as tar:
        keys = [name.removesuffix(".json") for name in tar.getnames() if name.endswith(".json")]
    return keys == [tar_key(sample.id) for sample in shard.samples]


def _members(group: StoreGroup, sample: ChosenSample) -> Iterator[tuple[str, bytes]]:
    key = tar_key(sample.id)
    for array in group.pixel_arrays:
        seasons = [group.read(array, sample.sample, season) for season in range(group.seasons)]
        values = np.stack(seasons) if group.seasonal else seasons[0]
        yield f"{key}.{array}.npy", _npy(values)
    yield f"{key}.json", _description(group, sample)


def _pixel_bytes(group: StoreGroup) -> int:
    """Bytes of the members of the arrays, the same for every sample of a group."""
    forms = [group.stored_form(array) for array in group.pixel_arrays]
    return sum(_member_size(len(_npy(np.empty(shape, dtype)))) for shape, dtype in forms)


def _member_size(content: int) -> int:
    return _TAR_BLOCK + -(-content // _TAR_BLOCK) * _TAR_BLOCK


def _npy(values: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(values), allow_pickle=False)
    return content.getvalue()


def _description(group: StoreGroup, sample: ChosenSample) -> bytes:
    """What a sample says about itself, as JSON."""
    about, grid = group.attributes, list(group.transform(sample.sample))
    document = {
        "records": group.facts(sample.sample),
        "split": group.splits[sample.sample],
        "transform": [value if isfinite(value) else None for value in grid[:6]],
        "arrays": {array: _array_facts(group, array) for array in group.pixel_arrays},
        "store": {key: about.get(key) for key in ("title", "dataset_hash", "source", "licences")},
        "simulated": group.simulated,
    }
    return json.dumps(document, sort_keys=True, allow_nan=False).encode()


def _array_facts(group: StoreGroup, array: str) -> dict[str, Any]:
    """Axes, bands, unit and nodata of the stored integers."""
    if array.startswith(LABELS):
        classes = {str(row.id): row.name for row in group.classes(array)}
        return {"nodata": UNLABELLED, "classes": classes}
    nodata = S1_NODATA if array == "s1" else S2_NODATA
    unit = "0.01 dB" if array == "s1" else "1e-4 reflectance"
    return {"nodata": nodata, "unit": unit, "bands": list(group.band_names(array))}


def _write_lists(output: Path, shards: Sequence[TarShard]) -> None:
    """One JSON file per split, in the form that ``wids`` of webdataset reads."""
    splits: dict[str, list[dict[str, Any]]] = {}
    for shard in shards:
        entry = {"url": shard.name, "nsamples": len(shard.samples), "filesize": shard.size}
        splits.setdefault(shard.name.split("/")[0], []).append(entry)
    for split, shardlist in splits.items():
        document = {"wids_version": 1, "name": split, "shardlist": shardlist}
        content = json.dumps(document, indent=2).encode() + b"\n"
        write_atomically(output / f"{split}.json", content)
