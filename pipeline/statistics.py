"""Band statistics and class counts of a finished store: ``python -m pipeline.statistics``.

One Dask task reads one shard, a few scenes at a time; tasks are merged as a tree. Sums are exact
(`pipeline.pixel_sums`), so the figures depend neither on the number of cores nor on the order in
which shards are read.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.dask_cluster import add_dask_options, dask_cluster, map_and_merge
from pipeline.errors import PipelineError, run_step
from pipeline.legend import UNLABELLED, load_legend
from pipeline.pixel_sums import Sums, merge_sums, pixels_with_data
from pipeline.settings.dataset import SEASONS
from pipeline.store.create import read_attributes, replace_attributes
from pipeline.store.groups import read_records
from pipeline.store.layout import NATIVE_LAYOUT, PIXEL_ARRAYS, PixelArray
from pipeline.store.shard_reader import open_chunks
from pipeline.store.shards import read_store_shape

_LABEL = "label"
_READ_AT_ONCE_BYTES = 2**21
"""As large as the caches of a core: more is no faster and only takes memory."""


def store_statistics(store: Path) -> dict[str, Any]:
    """Compute the statistics of the valid samples of a store, on whatever Dask is set to.

    Returns:
        ``bands`` and ``classes``, each by split and season (``all`` or 0 to 3): of a band count,
        mean, std, min and max (Sentinel-2 in reflectance x 10000, Sentinel-1 in dB), of a class the
        number of pixels; and ``samples``, their number by split.

    Raises:
        PipelineError: There is no finished store of native layout, or one of its files is damaged.
    """
    attributes = read_attributes(store)
    if attributes is None or attributes.get("layout") != NATIVE_LAYOUT:
        raise PipelineError(f"{store} is not a store of layout {NATIVE_LAYOUT}; build it first")
    splits = _valid_samples(store)
    shard_size = read_store_shape(store).shard_size
    shards: dict[int, dict[int, str]] = {}
    for sample, split in splits.items():
        shards.setdefault(sample // shard_size, {})[sample] = split
    parts = [(store, samples) for samples in shards.values()]
    sums = map_and_merge(shard_sums, parts, merge_sums, f"statistics of {store.name}") or Sums()
    counts = {split: list(splits.values()).count(split) for split in sorted(set(splits.values()))}
    return {"samples": counts, **figures(sums)}


def figures(sums: Sums) -> dict[str, Any]:
    """``bands`` and ``classes`` of `store_statistics` from the sums over a whole store."""
    return {"bands": _band_figures(sums), "classes": _class_figures(sums)}


def shard_sums(store: Path, samples: Mapping[int, str]) -> Sums:
    """Sum over some samples.

    Args:
        store: The store.
        samples: Split of each sample.
    """
    sums = Sums()
    for array in PIXEL_ARRAYS:
        chunks = open_chunks(store / array.name)
        if array.name == _LABEL:
            _add_labels(sums, chunks, samples)
        else:
            _add_bands(sums, chunks, samples, array)
        chunks.close()
    return sums


def _add_bands(sums: Sums, chunks: Any, samples: Mapping[int, str], array: PixelArray) -> None:
    scenes = [(sample, season) for sample in samples for season in range(SEASONS)]
    buffer = _buffer(chunks, len(scenes))
    for start in range(0, len(scenes), len(buffer)):
        part = np.array(scenes[start : start + len(buffer)])
        values = buffer[: len(part)]
        chunks.read_batch(values, part[:, 0], part[:, 1])
        keys = [(samples[sample], season) for sample, season in part.tolist()]
        with_data = pixels_with_data(array.name, values, array.nodata)
        sums.add_scenes(keys, array.band_names, values, with_data)


def _add_labels(sums: Sums, chunks: Any, samples: Mapping[int, str]) -> None:
    for split in dict.fromkeys(samples.values()):
        members = np.array([sample for sample in samples if samples[sample] == split])
        buffer = _buffer(chunks, len(members))
        for start in range(0, len(members), len(buffer)):
            part = members[start : start + len(buffer)]
            chunks.read_batch(buffer[: len(part)], part, np.zeros_like(part))
            for season in range(SEASONS):
                sums.add_labels((split, season), buffer[: len(part), season])


def _buffer(chunks: Any, most: int) -> NDArray[Any]:
    """Room for as many chunks as are read and summed at once."""
    chunk_bytes = int(np.prod(chunks.item_shape)) * chunks.dtype.itemsize
    count = max(1, min(most, _READ_AT_ONCE_BYTES // chunk_bytes))
    return np.empty((count, *chunks.item_shape), chunks.dtype)


def _valid_samples(store: Path) -> dict[int, str]:
    """The split of each valid sample."""
    valid, split = (read_records(store, name) for name in ("valid", "split"))
    return {int(sample): str(split[sample]) for sample in np.flatnonzero(valid)}


def _band_figures(sums: Sums) -> dict[str, Any]:
    scales = {
        name: array.attributes.get("scale_factor", 1)
        for array in PIXEL_ARRAYS
        for name in array.band_names
    }
    totals = dict(sums.bands)
    for (split, _, band), season_sums in sums.bands.items():
        whole = totals.get((split, -1, band))
        totals[split, -1, band] = whole.merged(season_sums) if whole else season_sums
    figures: dict[str, Any] = {}
    for (split, season, band), total in sorted(totals.items()):
        by_band = figures.setdefault(split, {}).setdefault(_season_name(season), {})
        by_band[band] = total.figures(scales[band])
    return figures


def _class_figures(sums: Sums) -> dict[str, Any]:
    totals = dict(sums.labels)
    for (split, _), counts in sums.labels.items():
        totals[split, -1] = totals.get((split, -1), np.zeros(256, np.int64)) + counts
    names = {row.flag_meaning: row.id for row in load_legend("dynamic_world")}
    names["unlabelled"] = UNLABELLED
    figures: dict[str, Any] = {}
    for (split, season), counts in sorted(totals.items(), key=lambda item: item[0]):
        by_class = {name: int(counts[value]) for name, value in names.items()}
        figures.setdefault(split, {})[_season_name(season)] = by_class
    return figures


def _season_name(season: int) -> str:
    return "all" if season < 0 else str(season)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the statistics of a store beside it and into its attributes."""
    record_statistics("python -m pipeline.statistics", store_statistics, "samples", arguments)


def record_statistics(
    program: str,
    compute: Callable[[Path], dict[str, Any]],
    unit: str,
    arguments: Sequence[str] | None,
) -> None:
    """Run a command that computes the statistics of one store and writes them down.

    Args:
        program: How the command is called.
        compute: Of a store; ``samples`` of its result is their number by split or group.
        unit: What is counted there, for the line on the terminal.
        arguments: Of the command line; None for those of the process.
    """
    summary = (compute.__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog=program, description=summary)
    parser.add_argument("--store", type=Path, required=True, help="finished store")
    parser.add_argument("--output", type=Path, required=True, help="file to write (JSON)")
    add_dask_options(parser)
    options = parser.parse_args(arguments)
    with dask_cluster(options.threads, options.workers, options.scheduler):
        statistics = compute(options.store)
    replace_attributes(options.store, {"statistics": statistics})
    # The file last: where it is, the store has them, too.
    write_atomically(options.output, json.dumps(statistics, indent=1).encode() + b"\n")
    print(f"statistics of {sum(statistics['samples'].values())} {unit}: {options.output}")


if __name__ == "__main__":
    run_step(main)
