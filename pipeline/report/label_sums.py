"""What the report needs to know of all labels of a build: ``python -m pipeline.report.label_sums``.

One Dask task reads the labels of one shard; tasks give integers that are added up, so the figures
depend neither on the number of threads nor on the order. Nothing here reads imagery.
"""

import argparse
import heapq
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.dask_cluster import add_dask_options, dask_cluster, map_and_merge
from pipeline.errors import PipelineError, run_step
from pipeline.legend import load_legend
from pipeline.store.create import read_attributes
from pipeline.store.groups import group_names, read_records
from pipeline.store.shard_reader import open_chunks

SEASON_PAIRS = tuple(itertools.combinations(range(4), 2))
"""The six pairs of seasons of a sample."""

KEPT_WORST = 24
"""Samples whose seasons agree least, to be looked at."""

_SAMPLES_PER_TASK = 64
_VALUES = 256
Confusion = NDArray[np.int64]


@dataclass
class LabelSums:
    """Counts over a part of one store; parts are merged in any order.

    Attributes:
        classes: Pixels of each label value (256,), by split.
        seasons: Pixels by class in one season and class in another, (classes, classes), by pair.
        admitted: Of ``osm.zarr``: pixels by OSM class and Dynamic World class, by split.
        worst: (agreement between seasons, sample), the smallest first, `KEPT_WORST` at most.
    """

    classes: dict[str, Confusion] = field(default_factory=dict)
    seasons: dict[tuple[int, int], Confusion] = field(default_factory=dict)
    admitted: dict[str, Confusion] = field(default_factory=dict)
    worst: list[tuple[float, int]] = field(default_factory=list)

    def merged(self, other: "LabelSums") -> "LabelSums":
        """The sums over both parts."""
        return LabelSums(
            _added(self.classes, other.classes),
            _added(self.seasons, other.seasons),
            _added(self.admitted, other.admitted),
            heapq.nsmallest(KEPT_WORST, self.worst + other.worst),
        )


def store_label_sums(store: Path) -> LabelSums:
    """Sum over the labels of all valid samples of a store, on whatever Dask is set to.

    Args:
        store: ``nol.zarr`` (four seasons) or a store of tiles with groups.

    Raises:
        PipelineError: There is no finished store, or one of its files is damaged.
    """
    attributes = read_attributes(store)
    if attributes is None:
        raise PipelineError(f"there is no Zarr store at {store}; build it first")
    groups = group_names(store, attributes)
    parts = [
        (store / group if group else store, samples)
        for group in groups
        for samples in _tasks(store / group if group else store)
    ]
    return map_and_merge(label_sums, parts, _merge, f"labels of {store.name}") or LabelSums()


def label_sums(group: Path, splits: Mapping[int, str]) -> LabelSums:
    """Sum over some samples of one group.

    Args:
        group: Folder of the group, the store itself where it has none.
        splits: Split of each sample.
    """
    sums = LabelSums()
    labels = open_chunks(group / "label")
    other = open_chunks(group / "label_dw") if (group / "label_dw").is_dir() else None
    buffer = np.empty(labels.item_shape, labels.dtype)
    for sample, split in splits.items():
        labels.read_into(buffer, sample)
        counts = np.bincount(buffer.ravel(), minlength=_VALUES)
        part = LabelSums(classes={split: counts})
        if buffer.ndim == 3:
            part.seasons = {(a, b): _confusion(buffer[a], buffer[b]) for a, b in SEASON_PAIRS}
            part.worst = _agreement(part.seasons.values(), sample)
        if other is not None:
            beside = np.empty(other.item_shape, other.dtype)
            other.read_into(beside, sample)
            part.admitted = {split: _confusion(buffer, beside)}
        sums = sums.merged(part)
    labels.close()
    return sums


def _confusion(rows: NDArray[np.uint8], columns: NDArray[np.uint8]) -> Confusion:
    """Pixels by label in one array and in the other, (256, 256) cut to the legends' 13 classes."""
    classes = len(load_legend("osm_landuse"))
    both = (rows < classes) & (columns < classes)
    pairs = rows[both].astype(np.int64) * classes + columns[both]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _agreement(confusions: Iterable[Confusion], sample: int) -> list[tuple[float, int]]:
    total = sum(confusions, start=np.zeros((1, 1), np.int64))
    joint = int(total.sum())
    return [(float(np.trace(total)) / joint, sample)] if joint else []


def _merge(parts: Sequence[LabelSums]) -> LabelSums:
    merged = LabelSums()
    for part in parts:
        merged = merged.merged(part)
    return merged


def _added(one: Mapping[Any, Confusion], other: Mapping[Any, Confusion]) -> dict[Any, Confusion]:
    added = dict(one)
    for key, counts in other.items():
        added[key] = added[key] + counts if key in added else counts
    return added


def _tasks(group: Path) -> list[dict[int, str]]:
    """The valid samples of a group and their splits, in parts."""
    valid = np.flatnonzero(read_records(group, "valid"))
    split = read_records(group, "split")
    starts = range(0, len(valid), _SAMPLES_PER_TASK)
    return [
        {int(sample): str(split[sample]) for sample in valid[start : start + _SAMPLES_PER_TASK]}
        for start in starts
    ]


def as_document(sums: LabelSums) -> dict[str, Any]:
    """The sums as plain JSON values; classes by value, unlabelled as 255."""
    return {
        "classes": {split: _nonzero(counts) for split, counts in sorted(sums.classes.items())},
        "seasons": {f"{a}-{b}": table.tolist() for (a, b), table in sorted(sums.seasons.items())},
        "admitted": {split: table.tolist() for split, table in sorted(sums.admitted.items())},
        "worst": [[share, sample] for share, sample in sums.worst],
    }


def _nonzero(counts: Confusion) -> dict[str, int]:
    return {str(value): int(counts[value]) for value in np.flatnonzero(counts)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sums of the stores of a build."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.report.label_sums")
    parser.add_argument("stores", type=Path, nargs="+", help="finished stores with labels")
    parser.add_argument("--output", type=Path, required=True, help="file to write (JSON)")
    add_dask_options(parser)
    options = parser.parse_args(arguments)
    with dask_cluster(options.threads, options.workers, options.scheduler):
        document = {store.stem: as_document(store_label_sums(store)) for store in options.stores}
    write_atomically(options.output, json.dumps(document, indent=1).encode() + b"\n")
    print(f"label sums: {options.output}")


if __name__ == "__main__":
    run_step(main)
