"""Makes ``osm.zarr`` from the fetched pictures: ``python -m pipeline.osm_landuse.build``.

Decodes every picture, compares it with the experts' label, keeps or drops the tile, splits the kept
ones, pads them to one size and writes the store, the table that lists every tile with the reason,
and the page on which a person reviews the test tiles. The store is made beside its place and takes
it when it is whole: pictures are kept, so all of it can be made again at any time.
"""

import argparse
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.dynamic_world.tile_table import PAIRED_RECORDS
from pipeline.errors import PipelineError, run_step
from pipeline.finish import summary_text
from pipeline.gallery import OPTICAL_RANGE
from pipeline.osm_landuse.agreement import Verdict
from pipeline.osm_landuse.assess import Assessment, assess_tile, conclude
from pipeline.osm_landuse.dw_tiles import ImagedTile, imaged_tiles, read_dw_tile
from pipeline.osm_landuse.fetch import tile_path
from pipeline.osm_landuse.review import ReviewTile, write_review
from pipeline.osm_landuse.store import (
    OSM_ARRAYS,
    OSM_RECORDS,
    is_simulated,
    osm_attributes,
    padded_grid,
    padded_tile,
)
from pipeline.osm_landuse.tile_table import TileRow, write_tile_table
from pipeline.osm_landuse.vetoes import Veto, read_vetoes, veto_rows
from pipeline.progress import told
from pipeline.settings.tree import Settings, load_settings
from pipeline.store.create import read_attributes
from pipeline.store.reader import open_encoded, open_store
from pipeline.store.tile_layout import TILE_LAYOUT, TileGroup
from pipeline.store.tiles import LazyTiles, create_tile_store, finish_tiles, write_tiles

