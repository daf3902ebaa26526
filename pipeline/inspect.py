"""What is in a store: ``python -m pipeline.inspect results/demo/nol.zarr``.

Prints what a person wants to know first and writes pictures of samples beside the store. Any store
will do: four seasons or tiles, native bands or a cube, built here or imported.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from pipeline.atomic_file import atomic_file
from pipeline.errors import PipelineError, run_step
from pipeline.gallery import sample_gallery
from pipeline.label_classes import label_classes, label_ids
from pipeline.store.create import read_attributes
from pipeline.store.groups import group_names
from pipeline.store.object_path import StorePath, store_path
from pipeline.store.reader import open_store

GALLERY_SAMPLES = 3
COUNTED_SAMPLES = 64
"""Samples whose labels are counted, spread over the store; the statistics count them all."""

Groups = Mapping[str, xr.Dataset]
"""The datasets of a store by name of the group; the name is empty where there is one only."""


@dataclass(frozen=True)
class Place:
    """A sample in a store: its group and its position there."""

    group: str
    index: int


def open_groups(path: StorePath) -> dict[str, xr.Dataset]:
    """Open every group of a store.

    Raises:
        PipelineError: There is no store at the path, or it is not one of ours.
    """
    names = group_names(path, read_attributes(path) or {})
    return {name: open_store(path, name or None) for name in names}


def summary_table(groups: Groups, path: StorePath) -> Table:
    """The store's title, size, validity, splits and arrays as a table for the terminal."""
    first = next(iter(groups.values()))
    table = Table(title=str(first.attrs.get("title", path.name)), title_justify="left")
    table.add_column("what")
    table.add_column("value")
    for what, value in _facts(groups, path):
        table.add_row(what, value)
    return table


def class_shares(store: xr.Dataset, samples: Sequence[int]) -> list[tuple[str, float]]:
    """Name and share of each class over the labelled pixels, or scenes, of some samples."""
    array = "label" if "label" in store else "scene_class"
    counts = np.zeros(256, dtype=np.int64)
    for sample in samples:
        label = np.asarray(store[array].isel(sample=sample).values)
        counts += np.bincount(label_ids(label).ravel(), minlength=256)
    labelled = max(1, counts[:255].sum())
    return [(row.name, counts[row.id] / labelled) for row in label_classes(store[array].attrs)]


def valid_samples(groups: Groups) -> list[Place]:
    """The complete samples of all groups, in order."""
    return [
        Place(name, int(index))
        for name, store in groups.items()
        for index in np.flatnonzero(store["valid"].values)
    ]


def find_sample(groups: Groups, sample_id: str) -> Place:
    """Where a complete sample is, by its id.

    Raises:
        PipelineError: No such id, or its sample was rejected.
    """
    for name, store in groups.items():
        found = np.flatnonzero(store["id"].values == sample_id)
        if found.size:
            index = int(found[0])
            if not bool(store["valid"].values[index]):
                why = str(store["reason"].values[index]) if "reason" in store else ""
                told = f" ({why})" if why else "; the index says why"
                raise PipelineError(f"{sample_id} was rejected{told}")
            return Place(name, index)
    raise PipelineError(f"no sample {sample_id!r} in this store")


def _facts(groups: Groups, path: StorePath) -> Iterator[tuple[str, str]]:
    first = next(iter(groups.values()))
    yield "simulated", "YES, not for science" if first.attrs.get("simulated") else "no"
    yield "layout", str(first.attrs["layout"])
    for name, store in groups.items():
        yield from _group_facts(store, f"{name}: " if name else "")
    yield "size", ", ".join(_sizes(groups, _stored_files(path)))
    for key in ("source", "code_version", "dataset_hash"):
        if key in first.attrs:
            yield key.replace("_", " "), str(first.attrs[key])
    for licence in first.attrs.get("licences", []):
        yield "licence", str(licence)


def _group_facts(store: xr.Dataset, prefix: str) -> Iterator[tuple[str, str]]:
    valid = store["valid"].values.astype(bool)
    yield f"{prefix}samples", f"{valid.sum():,} complete of {valid.size:,}"
    if "reason" in store and not valid.all():
        yield f"{prefix}rejected", _counted(store["reason"].values[~valid].tolist())
    yield f"{prefix}splits", _counted(store["split"].values[valid].tolist())
    for name, array in store.data_vars.items():
        if array.ndim > 2:
            axes = ", ".join(f"{axis} {size}" for axis, size in array.sizes.items())
            yield f"{prefix}{name}", f"{array.dtype} ({axes})"
    days = store["s2_time"].values[valid].astype("datetime64[D]")
    known = days[~np.isnat(days)]
    if known.size:
        yield f"{prefix}scenes", f"{known.min()} to {known.max()}"


