"""The tables of the page on formats, from stores that are laid out for the purpose.

``python -m pipeline.metadata.formats docs/formats.md`` replaces everything between
``<!-- table: NAME -->`` and ``<!-- end -->``; a test fails while the page and the code differ.
"""

import argparse
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.atomic_file import write_atomically
from pipeline.dynamic_world.store import DW_ARRAYS
from pipeline.errors import PipelineError, run_step
from pipeline.importers import eurosat, ssl4eo
from pipeline.importers.dfc2020 import dfc2020_release
from pipeline.importers.eurosat import eurosat_release
from pipeline.importers.noldo_tiles import noldo_tiles
from pipeline.importers.seasonal_store import Form, SeasonalStore
from pipeline.importers.ssl4eo_files import PATCH_PIXELS
from pipeline.importers.tile_import import TileRelease
from pipeline.metadata.sources import sources_of
from pipeline.metadata.store_facts import ArrayFacts, GroupFacts, StoreFacts, read_store_facts
from pipeline.osm_landuse.store import OSM_ARRAYS, OSM_RECORDS
from pipeline.settings.tree import Settings
from pipeline.store.create import create_store
from pipeline.store.description import common_attributes
from pipeline.store.layout import RecordArray
from pipeline.store.sample_index import COLUMN_DESCRIPTIONS, CORE_FIELDS
from pipeline.store.tile_layout import (
    TILE_LAYOUT,
    TILE_RECORDS,
    TILES_PER_SHARD,
    TileArray,
    TileGroup,
)
from pipeline.store.tiles import create_tile_store

_BLOCK = re.compile(r"<!-- table: ([a-z0-9_]+) -->\n.*?<!-- end -->", re.DOTALL)
_COUNT = 250_000
"""Samples of the stores that are laid out; printed as N."""

_IDENTITY: dict[str, Any] = {"title": "", "source": "", "simulated": False, "dataset_hash": ""}


def page_with_tables(page: str) -> str:
    """A page with every table as the code has it now.

    Raises:
        PipelineError: It asks for a table that there is not.
    """
    return _BLOCK.sub(
        lambda match: f"<!-- table: {match[1]} -->\n{_table(match[1])}\n<!-- end -->", page
    )


def _table(name: str) -> str:
    if name == "index":
        return _index_table()
    if name == "licences":
        return _licence_table()
    kind, _, part = name.rpartition("_")
    if kind not in _LAYOUTS or part not in ("pixels", "records", "attributes"):
        known = ", ".join(f"{one}_pixels" for one in _LAYOUTS)
        raise PipelineError(f"no table {name}; there are index, licences, {known}, …")
    store = _laid_out(kind)
    if part == "attributes":
        return ", ".join(f"`{name}`" for name in sorted(_attributes(store)))
    return _pixel_table(store) if part == "pixels" else _record_table(store)


@cache
def _laid_out(kind: str) -> StoreFacts:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{kind}.zarr"
        _LAYOUTS[kind](path)
        return read_store_facts(path)


def _native(path: Path) -> None:
    create_store(path, Settings(), _COUNT)


def _tiles(
    arrays: tuple[TileArray, ...], records: tuple[RecordArray, ...], padded: bool
) -> Callable[[Path], None]:
    tiles = Settings().dynamic_world
    shard_size = tiles.shard_size
    sizes = {"train": tiles.train_pixels, "test": tiles.test_pixels}
    if padded:
        sizes = dict.fromkeys(sizes, max(sizes.values()))

    def lay_out(path: Path) -> None:
        whole = path.name == "osm.zarr"
        groups = {
            name: TileGroup(
                _COUNT, max(sizes.values()) if whole else size, arrays, records, shard_size
            )
            for name, size in sizes.items()
        }
        kind = path.name.removesuffix(".zarr")
        create_tile_store(path, groups, common_attributes(kind, TILE_LAYOUT) | _IDENTITY)

    return lay_out


def _released(release: TileRelease, shard_size: int) -> Callable[[Path], None]:
    def lay_out(path: Path) -> None:
        groups = {
            name: TileGroup(_COUNT, form.size, form.arrays, form.records, shard_size)
            for name, form in release.forms.items()
        }
        create_tile_store(path, groups, common_attributes(release.name, TILE_LAYOUT) | _IDENTITY)

    return lay_out


