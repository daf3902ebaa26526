"""Copies a store into another layout: ``python -m pipeline.rechunk <store> <output> --chunk ...``.

Our stores are cut for training: a chunk is one scene, a shard one job. Who maps time series, or
wants one plain array of 13 bands, is served better by other chunks. One Dask task fills the files
of some samples of one array; the output appears under its name when all of it is there, and plain
``xarray.open_zarr`` reads it. After an interruption the same command goes on: files that are there
stay, unless the shards that they were made of have changed since.
"""

import argparse
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.dask_cluster import add_dask_options, dask_cluster, map_and_merge
from pipeline.errors import PipelineError, run_step
from pipeline.growing_copy import GrowingCopy, Marks, SyncedStore, growing_copy
from pipeline.rechunk_plan import (
    CUBE,
    Plan,
    Target,
    cube_dtype,
    parse_chunks,
    targets_of,
    work_id,
)
from pipeline.season_pixels import S2_NODATA
from pipeline.sensors import cube_bands
from pipeline.store.description import band_table
from pipeline.store.groups import require_arrays
from pipeline.store.interpolation import Method, interpolate
from pipeline.store.layout import CRC32C, Codecs
from pipeline.store.metadata import ROOT_DOCUMENT, add_band_names, chunk_codecs, with_empty_files
from pipeline.verify.stored import SampleReader, StoredArray, StoredGroup, open_groups

RECHUNKED_LAYOUT = "noldo-rechunked-1"
"""Attribute ``layout`` of the output; ``rechunked`` says what it was made from."""

Copies = Sequence[tuple[StoredGroup, Sequence[Target]]]
"""The groups of a store, each with the arrays that are made of it."""


def rechunk(store: Path, output: Path, plan: Plan) -> int:
    """Copy a store into another layout, on whatever Dask is set to, or go on with it.

    A task holds one block of samples of one array: ``sample`` (or `Plan.samples_per_file`) times
    the size of a sample.

    Returns:
        The number of blocks written.

    Raises:
        PipelineError: There is no store of ours, the output exists, the form does not fit, a file
            of the store is lost or damaged, or it changed meanwhile.
    """
    groups = open_groups(store)
    for group in groups:
        names = (*group.record_names, *(array.name for array in group.arrays))
        require_arrays(group.path, names)
    copies = [(group, targets_of(group, plan)) for group in groups]
    marks = _source_marks(groups)
    with growing_copy(output, work_id(groups, plan)) as copy:
        _forget_outdated(copy, copies, marks)
        _lay_out(store, copy.store, copies, plan)
        parts = _parts(copy.store, copies, plan.method)
        written = map_and_merge(fill_blocks, parts, _total, f"rechunk {store.name}") or 0
        if _source_marks(groups) != marks:
            raise PipelineError(f"{store} was written to meanwhile; run the same command again")
        _consolidate(copy.store, groups)
    return written


def fill_blocks(
    store: Path,
    group_name: str,
    target: Target,
    folder: Path,
    samples: tuple[int, int],
    method: Method,
) -> int:
    """Write the files of an output array that hold some samples and are not there yet.

    Files of valid samples are written also where all their pixels are nodata, so that one that is
    lost can be told from one without data.

    Args:
        store: Folder of the store.
        group_name: Group in it; empty for the store itself.
        target: The output array.
        folder: Of the output array.
        samples: First one, and the one after the last; whole blocks.
        method: See `Plan`.

    Returns:
        The number of blocks written.
    """
    (group,) = (group for group in open_groups(store) if group.name == group_name)
    valid = group.record("valid").astype(bool)
    array = zarr.open_array(SyncedStore(folder), mode="r+")
    written = 0
    with SampleReader(group, [array.name for array in target.sources]) as reader:
        for first in range(samples[0], samples[1], target.block):
            block = range(first, min(first + target.block, samples[1]))
            if _there(folder, target, first):
                continue
            pixels = _read_block(reader, target, block, valid, method)
            place = slice(block.start, block.stop)
            array[place] = pixels
            if valid[place].any() and not _there(folder, target, first):
                with_empty_files(array)[place] = pixels
            written += 1
    return written


