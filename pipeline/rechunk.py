"""Copies a store into another layout: ``python -m pipeline.rechunk <store> <output> --chunk ...``.

Our stores are cut for training: a chunk is one scene, a shard one job. Who maps time series, or
wants one plain array of 13 bands, is served better by other chunks. One Dask task fills one block
of samples of one array; the output appears under its name when all of it is there, and plain
``xarray.open_zarr`` reads it.
"""

import argparse
import json
import shutil
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.atomic_file import PARTIAL_SUFFIX
from pipeline.dask_cluster import dask_cluster, map_and_merge
from pipeline.errors import PipelineError, run_step
from pipeline.season_pixels import S2_NODATA
from pipeline.sensors import cube_bands
from pipeline.store.description import band_table
from pipeline.store.groups import require_arrays
from pipeline.store.interpolation import Method, interpolate
from pipeline.store.metadata import ROOT_DOCUMENT, add_band_names
from pipeline.verify.stored import SampleReader, StoredArray, StoredGroup, open_groups

RECHUNKED_LAYOUT = "noldo-rechunked-1"
"""Attribute ``layout`` of the output; ``rechunked`` says what it was made from."""

Form = Literal["stored", "cube"]

_CUBE = "s2"


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
class _Target:
    """One array of the output.

    Attributes:
        name: In its group.
        sources: Arrays of the store it is made of: one, or those of a cube.
        shape: Of the whole array.
        dtype: As stored.
        dimensions: Names of the axes.
        chunks: Shape of a chunk.
        block: Samples that one task fills, a whole number of chunks.
    """

    name: str
    sources: tuple[StoredArray, ...]
    shape: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...]
    chunks: tuple[int, ...]
    block: int


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