def _counted(names: Sequence[str]) -> str:
    counts = sorted(Counter(names).items())
    return ", ".join(f"{name or 'none'} {count}" for name, count in counts) or "none"


def _sizes(groups: Groups, files: Mapping[str, int]) -> Iterator[str]:
    """Bytes of the whole store and of each array of pixels, over all groups."""
    yield f"{sum(files.values()) / 1e6:,.1f} MB"
    arrays = {name for store in groups.values() for name in store.data_vars}
    for array in sorted(str(name) for name in arrays):
        folders = tuple(f"{group}/{array}/" if group else f"{array}/" for group in groups)
        stored = sum(size for name, size in files.items() if name.startswith(folders))
        yield f"{array} {stored / 1e6:,.1f}"


def _stored_files(store: StorePath) -> dict[str, int]:
    """Bytes of every file of a store, by its path below it."""
    if not isinstance(store, Path):
        return store.sizes_below()
    files = (file for file in store.rglob("*") if file.is_file())
    return {file.relative_to(store).as_posix(): file.stat().st_size for file in files}


def _print_classes(console: Console, groups: Groups) -> None:
    for name, store in groups.items():
        if "label" not in store and "scene_class" not in store:
            continue
        valid = np.flatnonzero(store["valid"].values)
        counted = valid[_spread(len(valid), COUNTED_SAMPLES)]
        where = f" of {name}" if name else ""
        table = Table(title=f"classes in {len(counted)} samples{where}", title_justify="left")
        table.add_column("class")
        table.add_column("share", justify="right")
        for land_cover, share in class_shares(store, counted.tolist()):
            table.add_row(land_cover, f"{100 * share:.1f} %")
        console.print(table)


def _spread(count: int, wanted: int) -> list[int]:
    """Positions spread evenly over so many."""
    if not count:
        return []
    chosen: list[int] = np.linspace(0, count - 1, min(wanted, count)).astype(int).tolist()
    return chosen


def _write_gallery(groups: Groups, place: Place, folder: Path) -> Path:
    sample = groups[place.group].isel(sample=place.index)
    mark = "SIMULATED  " if sample.attrs.get("simulated") else ""
    where = f"{sample['lon'].item():.4f} E {sample['lat'].item():.4f} N"
    group = f"{place.group}_" if place.group else ""
    path = folder / f"{group}sample_{place.index:06d}.png"
    picture = sample_gallery(sample, f"{mark}{sample['id'].item()}  {where}")
    with atomic_file(path) as file:
        picture.save(file, "PNG")
    return path


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("store", type=store_path, help="any store, e.g. results/demo/nol.zarr")
    parser.add_argument("--sample", help="id of the sample to draw; by default a few are")
    parser.add_argument(
        "--gallery", type=Path, help="folder for pictures; default beside the store"
    )
    arguments = parser.parse_args()
    folder = arguments.gallery or _gallery_folder(arguments.store)
    groups = open_groups(arguments.store)
    console = Console()
    console.print(summary_table(groups, arguments.store))
    valid = valid_samples(groups)
    if not valid:
        raise PipelineError(f"{arguments.store} holds no complete sample yet")
    drawn = [valid[position] for position in _spread(len(valid), GALLERY_SAMPLES)]
    if arguments.sample:
        drawn = [find_sample(groups, arguments.sample)]
    _print_classes(console, groups)
    for place in drawn:
        # not through the console, which would break a long path in two
        print(f"picture {_write_gallery(groups, place, folder)}")


def _gallery_folder(store: StorePath) -> Path:
    """``gallery`` beside ``nol.zarr``, ``gallery_dw`` beside ``dw.zarr`` and so on."""
    if not isinstance(store, Path):
        raise PipelineError(f"{store} has no folder beside it; say with --gallery where to draw")
    return store.parent / ("gallery" if store.stem == "nol" else f"gallery_{store.stem}")


if __name__ == "__main__":
    run_step(main)