def _seasonal(form: Form) -> Callable[[Path], None]:
    def lay_out(path: Path) -> None:
        SeasonalStore(path, form, _COUNT, PATCH_PIXELS, ssl4eo.SHARD_SIZE).create(dict(_IDENTITY))

    return lay_out


_LAYOUTS: dict[str, Callable[[Path], None]] = {
    "nol": _native,
    "dw": _tiles(DW_ARRAYS, TILE_RECORDS, padded=False),
    "osm": _tiles(OSM_ARRAYS, OSM_RECORDS, padded=True),
    "ssl4eo_native": _seasonal("native"),
    "ssl4eo_cube": _seasonal("cube"),
    "noldo_dw": _released(noldo_tiles("dw", True, "released"), TILES_PER_SHARD),
    "noldo_osm": _released(noldo_tiles("osm", True, "released"), TILES_PER_SHARD),
    "dfc2020": _released(dfc2020_release(True), TILES_PER_SHARD),
    "eurosat": _released(eurosat_release(True), eurosat.SHARD_SIZE),
}
"""How an empty store of each kind is laid out."""


def _pixel_table(store: StoreFacts) -> str:
    rows = ["| array | axes | shape | type | no data | chunk | shard | codecs |"]
    rows += ["|---|---|---|---|---|---|---|---|"]
    for group in store.groups:
        for array in group.pixels:
            rows.append(_pixel_row(group, array))
    return "\n".join(rows)


def _pixel_row(group: GroupFacts, array: ArrayFacts) -> str:
    cells = [
        f"`{'/'.join(filter(None, [group.name, array.name]))}`",
        ", ".join(array.dimensions),
        _shape(array.shape),
        array.dtype,
        str(array.nodata),
        _shape(array.chunk),
        _shape(array.shard or array.chunk),
        ", ".join(array.codecs),
    ]
    return "| " + " | ".join(cells) + " |"


def _record_table(store: StoreFacts) -> str:
    """One row per array of records; groups of a store have the same."""
    rows = ["| array | axes | type | fill value | what |", "|---|---|---|---|---|"]
    for array in store.groups[0].records:
        units = array.attributes.get("units")
        what = array.long_name + (f" ({units})" if units else "")
        fill = "empty" if array.nodata == "" else str(array.nodata)
        rows.append(
            f"| `{array.name}` | {', '.join(array.dimensions)} | {array.dtype} | {fill} | {what} |"
        )
    return "\n".join(rows)


def _attributes(store: StoreFacts) -> set[str]:
    return set(store.attributes) | {name for group in store.groups for name in group.attributes}


def _index_table() -> str:
    rows = ["| column | type | what |", "|---|---|---|"]
    rows += [
        f"| `{column.name}` | {_type_name(column.type)} | {COLUMN_DESCRIPTIONS[column.name]} |"
        for column in CORE_FIELDS
    ]
    return "\n".join(rows)


def _licence_table() -> str:
    rows = ["| store | source | arrays | terms | share-alike |", "|---|---|---|---|---|"]
    for kind in ("nol", "dw", "osm", "ssl4eo", "noldo_dw", "noldo_osm", "dfc2020", "eurosat"):
        for source in sources_of(kind):
            arrays = ", ".join(f"`{name}`" for name in source.arrays)
            terms = f"[{source.licence}]({source.licence_url})"
            cited = f"[{source.data}]({source.url})"
            rows.append(f"| `{kind}.zarr` | {cited} | {arrays} | {terms} | {source.share_alike} |")
    return "\n".join(rows)


def _type_name(kind: pa.DataType) -> str:
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def _shape(lengths: tuple[int, ...]) -> str:
    return " × ".join("N" if length == _COUNT else str(length) for length in lengths)


def main(arguments: Sequence[str] | None = None) -> None:
    """Bring the tables of a page up to date."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.metadata.formats")
    parser.add_argument("page", type=Path, help="Markdown page with tables to replace")
    options = parser.parse_args(arguments)
    page = options.page.read_text(encoding="utf-8")
    write_atomically(options.page, page_with_tables(page).encode())


if __name__ == "__main__":
    run_step(main)