def rechunk(store: Path, output: Path, plan: Plan) -> int:
    """Copy a store into another layout, on whatever Dask is set to.

    A task holds one block of samples of one array: ``sample`` (or `Plan.samples_per_file`) times
    the size of a sample.

    Returns:
        The number of blocks written.

    Raises:
        PipelineError: There is no store of ours, the output exists, or the form does not fit.
    """
    groups = open_groups(store)
    if output.exists():
        raise PipelineError(f"{output} exists; choose another name or remove it")
    partial = output.with_name(f".{output.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")
    try:
        parts = [part for group in groups for part in _lay_out(group, partial, plan)]
        _copy_root(store, partial, groups)
        written = map_and_merge(fill_block, parts, _total, f"rechunk {store.name}") or 0
        _consolidate(partial, groups)
        partial.replace(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written


def fill_block(
    store: Path,
    group_name: str,
    target_path: Path,
    sources: tuple[str, ...],
    samples: tuple[int, int],
    method: Method,
) -> int:
    """Write the block of an output array that holds some samples; 1, for the count.

    Args:
        store: Folder of the store.
        group_name: Group in it; empty for the store itself.
        target_path: Folder of the output array.
        sources: Names of the arrays that it is made of.
        samples: First one, and the one after the last.
        method: See `Plan`.
    """
    (group,) = (group for group in open_groups(store) if group.name == group_name)
    chosen = tuple(array for array in group.arrays if array.name in sources)
    target = zarr.open_array(target_path, mode="r+")
    first, stop = samples
    block = np.empty((stop - first, *target.shape[1:]), target.dtype)
    with SampleReader(group, sources) as reader:
        for row, sample in enumerate(range(first, stop)):
            pixels = reader.read(sample)
            one = pixels[sources[0]] if len(sources) == 1 else _cube(pixels, chosen, method)
            block[row] = one.reshape(target.shape[1:])
    target[first:stop] = block
    return 1


def _total(counts: Sequence[int]) -> int:
    return sum(counts)


def _consolidate(path: Path, groups: Sequence[StoredGroup]) -> None:
    with warnings.catch_warnings():
        # Consolidated metadata is not in the v3 specification yet; readers without it still work.
        warnings.simplefilter("ignore")
        for name in dict.fromkeys([*(group.name for group in groups), ""]):
            zarr.consolidate_metadata(path, path=name or None)


def _cube(
    pixels: Mapping[str, NDArray[Any]], arrays: Sequence[StoredArray], method: Method
) -> NDArray[Any]:
    """All bands of a sample on the 10 m grid, (season, band, y, x)."""
    home = {band: (array.name, i) for array in arrays for i, band in enumerate(array.bands)}
    rows, columns = max(pixels[array.name].shape[-2:] for array in arrays)
    names = [band.name for band in cube_bands("sentinel-2")]
    seasons = next(iter(pixels.values())).shape[0]
    cube = np.empty((seasons, len(names), rows, columns), _cube_dtype(method))
    for season in range(seasons):
        for number, name in enumerate(names):
            array, position = home[name]
            native = pixels[array][season, position]
            cube[season, number] = interpolate(native, (rows, columns), method, S2_NODATA)
    return cube


def _lay_out(group: StoredGroup, partial: Path, plan: Plan) -> list[tuple[Any, ...]]:
    """Create the arrays of a group; the arguments of `fill_block` for every block."""
    require_arrays(group.path, (*group.record_names, *(array.name for array in group.arrays)))
    root = zarr.open_group(partial, mode="a", zarr_format=3)
    targets = [_target(group, arrays, plan) for arrays in _sources(group, plan.form)]
    attributes = _attributes(group, targets, plan)
    node = root.require_group(group.name) if group.name else root
    node.attrs.update(attributes)
    for target in targets:
        _create(node, group, target, plan)
    dimensions = {name for target in targets for name in target.dimensions}
    kept = {name for array in group.arrays for name in array.dimensions} & dimensions
    for name in (*group.record_names, *sorted(kept)):
        if (group.path / name).is_dir():
            shutil.copytree(group.path / name, partial / group.name / name)
    if any(target.name == _CUBE and len(target.sources) > 1 for target in targets):
        add_band_names(node, "band_s2", [band.name for band in cube_bands("sentinel-2")])
    return [
        (
            group.store,
            group.name,
            partial / group.name / target.name,
            tuple(array.name for array in target.sources),
            (first, min(first + target.block, group.count)),
            plan.method,
        )
        for target in targets
        for first in range(0, group.count, target.block)
    ]


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


def _target(group: StoredGroup, sources: tuple[StoredArray, ...], plan: Plan) -> _Target:
    first = max(sources, key=lambda array: array.shape[-1])
    shape, dimensions, name, dtype = first.shape, first.dimensions, first.name, first.dtype
    if len(sources) > 1:
        bands = len(cube_bands("sentinel-2"))
        shape = (*shape[:2], bands, *shape[3:])
        dimensions = (*dimensions[:2], "band_s2", *dimensions[3:])
        name, dtype = _CUBE, _cube_dtype(plan.method).name
    coarseness = max(array.shape[-1] for array in group.arrays) // shape[-1]
    wanted = dict(plan.chunks or {})
    chunks = tuple(
        _chunk_length(axis, length, wanted, coarseness)
        for axis, length in zip(dimensions, shape, strict=True)
    )
    block = chunks[0]
    if plan.samples_per_file is not None:
        block = -(-plan.samples_per_file // chunks[0]) * chunks[0]
    return _Target(name, sources, shape, dtype, dimensions, chunks, block)


def _chunk_length(axis: str, length: int, wanted: Mapping[str, int], coarseness: int) -> int:
    kind = axis.split("_")[0]
    if kind not in wanted:
        return 1 if kind == "sample" else length
    asked = wanted[kind]
    if kind in ("y", "x"):
        asked = max(asked // coarseness, 1)
    return min(asked, length)


def _create(node: zarr.Group, group: StoredGroup, target: _Target, plan: Plan) -> None:
    document = json.loads((group.path / target.sources[0].name / ROOT_DOCUMENT).read_bytes())
    attributes = dict(document["attributes"])
    if len(target.sources) > 1:
        attributes["long_name"] = f"Sentinel-2 L1C on the 10 m grid ({plan.method})"
        attributes["spatial:dimensions"] = list(target.dimensions[-2:])
    shards = None
    if plan.samples_per_file is not None:
        # A shard must be a whole number of chunks along every axis, beyond the end if need be.
        whole = zip(target.shape[1:], target.chunks[1:], strict=True)
        shards = (target.block, *(-(-length // chunk) * chunk for length, chunk in whole))
    node.create_array(
        target.name,
        shape=target.shape,
        chunks=target.chunks,
        shards=shards,
        dtype=target.dtype,
        fill_value=target.sources[0].nodata,
        filters=None,
        compressors=_compressors(document),
        dimension_names=target.dimensions,
        attributes=attributes,
    )


def _compressors(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    codecs = document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        codecs = codecs[0]["configuration"]["codecs"]
    return [codec for codec in codecs if codec["name"] != "bytes"]


def _attributes(group: StoredGroup, targets: Sequence[_Target], plan: Plan) -> dict[str, Any]:
    bands = dict(group.attributes.get("bands", {}))
    for target in targets:
        if len(target.sources) > 1:
            bands = {name: table for name, table in bands.items() if not name.startswith("s2_")}
            bands[_CUBE] = band_table(cube_bands("sentinel-2"))
    made = {
        "layout": group.attributes["layout"],
        "form": plan.form,
        "chunks": {target.name: list(target.chunks) for target in targets},
    }
    return {**group.attributes, "layout": RECHUNKED_LAYOUT, "bands": bands, "rechunked": made}


def _copy_root(store: Path, partial: Path, groups: Sequence[StoredGroup]) -> None:
    """Attributes of a store that has its arrays in groups."""
    if not groups[0].name:
        return
    attributes = json.loads((store / ROOT_DOCUMENT).read_bytes())["attributes"]
    root = zarr.open_group(partial, mode="a", zarr_format=3)
    root.attrs.update({**attributes, "layout": RECHUNKED_LAYOUT})


def _cube_dtype(method: Method) -> np.dtype[Any]:
    return np.dtype(np.uint16 if method == "nearest" else np.float32)


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
    parser.add_argument("--threads", type=int, default=1, help="workers to use (default: 1)")
    parser.add_argument("--workers", choices=["threads", "processes"], default="threads")
    parser.add_argument("--scheduler", help="address of a Dask cluster to use instead")
    options = parser.parse_args(arguments)
    if options.samples_per_file is not None and options.samples_per_file < 1:
        raise PipelineError(f"--samples-per-file is {options.samples_per_file}; at least 1")
    plan = Plan(options.form, parse_chunks(options.chunk), options.samples_per_file, options.method)
    with dask_cluster(options.threads, options.workers, options.scheduler):
        written = rechunk(options.store, options.output, plan)
    print(f"{options.output}: {written} blocks")


if __name__ == "__main__":
    run_step(main)
