"""Imports SSL4EO-S12, v1.0 or v1.1: ``python -m pipeline.importers.ssl4eo``.

v1.0 (folders and tar.gz of GeoTIFF, native resolution) becomes a native store like ``nol.zarr``;
v1.1 (``*.zarr.zip`` of 64 samples or ``ssl4eos12_shard_*.tar``, resampled to 10 m by its makers)
keeps its cube ``s2``. Images only: labels
come from the NoLDO-S12 release (`pipeline.importers.noldo`) or from Earth Engine by scene id
(`pipeline.importers.ssl4eo_labels`).

A run that was cut short goes on where it stopped and ends in the same bytes.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.importers.command import (
    checked_sources,
    import_parser,
    require_positive,
    show_summary,
)
from pipeline.importers.inventory import Inventory, fingerprint, load_inventory, take_stock
from pipeline.importers.members import printable
from pipeline.importers.reflectance import s2_values
from pipeline.importers.report import member_rows, summary_text, write_report
from pipeline.importers.seasonal_finish import finish_seasonal
from pipeline.importers.seasonal_store import Form, SeasonalStore
from pipeline.importers.shard_board import ShardBoard
from pipeline.importers.shard_part import PartPlan, write_empty_shards
from pipeline.importers.ssl4eo_cubes import (
    cube_units,
    find_cubes,
    patch_pixels,
    take_stock_of_cubes,
)
from pipeline.importers.ssl4eo_files import PATCH_PIXELS, decode_location, locate_band
from pipeline.importers.units import Unit, Wanted, units_in

SHARD_SIZE = 64
_PARTS = ("s2", "s1")


@dataclass(frozen=True)
class Release:
    """A source of either version.

    Attributes:
        version: ``v1.0`` or ``v1.1``.
        inventory: What it holds.
        pixels: Rows and columns of a patch at 10 m.
        units: Goes through what is wanted.
    """

    version: str
    inventory: Inventory
    pixels: int
    units: Callable[[Wanted], Iterator[Unit]]


def import_ssl4eo(
    sources: Sequence[Path],
    store: Path,
    harmonise: bool = True,
    shard_size: int = SHARD_SIZE,
    workers: int = 1,
) -> str:
    """Import a release, or what a source has of it.

    Args:
        sources: Folders, archives, or both; those of Sentinel-2 first.
        store: Zarr store to make; the state of the import lies beside it in ``<store>.import``.
        harmonise: Remove the radiometric offset of the later processing baselines where the pixels
            and names tell that it is there.
        shard_size: Samples in one shard.
        workers: Processes that compress and write.

    Returns:
        The summary; every sample and refused member is in ``<store>.import/report.csv``.

    Raises:
        PipelineError: Nothing to import, another store in the way, a source that has changed.
    """
    require_positive(shard_size, workers)
    sources = checked_sources(sources, store)
    work = work_folder(store)
    mark = fingerprint(sources)
    release = _open_release(sources, work / "inventory.json", mark, harmonise)
    ids = release.inventory.samples("", "s2") if release.inventory.parts else []
    if not ids:
        raise PipelineError(
            f"{', '.join(map(str, sources))} holds no band of SSL4EO-S12; expected "
            "<modality>/<id>/<scene>/<band>.tif, <split>/<modality>/*.zarr.zip or "
            "<split>/<modality>/ssl4eos12_shard_*.tar"
        )
    form: Form = "native" if release.version == "v1.0" else "cube"
    target = SeasonalStore(store, form, len(ids), release.pixels, shard_size, harmonise)
    target.create(_attributes(release.version, mark, harmonise, shard_size))
    write_plan(work, target, ids)
    plans = [_plan(target, release.inventory, ids, part) for part in _PARTS]
    ShardBoard(work, plans, workers).fill(release.units)
    write_empty_shards(_plan(target, release.inventory, ids, "label"))
    return finish_import(store, release.inventory)


def work_folder(store: Path) -> Path:
    """Where the state of an import lies."""
    return store.with_name(f"{store.name}.import")


def write_plan(work: Path, target: SeasonalStore, ids: Sequence[str]) -> None:
    """Keep what later steps, such as the import of labels, must know of a store."""
    fields = asdict(target) | {"path": target.path.name, "ids": ids}
    write_atomically(work / "plan.json", json.dumps(fields).encode())


def read_plan(store: Path) -> tuple[SeasonalStore, list[str]]:
    """The store that an import made, and the ids of its samples.

    Raises:
        PipelineError: No import made this store.
    """
    try:
        fields = json.loads((work_folder(store) / "plan.json").read_bytes())
    except FileNotFoundError:
        raise PipelineError(
            f"{store} was not imported here: {work_folder(store)} is missing; "
            "run `python -m pipeline.importers.ssl4eo` first"
        ) from None
    ids = fields.pop("ids")
    return SeasonalStore(**fields | {"path": store}), ids


def finish_import(store: Path, inventory: Inventory) -> str:
    """Write records and report of a store whose shards are written; its summary."""
    work = work_folder(store)
    target, ids = read_plan(store)
    rows, remarks = finish_seasonal(target, work, ids)
    names = [row.name for row in rows]
    _require_own_names(store, names)
    write_plan(work, target, names)
    rows += member_rows(inventory.refusals)
    write_report(work / "report.csv", rows)
    text = summary_text(f"{store.name}: {len(ids)} samples", rows, inventory.ignored, remarks)
    write_atomically(work / "summary.txt", text.encode())
    return text


def _require_own_names(store: Path, names: Sequence[str]) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise PipelineError(
            f"{count} samples of {store} are called {printable(name)!r} in their source; do its "
            "files lie there twice, under two names? Remove the store and one of them"
        )


def _open_release(sources: Sequence[Path], kept: Path, mark: str, harmonise: bool) -> Release:
    cubes = [path for source in sources for path in find_cubes(source)]
    if cubes:
        inventory = load_inventory(kept, mark, lambda: take_stock_of_cubes(cubes))
        units = partial(cube_units, cubes, harmonise)
        return Release("v1.1", inventory, patch_pixels(cubes), units)
    inventory = load_inventory(kept, mark, lambda: take_stock(sources, locate_band))
    decode = partial(decode_location, harmonise=harmonise)
    units = partial(units_in, sources, locate_band, decode)
    return Release("v1.0", inventory, PATCH_PIXELS, units)


def _plan(target: SeasonalStore, inventory: Inventory, ids: list[str], part: str) -> PartPlan:
    index = {sample: number for number, sample in enumerate(ids)}
    samples = {sample: index[sample] for sample in inventory.parts[""].get(part, ())}
    arrays = target.part_arrays(part)
    return PartPlan("", part, target.path, samples, arrays, target.count, target.shard_size)


def _attributes(version: str, mark: str, harmonise: bool, shard_size: int) -> dict[str, object]:
    return {
        "title": f"SSL4EO-S12 {version}: Sentinel-1 and Sentinel-2 in four seasons, imported",
        "source": f"SSL4EO-S12 {version}",
        "s2_values": s2_values(harmonise),
        "dataset_hash": f"{mark}-{'h' if harmonise else 's'}{shard_size}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Import from the command line."""
    parser = import_parser("ssl4eo", __doc__, SHARD_SIZE)
    options = parser.parse_args(arguments)
    harmonise = options.s2_values == "harmonised"
    text = import_ssl4eo(
        options.source, options.store, harmonise, options.shard_size, options.workers
    )
    show_summary(text, options.summary)


if __name__ == "__main__":
    run_step(main)