_SPLITS = ("train", "test")
_FROM_DW = ("label_date", *PAIRED_RECORDS)
"""Records taken over from ``dw.zarr``."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OsmBuild:
    """What a build reads and where its results go.

    Attributes:
        settings: Of the dataset.
        dw_store: Finished ``dw.zarr``.
        pictures: Folder of the fetched pictures.
        store: Folder of ``osm.zarr``.
        table: CSV of all tiles.
        review: Folder of the review page.
        threads: Tiles worked on at the same time.
    """

    settings: Settings
    dw_store: Path
    pictures: Path
    store: Path
    table: Path
    review: Path
    threads: int


@dataclass(frozen=True)
class _KeptTile:
    """A tile of the store and its row of the table."""

    tile: ImagedTile
    row: TileRow


def build_osm(build: OsmBuild) -> str:
    """Make the store, the table and the review page.

    Returns:
        The summary of verdicts, as text.

    Raises:
        PipelineError: A picture is missing, the numbering is implausible, no tile is left for a
            split, the vetoes are no vetoes, or something else is at the store's place.
    """
    _refuse_foreign(build.store)
    section = build.settings.osm_landuse
    vetoes = read_vetoes(section.vetoes) if section.vetoes is not None else {}
    tiles = imaged_tiles(build.dw_store)
    for unknown in sorted(vetoes.keys() - {tile.tile_id for tile in tiles}):
        _log.warning("the vetoes name %s, which is no tile with imagery", unknown)
    with _workplace(build.store) as workplace:
        labels = workplace / "labels"
        assessments = _assess(build, tiles, vetoes, labels)
        rows = conclude(assessments, section, build.settings.seed)
        by_id = {tile.tile_id: tile for tile in tiles}
        kept = {
            split: sorted(
                (_KeptTile(by_id[row.tile_id], row) for row in rows if row.split == split),
                key=lambda one: one.tile.tile_id,
            )
            for split in _SPLITS
        }
        _refuse_empty(kept, rows)
        new = workplace / build.store.name
        encoded = {split: open_encoded(build.dw_store, split) for split in _SPLITS}
        _write_store(build, new, kept, labels, encoded)
        write_tile_table(build.table, rows)
        decided = veto_rows(section.vetoes) if section.vetoes else []
        reviewed = _review_tiles(kept["test"], labels, encoded)
        write_review(build.review, reviewed, decided, is_simulated(build.settings))
        _take_place(new, build.store)
    verdicts = Counter(row.verdict for row in rows)
    counts = Counter({verdict.value: count for verdict, count in verdicts.items()})
    title = str((read_attributes(build.store) or {})["title"])
    split = ", ".join(f"{len(kept[name])} {name}" for name in _SPLITS)
    return summary_text(title, counts, "tiles") + f"split: {split}\n"


def _assess(
    build: OsmBuild, tiles: Sequence[ImagedTile], vetoes: dict[str, Veto], labels: Path
) -> list[Assessment]:
    """Decode and judge every tile; the labels of those that are kept go to files."""
    datasets = {split: open_store(build.dw_store, split) for split in _SPLITS}
    labels.mkdir()

    def assess(tile: ImagedTile) -> Assessment:
        dw_tile = read_dw_tile(datasets[tile.published_split], tile)
        try:
            one, label = assess_tile(dw_tile, build.pictures, build.settings.osm_landuse, vetoes)
        except FileNotFoundError:
            raise PipelineError(
                f"the picture of tile {tile.tile_id} is not in {build.pictures}; fetch the "
                "pictures again"
            ) from None
        if one.verdict is Verdict.KEPT:
            np.save(tile_path(labels, tile.tile_id, ".npy"), label, allow_pickle=False)
        return one

    with ThreadPoolExecutor(build.threads) as pool:
        return list(told(pool.map(assess, tiles), "decoding pictures", len(tiles)))


def _write_store(
    build: OsmBuild,
    path: Path,
    kept: Mapping[str, Sequence[_KeptTile]],
    labels: Path,
    datasets: Mapping[str, xr.Dataset],
) -> None:
    size = max(dataset.sizes["y"] for dataset in datasets.values())
    shard_size = build.settings.dynamic_world.shard_size
    groups = {
        split: TileGroup(len(kept[split]), size, OSM_ARRAYS, OSM_RECORDS, shard_size)
        for split in _SPLITS
    }
    create_tile_store(path, groups, osm_attributes(build.settings, build.dw_store))
    for split, group in groups.items():
        readers = [
            partial(_stored_tile, build.settings, one, labels, datasets, size)
            for one in kept[split]
        ]
        write = partial(_write_shard, path, split, group, readers)
        with ThreadPoolExecutor(build.threads) as pool:
            list(told(pool.map(write, group.shards), f"{split} shards", len(group.shards)))
        columns = _columns(kept[split], datasets, split, size)
        finish_tiles(path, split, columns, [True] * group.count)


def _write_shard(
    path: Path,
    split: str,
    group: TileGroup,
    readers: Sequence[Callable[[], Mapping[str, NDArray[Any]]]],
    shard: int,
) -> None:
    mine = {sample: readers[sample] for sample in group.samples_of(shard)}
    write_tiles(path, split, shard, LazyTiles(mine))


def _stored_tile(
    settings: Settings,
    one: _KeptTile,
    labels: Path,
    datasets: Mapping[str, xr.Dataset],
    size: int,
) -> dict[str, NDArray[Any]]:
    source = datasets[one.tile.published_split]
    images = {name: source[name][one.tile.sample].to_numpy() for name in ("s2", "s1")}
    label_dw = source["label"][one.tile.sample].to_numpy()
    both = {"label": _label(labels, one.tile), "label_dw": label_dw}
    return padded_tile(images, both, settings.osm_landuse, size)


def _label(labels: Path, tile: ImagedTile) -> NDArray[np.uint8]:
    label: NDArray[np.uint8] = np.load(tile_path(labels, tile.tile_id, ".npy"), allow_pickle=False)
    return label


def _columns(
    kept: Sequence[_KeptTile], datasets: Mapping[str, xr.Dataset], split: str, size: int
) -> dict[str, list[Any]]:
    """Records of a group by name."""
    grids = [padded_grid(one.tile.grid, size) for one in kept]
    columns: dict[str, list[Any]] = {
        "id": [one.tile.tile_id for one in kept],
        "lon": [grid.centre_lonlat[0] for grid in grids],
        "lat": [grid.centre_lonlat[1] for grid in grids],
        "epsg": [grid.epsg for grid in grids],
        "left": [grid.left for grid in grids],
        "top": [grid.top for grid in grids],
        "split": [split] * len(kept),
        "agreement": [one.row.agreement for one in kept],
        "joint_share": [one.row.joint_share for one in kept],
        "osm_share": [one.row.osm_share for one in kept],
        "published_split": [one.tile.published_split for one in kept],
        "picture_sha256": [one.row.picture_sha256 for one in kept],
    }
    for name in _FROM_DW:
        values = {source: dataset[name].to_numpy() for source, dataset in datasets.items()}
        columns[name] = [values[one.tile.published_split][one.tile.sample] for one in kept]
    return columns


def _review_tiles(
    kept: Sequence[_KeptTile], labels: Path, datasets: Mapping[str, xr.Dataset]
) -> Iterator[ReviewTile]:
    for one in kept:
        source = datasets[one.tile.published_split]
        bands = source["s2"][one.tile.sample].sel(band_s2=["B4", "B3", "B2"]).to_numpy()
        label_dw = source["label"][one.tile.sample].to_numpy()
        yield ReviewTile(
            one.tile.tile_id, _natural_colour(bands), _label(labels, one.tile), label_dw
        )


def _natural_colour(bands: NDArray[np.uint16]) -> NDArray[np.uint8]:
    low, high = OPTICAL_RANGE
    share = np.clip((np.moveaxis(bands, 0, -1) - low) / (high - low), 0.0, 1.0)
    return (share * 255.0 + 0.5).astype(np.uint8)


def _refuse_empty(kept: Mapping[str, Sequence[_KeptTile]], rows: Sequence[TileRow]) -> None:
    for split, tiles in kept.items():
        if not tiles:
            verdicts = Counter(row.verdict.value for row in rows)
            told = ", ".join(f"{name} {count}" for name, count in verdicts.most_common())
            raise PipelineError(
                f"no {split} tile is left of {len(rows)} ({told}); lower "
                "osm_landuse.min_agreement or min_joint_share, change test_tiles, or add tiles"
            )


def _refuse_foreign(store: Path) -> None:
    layout = (read_attributes(store) or {}).get("layout")
    empty = not store.exists() or (store.is_dir() and not any(store.iterdir()))
    if not empty and layout != TILE_LAYOUT:
        raise PipelineError(
            f"{store} exists and is not a store of ours; choose another name in the settings or "
            "move it away"
        )


@contextmanager
def _workplace(store: Path) -> Iterator[Path]:
    """An empty folder beside the store, which goes at the end; a killed build's is cleared."""
    folder = store.with_name(f".{store.name}.building")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_place(new: Path, place: Path) -> None:
    """Put a finished store where an earlier one may be; what is read is the one or the other."""
    earlier = new.with_name("earlier")
    if place.exists():
        place.rename(earlier)
    new.rename(place)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.osm_landuse.build")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--dw-store", type=Path, required=True, help="finished dw.zarr")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--store", type=Path, required=True, help="store to make")
    parser.add_argument("--table", type=Path, required=True, help="table of all tiles (CSV)")
    parser.add_argument("--review", type=Path, required=True, help="folder of the review page")
    parser.add_argument("--summary", type=Path, required=True, help="summary to write (text)")
    parser.add_argument("--threads", type=int, default=1, help="tiles worked on at the same time")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    build = OsmBuild(
        load_settings(options.settings),
        options.dw_store,
        options.pictures,
        options.store,
        options.table,
        options.review,
        options.threads,
    )
    text = build_osm(build)
    write_atomically(options.summary, text.encode())
    print(text, end="")


if __name__ == "__main__":
    run_step(main)
