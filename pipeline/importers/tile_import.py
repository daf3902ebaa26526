"""What the imports of tiles share: one date per sample, one file per sensor, groups by split.

An importer says where a file belongs (`TileRelease.locate`) and what it holds (`decode`); the rest,
from hostile archives to the finished store, is here.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.grid import crs_transformer
from pipeline.importers.archives import iterate_members, reported_before
from pipeline.importers.backscatter import to_hundredths
from pipeline.importers.command import require_sources
from pipeline.importers.inventory import Inventory, fingerprint, load_inventory
from pipeline.importers.members import DamagedMember
from pipeline.importers.offset import OFFSET, UNKNOWN, detect_offset, remove_offset, split_cube
from pipeline.importers.rasters import Place, Raster, decode_geotiff
from pipeline.importers.report import Outcome, Row, member_rows, summary_text, write_report
from pipeline.importers.shard_board import REFUSED, PartPlan, ShardBoard, StoredArray, read_facts
from pipeline.importers.units import Decode, Files, Key, Locate, Unit, units_of
from pipeline.store.description import common_attributes
from pipeline.store.layout import RecordArray
from pipeline.store.tile_layout import TILE_LAYOUT, TILE_RECORDS, TileArray, TileGroup
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

_FILLS = {record.name: record.fill for record in IMPORTED_RECORDS}


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
    forms: Mapping[str, GroupForm]
    locate: Locate
    decode: Decode
    choices: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    inspect: Callable[[Path, int], Mapping[str, Sequence[Any]]] | None = None


def import_tiles(
    sources: Sequence[Path], store: Path, release: TileRelease, shard_size: int
) -> str:
    """Import a release, or what a source has of it.

    Args:
        sources: Folders, archives, or both.
        store: Zarr store to make; the state of the import lies beside it in ``<store>.import``.
        release: What it looks like.
        shard_size: Tiles in one shard.

    Returns:
        The summary; every sample and refused member is in ``<store>.import/report.csv``.

    Raises:
        PipelineError: Nothing to import, another store in the way, a source that has changed,
            labels that cannot be right.
    """
    require_sources(sources, store)
    work = _work_folder(store)
    mark = fingerprint(sources)
    inventory = load_inventory(
        work / "inventory.json", mark, lambda: _take_stock(sources, release.locate)
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
    board = ShardBoard(
        work,
        [
            _plan(store, name, group, array, ids[name], inventory)
            for name, group in groups.items()
            for array in group.arrays
        ],
    )
    if not board.complete:
        for unit in _tile_units(sources, release, board.wants):
            board.take(unit)
    board.close()
    rows: list[Row] = []
    for name, group in groups.items():
        rows += _finish_group(store, name, group, ids[name], release)
    rows += member_rows(inventory.refusals)
    write_report(work / "report.csv", rows)
    text = summary_text(f"{store.name}: {release.title}", rows, inventory.ignored, ())
    write_atomically(work / "summary.txt", text.encode())
    return text


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
    values = raster.values
    if len(values) != len(order):
        raise DamagedMember(f"{len(values)} bands, expected {len(order)}")
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise DamagedMember(f"values {values.min()} to {values.max()}, no digital numbers")
    if values.dtype.kind == "f" and np.any(values % 1):
        raise DamagedMember("fractions, no digital numbers")
    cube = values[list(order)].astype(np.uint16)
    offset = detect_offset(split_cube(cube), scene)
    return (remove_offset(cube) if harmonise and offset == OFFSET else cube), offset


def decode_backscatter(raster: Raster) -> NDArray[np.int16]:
    """VV and VH in 0.01 dB.

    Raises:
        DamagedMember: Not two bands of decibels.
    """
    if len(raster.values) != 2 or raster.values.dtype.kind != "f":
        raise DamagedMember(f"{raster.values.shape} {raster.values.dtype}, expected VV, VH in dB")
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


def _work_folder(store: Path) -> Path:
    return store.with_name(f"{store.name}.import")


def _take_stock(sources: Sequence[Path], locate: Locate) -> Inventory:
    inventory = Inventory()
    inventory.add(
        locate(member.name)
        for source in sources
        for member in iterate_members(source, inventory.refusals.append)
    )
    return inventory


def _tile_units(
    sources: Sequence[Path], release: TileRelease, wanted: Callable[[Key], bool]
) -> Iterator[Unit]:
    for source in sources:
        members = iterate_members(source, reported_before)
        yield from units_of(members, release.locate, release.decode, wanted)


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
    stored = StoredArray(
        array.name, array.tile_shape(group.size), array.dtype, array.nodata, array.compressor
    )
    samples = {sample: index[sample] for sample in present}
    return PartPlan(name, array.name, store / name, samples, (stored,), group.shard_size)


def _attributes(release: TileRelease, mark: str, shard_size: int) -> dict[str, Any]:
    choices = json.dumps(dict(release.choices) | {"shard_size": shard_size}, sort_keys=True)
    return {
        **common_attributes(release.name, TILE_LAYOUT),
        "title": f"{release.title}, imported",
        "source": release.title,
        "simulated": False,
        "dataset_hash": f"{mark} {choices}",
        **release.attributes,
    }


def _finish_group(
    store: Path,
    name: str,
    group: TileGroup,
    ids: Sequence[str],
    release: TileRelease,
) -> list[Row]:
    work = _work_folder(store)
    optional = release.forms[name].optional
    parts = [array.name for array in group.arrays if array.name not in optional]
    records: dict[str, list[Any]] = {
        record.name: [record.fill] * len(ids) for record in group.records
    }
    rows = []
    for shard in group.shards:
        known = {array.name: read_facts(work, name, array.name, shard) for array in group.arrays}
        for sample in group.samples_of(shard):
            facts = {part: found[sample] for part, found in known.items() if sample in found}
            reason = _reason(facts, parts)
            _fill(records, sample, facts)
            records["id"][sample] = ids[sample]
            records["split"][sample] = records["split"][sample] or name
            records["reason"][sample] = reason
            rows.append(_row(name, ids[sample], facts, reason))
    valid = [not reason for reason in records["reason"]]
    if release.inspect is not None:
        records |= {k: list(v) for k, v in release.inspect(store / name, len(ids)).items()}
    finish_tiles(store, name, records, valid)
    return rows


def _reason(facts: Mapping[str, Mapping[str, Any]], parts: Sequence[str]) -> str:
    for part in parts:
        if part not in facts:
            return f"no {part}"
        if REFUSED in facts[part]:
            return f"{part} refused"
    return "radiometric offset unknown" if facts["s2"].get("s2_offset") == UNKNOWN else ""


def _fill(
    records: dict[str, list[Any]], sample: int, facts: Mapping[str, Mapping[str, Any]]
) -> None:
    for part in sorted(facts, key=lambda part: part != "s2"):
        for name in records.keys() & facts[part].keys():
            if _is_fill(records[name][sample], name):
                records[name][sample] = facts[part][name]
    placed = [known for known in facts.values() if "centre" in known]
    if placed:
        records["lon"][sample], records["lat"][sample] = _lonlat(placed[0])


def _is_fill(value: Any, name: str) -> bool:
    fill = _FILLS.get(name, value)
    return bool(value == fill or (value != value and fill != fill))


def _lonlat(placed: Mapping[str, Any]) -> tuple[float, float]:
    x, y = placed["centre"]
    if placed["epsg"] in (0, 4326):
        return (x, y) if placed["epsg"] else (float("nan"), float("nan"))
    lon, lat = crs_transformer(placed["epsg"], 4326).transform(x, y)
    return lon, lat


def _row(group: str, name: str, facts: Mapping[str, Mapping[str, Any]], reason: str) -> Row:
    texts = [known[REFUSED] for known in facts.values() if REFUSED in known]
    notes = dict.fromkeys(note for known in facts.values() for note in known.get("notes", []))
    detail = "; ".join([*texts, *notes])
    if not reason:
        return Row("sample", group, name, Outcome.IMPORTED, "", detail)
    nothing = all(REFUSED in known for known in facts.values())
    outcome = Outcome.REFUSED if nothing else Outcome.INCOMPLETE
    return Row("sample", group, name, outcome, reason, detail)
