"""What the imports of tiles share: one date per sample, one file per sensor, groups by split.

An importer says where a file belongs (`TileRelease.locate`) and what it holds (`decode`); the rest,
from hostile archives to the finished store, is here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.importers.backscatter import require_decibels, to_hundredths
from pipeline.importers.command import (
    checked_sources,
    import_parser,
    require_positive,
    show_summary,
)
from pipeline.importers.inventory import Inventory, fingerprint, load_inventory, take_stock
from pipeline.importers.members import DamagedMember
from pipeline.importers.offset import UNKNOWN
from pipeline.importers.rasters import Place, Raster, decode_geotiff
from pipeline.importers.reflectance import (
    AS_PUBLISHED,
    digital_numbers,
    s2_values,
    without_offset,
)
from pipeline.importers.report import Row, member_rows, summary_text, write_report
from pipeline.importers.shard_board import ShardBoard
from pipeline.importers.shard_part import PartPlan, StoredArray
from pipeline.importers.tile_finish import group_records
from pipeline.importers.units import Decode, Files, Locate, units_in
from pipeline.store.description import common_attributes
from pipeline.store.layout import RecordArray
from pipeline.store.tile_layout import (
    TILE_LAYOUT,
    TILE_RECORDS,
    TileArray,
    TileGroup,
    reflectance_array,
)
from pipeline.store.tiles import create_tile_store, finish_tiles

_GRID = {"units": "of EPSG:epsg"}

IMPORTED_RECORDS: tuple[RecordArray, ...] = (
    *TILE_RECORDS,
    RecordArray("x_step", "float64", np.nan, attributes={"long_name": "width of a pixel"} | _GRID),
    RecordArray("y_step", "float64", np.nan, attributes={"long_name": "height of a pixel"} | _GRID),
    RecordArray(
        "s2_offset",
        "int16",
        UNKNOWN,
        attributes={"long_name": "radiometric offset found in the source: 0, 1000, -1 unknown"},
    ),
)
"""One value per imported tile; steps are those that the source recorded."""


@dataclass(frozen=True)
class GroupForm:
    """One group of the store to be.

    Attributes:
        size: Rows and columns of its tiles.
        arrays: Its pixels; the name of an array is that of its part.
        records: `IMPORTED_RECORDS` and what else the source knows.
        optional: Arrays without which a tile is complete all the same.
    """

    size: int
    arrays: tuple[TileArray, ...]
    records: tuple[RecordArray, ...] = IMPORTED_RECORDS
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class TileRelease:
    """What one published dataset looks like.

    Attributes:
        name: Its rows in ``attribution.csv``.
        title: For people.
        harmonise: Whether the radiometric offset of Sentinel-2 is removed where it is found.
        forms: Its groups; those that the source lacks are left out.
        locate: What a file is of, from its name.
        decode: The arrays and facts of a file.
        choices: Options of the import that decide the store's bytes.
        attributes: More attributes of the store.
        inspect: Looks at a filled group before it counts; returns more records. May raise
            `PipelineError`.
    """

    name: str
    title: str
    harmonise: bool
    forms: Mapping[str, GroupForm]
    locate: Locate
    decode: Decode
    choices: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    inspect: Callable[[Path, int], Mapping[str, Sequence[Any]]] | None = None


def import_tiles(
    sources: Sequence[Path],
    store: Path,
    release: TileRelease,
    shard_size: int,
    workers: int = 1,
) -> str:
    """Import a release, or what a source has of it.

    Args:
        sources: Folders, archives, or both.
        store: Zarr store to make; the state of the import lies beside it in ``<store>.import``.
        release: What it looks like.
        shard_size: Tiles in one shard.
        workers: Processes that compress and write.

    Returns:
        The summary; every sample and refused member is in ``<store>.import/report.csv``.

    Raises:
        PipelineError: Nothing to import, another store in the way, a source that has changed,
            labels that cannot be right.
    """
    require_positive(shard_size, workers)
    sources = checked_sources(sources, store)
    work = store.with_name(f"{store.name}.import")
    mark = fingerprint(sources)
    inventory = load_inventory(
        work / "inventory.json", mark, lambda: take_stock(sources, release.locate)
    )
    forms = {name: form for name, form in release.forms.items() if name in inventory.parts}
    if not forms:
        names = ", ".join(map(str, sources))
        raise PipelineError(f"{names} holds no file of {release.title}; is this the right archive?")
    ids = {name: inventory.samples(name, form.arrays[0].name) for name, form in forms.items()}
    groups = {
        name: TileGroup(len(ids[name]), form.size, form.arrays, form.records, shard_size)
        for name, form in forms.items()
    }
    create_tile_store(store, groups, _attributes(release, mark, shard_size))
    plans = [
        _plan(store, name, group, array, ids[name], inventory)
        for name, group in groups.items()
        for array in group.arrays
    ]
    ShardBoard(work, plans, workers).fill(
        partial(units_in, sources, release.locate, release.decode)
    )
    rows: list[Row] = []
    for name, group in groups.items():
        rows += _finish_group(store, work, name, group, ids[name], release)
    rows += member_rows(inventory.refusals)
    write_report(work / "report.csv", rows)
    text = summary_text(f"{store.name}: {release.title}", rows, inventory.ignored, ())
    write_atomically(work / "summary.txt", text.encode())
    return text


def run_tile_import(
    name: str,
    description: str | None,
    shard_size: int,
    release: Callable[[bool], TileRelease],
    arguments: Sequence[str] | None,
) -> None:
    """The command line of an importer of one release.

    Args:
        name: Of the module.
        description: Its docstring.
        shard_size: Default number of tiles in a shard.
        release: What is imported, given whether to remove radiometric offsets.
        arguments: Of the command line; None for those of the process.
    """
    options = import_parser(name, description, shard_size).parse_args(arguments)
    chosen = release(options.s2_values == "harmonised")
    text = import_tiles(options.source, options.store, chosen, options.shard_size, options.workers)
    show_summary(text, options.summary)


def imported_reflectance(harmonise: bool) -> TileArray:
    """The array ``s2`` of an import; it says whether offsets may be in it."""
    array = reflectance_array()
    if harmonise:
        return array
    return replace(array, attributes=array.attributes | {"comment": AS_PUBLISHED})


def decode_reflectance(
    raster: Raster, order: Sequence[int], harmonise: bool, scene: str
) -> tuple[NDArray[np.uint16], int]:
    """A (13, y, x) cube in our order of bands, and the radiometric offset it had.

    Args:
        raster: As decoded; any integer type.
        order: Position in the file of each of our bands.
        harmonise: Remove the offset where there is one.
        scene: Name of the scene or file.

    Raises:
        DamagedMember: It has other bands, or no digital numbers.
    """
    if len(raster.values) != len(order):
        raise DamagedMember(f"{len(raster.values)} bands, expected {len(order)}")
    return without_offset(digital_numbers(raster.values)[list(order)], scene, harmonise)


def decode_backscatter(raster: Raster) -> NDArray[np.int16]:
    """VV and VH in 0.01 dB.

    Raises:
        DamagedMember: Not two bands of decibels.
    """
    if len(raster.values) != 2 or raster.values.dtype.kind != "f":
        raise DamagedMember(f"{raster.values.shape} {raster.values.dtype}, expected VV, VH in dB")
    require_decibels(raster.values)
    return to_hundredths(raster.values)


def only_file(files: Files) -> Raster:
    """The one picture of a unit.

    Raises:
        DamagedMember: There are several.
    """
    if len(files) != 1:
        raise DamagedMember(f"{len(files)} files, expected one")
    return decode_geotiff(next(iter(files.values())))


def place_facts(place: Place, shape: tuple[int, ...]) -> dict[str, Any]:
    """Where a tile lies, as recorded by its source."""
    return {
        "epsg": place.epsg,
        "left": place.left,
        "top": place.top,
        "x_step": place.x_step,
        "y_step": place.y_step,
        "centre": list(place.centre((shape[-2], shape[-1]))),
    }


def moved(place: Place, margin: int) -> Place:
    """The grid with so many pixels added around it."""
    return replace(
        place,
        left=place.left - margin * place.x_step,
        top=place.top - margin * place.y_step,
    )


def _plan(
    store: Path,
    name: str,
    group: TileGroup,
    array: TileArray,
    ids: Sequence[str],
    inventory: Inventory,
) -> PartPlan:
    index = {sample: number for number, sample in enumerate(ids)}
    present = inventory.parts[name].get(array.name, [])
    stored = StoredArray(array.name, array.tile_shape(group.size), array.dtype, array.nodata)
    samples = {sample: index[sample] for sample in present}
    size = group.shard_size
    return PartPlan(name, array.name, store / name, samples, (stored,), group.count, size)


def _attributes(release: TileRelease, mark: str, shard_size: int) -> dict[str, Any]:
    own = {"harmonise": release.harmonise, "shard_size": shard_size}
    choices = json.dumps(dict(release.choices) | own, sort_keys=True)
    return {
        **common_attributes(release.name, TILE_LAYOUT),
        "title": f"{release.title}, imported",
        "source": release.title,
        "s2_values": s2_values(release.harmonise),
        "simulated": False,
        "dataset_hash": f"{mark} {choices}",
        **release.attributes,
    }


def _finish_group(
    store: Path,
    work: Path,
    name: str,
    group: TileGroup,
    ids: Sequence[str],
    release: TileRelease,
) -> list[Row]:
    optional = release.forms[name].optional
    records, rows = group_records(work, name, group, ids, optional, release.harmonise)
    valid = [not reason for reason in records["reason"]]
    if release.inspect is not None:
        records |= {k: list(v) for k, v in release.inspect(store / name, len(ids)).items()}
    finish_tiles(store, name, records, valid)
    return rows
