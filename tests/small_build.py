"""A finished build of a few tiny samples in all three stores, made without any service."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from pipeline.dynamic_world.store import DW_ARRAYS
from pipeline.finish import finish_store
from pipeline.grid import patch_grid
from pipeline.ledger import Reason, Status
from pipeline.locations.location import Location
from pipeline.locations.table import write_locations
from pipeline.osm_landuse.agreement import Verdict, measure_agreement
from pipeline.osm_landuse.store import OSM_ARRAYS, OSM_RECORDS
from pipeline.osm_landuse.tile_table import TileRow, write_tile_table
from pipeline.report import label_sums
from pipeline.season_pixels import SeasonPixels
from pipeline.settings.tree import Settings, validate_settings
from pipeline.statistics import main as write_statistics
from pipeline.store.commit import write_commit
from pipeline.store.create import create_store
from pipeline.store.description import common_attributes
from pipeline.store.sample_index import index_store
from pipeline.store.shards import write_shard
from pipeline.store.tile_layout import TILE_LAYOUT, TILE_RECORDS, TileGroup
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles
from tests.small_dataset import SHARD_SIZE, make_location, make_pixels, make_rows

PATCH = 24
COUNT = 8
REJECTED = {2: Reason.CLOUD, 5: Reason.NODATA}
TILE = 30
DW_TILES = {"train": 5, "test": 3}
DW_INVALID = {("train", 1): "nodata"}
OSM_TILES = {"train": 2, "test": 2}
_HOUR_MS = 3_600_000


def make_build(
    results: Path,
    patch: int = PATCH,
    season_pixels: Callable[[int, int], SeasonPixels] | None = None,
    tile_pixels: Callable[[str, int], dict[str, NDArray]] | None = None,
) -> Settings:
    """Everything the report reads, below ``<results>/small``.

    Args:
        results: Folder.
        patch: Pixels of a patch.
        season_pixels: Of a sample and season; by default noise.
        tile_pixels: Of a split and sample of ``dw.zarr``; by default noise.
    """
    settings = validate_settings(
        {
            "name": "small",
            "results": str(results),
            "grid": {"pixels": patch},
            "store": {"shard_size": SHARD_SIZE},
            "locations": {"sampler": "points", "table": "places.csv", "count": None},
        }
    )
    folder = settings.folder
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    _make_nol(settings, season_pixels or _season)
    _make_dw(folder, tile_pixels or _dw_tile)
    _make_osm(folder, tile_pixels or _dw_tile)
    _make_records(folder)
    stores = [str(folder / f"{name}.zarr") for name in ("nol", "dw", "osm")]
    label_sums.main([*stores, "--output", str(folder / "report" / "label_sums.json")])
    return settings


def _make_nol(settings: Settings, season_pixels) -> None:
    patch = settings.grid.pixels
    folder, store = settings.folder, settings.folder / "nol.zarr"
    create_store(store, settings, COUNT)
    places = [make_location(sample, patch, SHARD_SIZE) for sample in range(COUNT)]
    places = [_moved(place, 15 + 0.2 * place.sample, 47 + 0.1 * place.sample) for place in places]
    write_locations(folder / "locations.parquet", places)
    for shard in range(COUNT // SHARD_SIZE):
        samples = range(SHARD_SIZE * shard, SHARD_SIZE * (shard + 1))
        kept = [sample for sample in samples if sample not in REJECTED]
        pixels = {(sample, s): season_pixels(sample, s) for sample in kept for s in range(4)}
        hashes = write_shard(store, shard, pixels)
        rows = [row for sample in samples for row in _nol_rows(sample)]
        ledger = folder / "shards" / f"{shard}.parquet"
        write_commit(ledger, rows, store, hashes, settings.dataset_hash())
    index, locations = folder / "nol.index.parquet", folder / "locations.parquet"
    finish_store(settings, store, folder / "shards", locations, index)
    write_statistics(["--store", str(store), "--output", str(folder / "nol.statistics.json")])


def _moved(place: Location, lon: float, lat: float) -> Location:
    return replace(place, lon=lon, lat=lat, grid=patch_grid(lon, lat, place.grid.width))


def _season(sample, season):
    """Pixels with labels that partly stay from season to season and are partly unknown."""
    pixels = make_pixels(sample, season, PATCH)
    label = pixels.label.copy()
    label[: PATCH // 2] = sample % 9
    label[-season - 1 :] = 255
    return replace(pixels, label=label)


def _nol_rows(sample):
    rows = [
        replace(
            row,
            status=Status.DONE,
            s2_time=row.s2_time + 90 * 24 * _HOUR_MS * row.season,
            s1_time=row.s2_time + (90 * row.season + sample - 2) * 24 * _HOUR_MS,
        )
        for row in make_rows(sample)
    ]
    if sample in REJECTED:
        lost = {"status": Status.REJECTED, "s2_time": 0, "s1_time": 0, "cloud_cover": None}
        rows = [replace(row, reason=Reason.OTHER_SEASON, **lost) for row in rows]
        rows[1] = replace(rows[1], reason=REJECTED[sample])
    return rows


def _make_dw(folder: Path, tile_pixels) -> None:
    groups = {split: TileGroup(count, TILE, DW_ARRAYS) for split, count in DW_TILES.items()}
    store = folder / "dw.zarr"
    create_tile_store(store, groups, _attributes("dw", "expert labels"))
    for split, count in DW_TILES.items():
        valid = [(split, sample) not in DW_INVALID for sample in range(count)]
        tiles = {sample: tile_pixels(split, sample) for sample in range(count) if valid[sample]}
        write_tiles(store, split, 0, tiles)
        records = _records(split, count)
        records["reason"] = [DW_INVALID.get((split, sample), "") for sample in range(count)]
        finish_tiles(store, split, records, valid)
    index_store(store, folder / "dw.index.parquet")


def _make_osm(folder: Path, tile_pixels) -> None:
    groups = {
        split: TileGroup(count, TILE, OSM_ARRAYS, OSM_RECORDS) for split, count in OSM_TILES.items()
    }
    store = folder / "osm.zarr"
    create_tile_store(store, groups, _attributes("osm", "OSM land use"))
    rows = [TileRow("train-4", "train", "", Verdict.EMPTY, 0, 0, float("nan"), 0, "", "", "", "")]
    for split, count in OSM_TILES.items():
        chosen = [sample for sample in range(DW_TILES[split]) if (split, sample) not in DW_INVALID]
        tiles = {}
        for position, sample in enumerate(chosen[:count]):
            dw = tile_pixels(split, sample)
            osm = np.random.default_rng(sample).integers(0, 13, (TILE, TILE), np.uint8)
            osm[:4] = 255
            tiles[position] = dw | {"label": osm, "label_dw": dw["label"]}
            found = measure_agreement(osm, dw["label"])
            shares = (found.osm_share, found.joint_share, found.share)
            row = (f"{split}-{sample}", split, split, Verdict.KEPT, *shares, 0.0, "", "", "", "")
            rows.append(TileRow(*row))
        write_tiles(store, split, 0, tiles)
        records = _records(split, DW_TILES[split])
        records = {name: [values[s] for s in chosen[:count]] for name, values in records.items()}
        kept = [row for row in rows if row.split == split]
        records["agreement"] = [row.agreement for row in kept]
        finish_tiles(store, split, records, [True] * count)
    write_tile_table(folder / "osm.tiles.csv", rows)


def _dw_tile(split, sample):
    rng = np.random.default_rng([len(split), sample])
    label = rng.integers(0, 9, (TILE, TILE), np.uint8)
    label[:, :3] = 255
    return {
        "s2": rng.integers(1, 10_000, (13, TILE, TILE), np.uint16),
        "s1": rng.integers(-2500, 500, (2, TILE, TILE), np.int16),
        "label": label,
    }


def _records(split, count):
    """Records of the tiles of one group, by name."""
    day = int(dt.datetime(2020, 5, 1, 10, tzinfo=dt.UTC).timestamp() * 1000)
    samples = range(count)
    shift = 0 if split == "train" else 5
    lonlat = [(15.0 + 0.1 * (s + shift), 47.5 + 0.05 * (s + shift)) for s in samples]
    grids = [patch_grid(lon, lat, TILE) for lon, lat in lonlat]
    known = {
        "id": [f"{split}-{sample}" for sample in samples],
        "lon": [lon for lon, _ in lonlat],
        "lat": [lat for _, lat in lonlat],
        **{name: [getattr(grid, name) for grid in grids] for name in ("epsg", "left", "top")},
        "split": [split] * count,
        "s2_time": [day + 30 * 24 * _HOUR_MS * sample for sample in samples],
        "s1_time": [day + (30 * sample + 4) * 24 * _HOUR_MS for sample in samples],
        "cloud_cover": [3.0 * sample for sample in samples],
    }
    empty = {array.name: array for array in TILE_RECORDS if array.name not in known}
    return known | {name: [array.fill] * count for name, array in empty.items() if name != "valid"}


def _attributes(store, title):
    return common_attributes(store, TILE_LAYOUT) | {
        "title": f"SIMULATED {title}",
        "source": "made for tests",
        "simulated": True,
        "dataset_hash": "0123456789abcdef",
    }


def _make_records(folder: Path) -> None:
    """What the build left behind about its own making."""
    usage = {
        "requests": {"pixels": 41, "selection": 2},
        "reserved": {"pixels": 41, "selection": 2},
        "retries": {"Quota": 3, "TimedOut": 1},
        "bytes_sent": 1234,
        "bytes_received": 5_678_901,
    }
    (folder / "usage").mkdir()
    (folder / "usage" / "requests.json").write_text(json.dumps(usage))
    shards = folder / "benchmarks" / "shards"
    shards.mkdir(parents=True)
    for shard, seconds in enumerate((12.5, 30.0)):
        text = f"s\th:m:s\tmax_rss\n{seconds}\t0:00:30\t{100 + shard}\n"
        (shards / f"{shard}.tsv").write_text(text)