def _read_block(
    reader: SampleReader, target: Target, block: range, valid: NDArray[np.bool_], method: Method
) -> NDArray[Any]:
    values = np.empty((len(block), *target.shape[1:]), target.dtype)
    for row, sample in enumerate(block):
        pixels = reader.read(sample) if valid[sample] else reader.read_if_there(sample)
        if len(target.sources) > 1:
            values[row] = _cube(pixels, target.sources, method)
        else:
            values[row] = pixels[target.sources[0].name].reshape(target.shape[1:])
    return values


def _there(folder: Path, target: Target, sample: int) -> bool:
    return all((folder / file).is_file() for file in target.files(sample))


def _total(counts: Sequence[int]) -> int:
    return sum(counts)


def _source_marks(groups: Sequence[StoredGroup]) -> Marks:
    """Size and time of every shard of a store, by its path."""
    marks = {}
    for group in groups:
        for array in group.arrays:
            for shard in _shards(array):
                file = group.path / array.shard_key(shard)
                if file.is_file():
                    status = file.stat()
                    marks[group.label(array.shard_key(shard))] = [
                        status.st_size,
                        status.st_mtime_ns,
                    ]
    return marks


def _shards(array: StoredArray) -> range:
    return range(-(-array.shape[0] // array.shard_size))


def _forget_outdated(copy: GrowingCopy, copies: Copies, marks: Marks) -> None:
    """Remove what was made of shards that have changed since."""
    known = copy.source_marks()
    for group, targets in copies if known else ():
        for target in targets:
            folder = copy.store / group.name / target.name
            for array in target.sources:
                for shard in _shards(array):
                    key = group.label(array.shard_key(shard))
                    if known.get(key) != marks.get(key):
                        _remove_samples(folder, target, shard * array.shard_size, array.shard_size)
    copy.note_source(marks)


def _remove_samples(folder: Path, target: Target, first: int, count: int) -> None:
    for block in range(first // target.block, -(-(first + count) // target.block)):
        for file in target.files(block * target.block):
            (folder / file).unlink(missing_ok=True)


def _parts(folder: Path, copies: Copies, method: Method) -> list[tuple[Any, ...]]:
    """The arguments of `fill_blocks` for every task: whole blocks that make up a shard, or more."""
    parts = []
    for group, targets in copies:
        for target in targets:
            step = -(-group.shard_size // target.block) * target.block
            place = folder / group.name / target.name
            parts += [
                (group.store, group.name, target, place, (n, min(n + step, group.count)), method)
                for n in range(0, group.count, step)
            ]
    return parts


def _consolidate(path: Path, groups: Sequence[StoredGroup]) -> None:
    with warnings.catch_warnings():
        # Consolidated metadata is not in the v3 specification yet; readers without it still work.
        warnings.simplefilter("ignore")
        for name in dict.fromkeys([*(group.name for group in groups), ""]):
            zarr.consolidate_metadata(SyncedStore(path), path=name or None)


def _cube(
    pixels: Mapping[str, NDArray[Any]], arrays: Sequence[StoredArray], method: Method
) -> NDArray[Any]:
    """All bands of a sample on the 10 m grid, (season, band, y, x)."""
    home = {band: (array.name, i) for array in arrays for i, band in enumerate(array.bands)}
    rows, columns = max(pixels[array.name].shape[-2:] for array in arrays)
    names = [band.name for band in cube_bands("sentinel-2")]
    seasons = next(iter(pixels.values())).shape[0]
    cube = np.empty((seasons, len(names), rows, columns), cube_dtype(method))
    for season in range(seasons):
        for number, name in enumerate(names):
            array, position = home[name]
            native = pixels[array][season, position]
            cube[season, number] = interpolate(native, (rows, columns), method, S2_NODATA)
    return cube


def _lay_out(store: Path, folder: Path, copies: Copies, plan: Plan) -> None:
    """Write everything but pixels; what an earlier attempt wrote of it is written again."""
    root = zarr.open_group(SyncedStore(folder), mode="a", zarr_format=3, use_consolidated=False)
    if copies[0][0].name:
        attributes = json.loads((store / ROOT_DOCUMENT).read_bytes())["attributes"]
        root.attrs.put({**attributes, "layout": RECHUNKED_LAYOUT})
    for group, targets in copies:
        node = root.require_group(group.name) if group.name else root
        node.attrs.put(_attributes(group, targets, plan))
        for target in targets:
            if not (folder / group.name / target.name / ROOT_DOCUMENT).is_file():
                _create(node, group, target, plan)
        _copy_records(group, folder / group.name, targets)
        if any(target.name == CUBE and len(target.sources) > 1 for target in targets):
            shutil.rmtree(folder / group.name / "band_s2", ignore_errors=True)
            add_band_names(node, "band_s2", [band.name for band in cube_bands("sentinel-2")])


def _copy_records(group: StoredGroup, folder: Path, targets: Sequence[Target]) -> None:
    """Copy the arrays without pixels, coordinates of the axes that are left among them."""
    dimensions = {name for target in targets for name in target.dimensions}
    kept = {name for array in group.arrays for name in array.dimensions} & dimensions
    for name in group.record_names:
        group.record(name)  # one that is lost or damaged is told, not copied
    for name in (*group.record_names, *sorted(kept)):
        shutil.rmtree(folder / name, ignore_errors=True)
        for file in (group.path / name).rglob("*"):
            if file.is_file():
                write_atomically(folder / file.relative_to(group.path), file.read_bytes())


def _create(node: zarr.Group, group: StoredGroup, target: Target, plan: Plan) -> None:
    document = json.loads((group.path / target.sources[0].name / ROOT_DOCUMENT).read_bytes())
    attributes = dict(document["attributes"])
    if len(target.sources) > 1:
        attributes["long_name"] = f"Sentinel-2 L1C on the 10 m grid ({plan.method})"
        attributes["spatial:dimensions"] = list(target.dimensions[-2:])
    node.create_array(
        target.name,
        shape=target.shape,
        chunks=target.chunks,
        shards=target.shards,
        dtype=target.dtype,
        fill_value=target.sources[0].nodata,
        filters=None,
        compressors=_with_checksum(chunk_codecs(document)),
        dimension_names=target.dimensions,
        attributes=attributes,
    )


def _with_checksum(codecs: Codecs) -> Codecs:
    return codecs if CRC32C in codecs else (*codecs, CRC32C)


def _attributes(group: StoredGroup, targets: Sequence[Target], plan: Plan) -> dict[str, Any]:
    bands = dict(group.attributes.get("bands", {}))
    for target in targets:
        if len(target.sources) > 1:
            bands = {name: table for name, table in bands.items() if not name.startswith("s2_")}
            bands[CUBE] = band_table(cube_bands("sentinel-2"))
    made = {
        "layout": group.attributes["layout"],
        "form": plan.form,
        "chunks": {target.name: list(target.chunks) for target in targets},
    }
    return {**group.attributes, "layout": RECHUNKED_LAYOUT, "bands": bands, "rechunked": made}


def main(arguments: Sequence[str] | None = None) -> None:
    """Rechunk a store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.rechunk", description=__doc__)
    parser.add_argument("store", type=Path, help="a store, built or imported")
    parser.add_argument("output", type=Path, help="store to make")
    parser.add_argument(
        "--chunk",
        default="",
        help="e.g. sample=16,time=4,y=88,x=88, in 10 m pixels; what is not named stays whole",
    )
    parser.add_argument("--form", choices=["stored", "cube"], default="stored")
    parser.add_argument("--method", choices=["nearest", "bilinear", "bicubic"], default="nearest")
    parser.add_argument("--samples-per-file", type=int, help="default: a file per chunk")
    add_dask_options(parser)
    options = parser.parse_args(arguments)
    if options.samples_per_file is not None and options.samples_per_file < 1:
        raise PipelineError(f"--samples-per-file is {options.samples_per_file}; at least 1")
    plan = Plan(options.form, parse_chunks(options.chunk), options.samples_per_file, options.method)
    with dask_cluster(options.threads, options.workers, options.scheduler):
        written = rechunk(options.store, options.output, plan)
    print(f"{options.output}: {written} blocks")


if __name__ == "__main__":
    run_step(main)
