"""Completes ``nol.zarr`` once all shards are committed: ``python -m pipeline.finish``.

Checks every commit record against the locations and the files, then writes the index, the arrays of
one value per sample with `valid` last of them, and the summary of what was kept and why the rest
was not.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.atomic_file import PARTIAL_SUFFIX, remove_partial_files, write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.ledger import SeasonRecord
from pipeline.outcomes import Outcomes
from pipeline.settings.tree import Settings, load_settings
from pipeline.store.commit import Commit, damaged_files, read_commit
from pipeline.store.create import read_attributes, require_same_dataset, stored_location_count
from pipeline.store.groups import read_records, write_records
from pipeline.store.index import SampleRows, write_index
from pipeline.store.layout import NO_TIME, RECORD_ARRAYS, VALID
from pipeline.store.shard_reader import open_chunks

_PLACE_COLUMNS = {
    "id": "location_id",
    "lon": "lon",
    "lat": "lat",
    "epsg": "epsg",
    "left": "left",
    "top": "top",
    "split": "split",
}
"""Array of the store to column of the table of locations."""


@dataclass(frozen=True)
class ShardRows:
    """One committed shard beside its rows of the table of locations."""

    number: int
    places: pa.Table
    commit: Commit


def finish_store(
    settings: Settings, store: Path, ledgers: Path, locations: Path, index: Path
) -> str:
    """Complete a store whose shards are all committed.

    Args:
        settings: Of the dataset.
        store: Folder of the store; nobody else may be writing to it.
        ledgers: Folder with one commit record per shard, ``<shard>.parquet``.
        locations: Table of all locations.
        index: GeoParquet file to write.

    Returns:
        The summary of reasons, as text.

    Raises:
        PipelineError: A shard is not committed, not for these locations, or its files are missing
            or of another size; nothing was written then.
    """
    require_same_dataset(store, settings)
    if not locations.is_file():
        raise PipelineError(f"{locations} does not exist; run the step locations first")
    columns = _columns(store, pq.read_metadata(locations).num_rows)
    counts: Counter[str] = Counter()
    labels = open_chunks(store / "label")
    with write_index(index, pq.read_schema(locations), settings.dataset_hash()) as writer:
        for shard in _committed_shards(settings, store, ledgers, locations):
            outcomes = Outcomes(shard.commit.records)
            _fill_columns(columns, shard, outcomes)
            label_counts = _label_counts(labels, shard, outcomes)
            version = shard.commit.code_version
            writer.append(SampleRows(shard.places, outcomes, label_counts, version))
            counts.update(_outcome(outcomes, sample) for sample in outcomes.samples)
        _write_columns(store, columns)
    _remove_leftovers(settings, store, ledgers, index)
    return summary_text(str((read_attributes(store) or {})["title"]), counts)


def summary_text(title: str, counts: Counter[str], unit: str = "locations") -> str:
    """A table of how many locations were kept and why the others were not, with shares.

    Args:
        title: First line.
        counts: Locations by ``kept`` or by the reason for their rejection.
        unit: What is counted.
    """
    total = counts.total()
    reasons = sorted((name for name in counts if name != "kept"), key=lambda r: (-counts[r], r))
    rows = [(unit, total), ("kept", counts["kept"])]
    rows += [(f"rejected: {reason}", counts[reason]) for reason in reasons]
    lines = [f"{name:<28}{count:>10}{count / max(total, 1):>9.1%}" for name, count in rows]
    return "\n".join([title, *lines]) + "\n"


def _committed_shards(
    settings: Settings, store: Path, ledgers: Path, locations: Path
) -> Iterator[ShardRows]:
    """Every shard of the table, in order, checked."""
    table = pq.read_table(locations).sort_by("sample")
    numbers, starts = np.unique(table["shard"].to_numpy(), return_index=True)
    for number, start, stop in zip(numbers, starts, [*starts[1:], len(table)], strict=True):
        places = table.slice(start, stop - start)
        commit = read_commit(ledgers / f"{number}.parquet", settings.dataset_hash())
        _check_locations(number, places, commit)
        damaged = damaged_files(store, commit, thorough=False)
        if damaged:
            raise PipelineError(
                f"{damaged[0]} of shard {number} is missing or not as it was committed; "
                f"delete {ledgers / f'{number}.parquet'} and run the same command again"
            )
        yield ShardRows(number, places, commit)


def _check_locations(number: int, places: pa.Table, commit: Commit) -> None:
    expected = list(
        zip(places["sample"].to_pylist(), places["location_id"].to_pylist(), strict=True)
    )
    found = sorted({(record.sample, record.location_id) for record in commit.records})
    if found != expected:
        raise PipelineError(
            f"shard {number} was committed for {len(found)} locations, the table of locations has "
            f"{len(expected)} in it, or others; run the build again"
        )


def _columns(store: Path, located: int) -> dict[str, NDArray[Any]]:
    """The arrays without pixels, empty; samples that the table of locations has no more stay.

    What is written again is not read before: so finishing again heals records that were lost.
    """
    count = stored_location_count(store)
    columns = {array.name: array.empty(count) for array in (*RECORD_ARRAYS, VALID)}
    if located < count:
        for name, values in columns.items():
            values[located:] = read_records(store, name, slice(located, None))
    return columns


def _fill_columns(columns: dict[str, NDArray[Any]], shard: ShardRows, outcomes: Outcomes) -> None:
    samples = shard.places["sample"].to_numpy()
    for name, column in _PLACE_COLUMNS.items():
        columns[name][samples] = shard.places[column].to_numpy()
    for array in RECORD_ARRAYS:
        if array.seasonal:
            for sample in outcomes.samples:
                columns[array.name][sample] = [
                    _stored(record, array.name) for record in outcomes.of(sample)
                ]
    columns[VALID.name][samples] = [outcomes.kept(sample) for sample in samples]


def _stored(record: SeasonRecord, name: str) -> Any:
    value = getattr(record, name)
    return NO_TIME if name in ("s2_time", "s1_time") and not value else value


def _label_counts(labels: Any, shard: ShardRows, outcomes: Outcomes) -> NDArray[np.int64]:
    samples = shard.places["sample"].to_pylist()
    counts = np.zeros((len(samples), 256), np.int64)
    seasons = np.empty(labels.item_shape, labels.dtype)
    for row, sample in enumerate(samples):
        if outcomes.kept(sample):
            labels.read_into(seasons, sample)
            counts[row] = np.bincount(seasons.ravel(), minlength=256)
    return counts


def _outcome(outcomes: Outcomes, sample: int) -> str:
    return "kept" if outcomes.kept(sample) else outcomes.reason(sample).value


def _write_columns(store: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Write the arrays without pixels; whoever sees `valid` sees all the rest."""
    for array in (*RECORD_ARRAYS, VALID):
        write_records(store, array.name, columns[array.name])


def _remove_leftovers(settings: Settings, store: Path, ledgers: Path, index: Path) -> None:
    """Delete what killed jobs left behind; every shard is committed, so nobody needs it."""
    for folder in (store, ledgers):
        remove_partial_files(folder)
    for leftover in index.parent.glob(f".{index.name}.*{PARTIAL_SUFFIX}"):
        leftover.unlink()
    shutil.rmtree(settings.folder / "staging", ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Finish a store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.finish", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--store", type=Path, required=True, help="store to complete")
    parser.add_argument("--ledgers", type=Path, required=True, help="folder of commit records")
    parser.add_argument("--locations", type=Path, required=True, help="table of all locations")
    parser.add_argument("--index", type=Path, required=True, help="index to write (GeoParquet)")
    parser.add_argument("--summary", type=Path, required=True, help="summary to write (text)")
    options = parser.parse_args(arguments)
    text = finish_store(
        load_settings(options.settings),
        options.store,
        options.ledgers,
        options.locations,
        options.index,
    )
    write_atomically(options.summary, text.encode())
    print(text, end="")


if __name__ == "__main__":
    run_step(main)
