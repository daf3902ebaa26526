"""Pairs the tiles of one shard and stores them: ``python -m pipeline.dynamic_world.fetch``.

The archive is asked once which scenes touch the tiles, then once for the pixels of each. Every tile
is staged as its own file, so a run that was cut short is continued. The shard is written only when
every tile is either complete or rejected, and its ledger after it. Tiles that the store holds
already, from when there were fewer of them, are taken over.
"""

import argparse
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipeline.dynamic_world.expert_tile import (
    ExpertTile,
    UnusableTile,
    label_from_codes,
    read_codes,
)
from pipeline.dynamic_world.pairing import Pair, TileCandidates, choose_pair, flat_sensor
from pipeline.dynamic_world.pixels import TileImages, fetch_images
from pipeline.dynamic_world.queries import ask_candidates
from pipeline.dynamic_world.staging import TileStaging
from pipeline.dynamic_world.tile_shard import (
    TileShard,
    adopt_committed,
    commit_tiles,
    read_stored,
    renew_ages,
)
from pipeline.dynamic_world.tile_table import dw_dataset, read_tiles_table
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import EarthEngineFault, Missing, name_places
from pipeline.earthengine.session import Endpoint, earth_engine
from pipeline.errors import PipelineError, run_step
from pipeline.ledger import Reason, SeasonRecord, Status, describe
from pipeline.run_lock import sole_job
from pipeline.settings.dynamic_world import DynamicWorldSettings
from pipeline.settings.tree import Settings, load_settings
from pipeline.store.tiles import LazyTiles, write_tiles

OpenClient = Callable[[Endpoint], AbstractContextManager[Client]]

_log = logging.getLogger(__name__)


def fetch_tiles(
    shard: TileShard, settings: Settings, open_client: OpenClient
) -> list[SeasonRecord]:
    """Bring one shard of expert tiles into the store.

    Args:
        shard: Which tiles, where to.
        settings: Rule and limits, and the dataset's folder.
        open_client: Opens a session on an endpoint; called only if anything is missing.

    Returns:
        One row per tile: done, or rejected with the reason; ``season`` is always 0.

    Raises:
        PipelineError: Some tiles could not be fetched; what was fetched is kept for the next run.
    """
    dataset = dw_dataset(settings)
    adopted = adopt_committed(shard, dataset)
    if len(adopted) == len(shard.tiles):
        renew_ages(shard, dataset)
        return list(adopted.values())
    name = f"{dataset}-{shard.split}-{shard.number}"
    staging = TileStaging(settings.folder / "staging_dw" / name)
    found = {tile.sample: staging.find(tile) for tile in shard.tiles}
    staged = {sample: record for sample, record in found.items() if record is not None}
    records = staged | adopted
    missing = [tile for tile in shard.tiles if tile.sample not in records]
    if missing:
        records |= _fetch_missing(missing, staging, settings.dynamic_world, open_client)
    rows = [records[tile.sample] for tile in shard.tiles]
    _refuse_failures(shard, rows)
    readers = {
        tile.sample: partial(read_stored, shard, tile.sample)
        if tile.sample in adopted
        else partial(_staged_tile, staging, tile)
        for tile, row in zip(shard.tiles, rows, strict=True)
        if row.status is Status.DONE
    }
    hashes = write_tiles(shard.store, shard.split, shard.number, LazyTiles(readers))
    commit_tiles(shard, rows, hashes, dataset)
    staging.remove()
    return rows


def pair_tile(
    tile: ExpertTile,
    found: TileCandidates,
    settings: DynamicWorldSettings,
    fetch: Callable[[Pair], TileImages],
) -> tuple[SeasonRecord, dict[str, NDArray[Any]]]:
    """Choose the scenes of a tile, fetch and check its images.

    A scene with masked pixels in the tile, whose footprint did not tell, is left out and the
    choice made again.

    Args:
        tile: Its date and grid.
        found: What the archive has.
        settings: Rule.
        fetch: Gives the images of a pair.

    Returns:
        The row of the ledger, and the arrays ``s2`` and ``s1`` as stored, none if rejected.

    Raises:
        EarthEngineFault: The images could not be fetched now.
    """
    masked: frozenset[str] = frozenset()
    while True:
        pair = choose_pair(tile.date, tile.grid.epsg, found, settings.rule, masked)
        if isinstance(pair, Reason):
            return _row(tile, found, Status.REJECTED, pair), {}
        images = fetch(pair)
        holes = {
            scene.index
            for scene, is_masked in (
                (pair.optical, images.s2_masked),
                (pair.radar, images.s1_masked),
            )
            if is_masked
        }
        if holes:
            masked |= holes
            continue
        flat = flat_sensor(images.s2, images.s1)
        status = Status.REJECTED if flat else Status.DONE
        row = _with_pair(_row(tile, found, status, flat), pair)
        return row, {} if flat else images.stored()


def _fetch_missing(
    tiles: Sequence[ExpertTile],
    staging: TileStaging,
    settings: DynamicWorldSettings,
    open_client: OpenClient,
) -> dict[int, SeasonRecord]:
    with open_client("standard") as client:
        answers = list(ask_candidates(client, tiles, settings))
    records = {
        tile.sample: _failed(tile, answer)
        for tile, answer in answers
        if isinstance(answer, EarthEngineFault)
    }
    known = [(tile, answer) for tile, answer in answers if isinstance(answer, TileCandidates)]
    started = time.monotonic()
    with open_client("high_volume") as client:

        def attempt(item: tuple[ExpertTile, TileCandidates]) -> SeasonRecord:
            tile, found = item
            return _attempt(client, tile, found, staging, settings)

        for number, ((tile, _), future) in enumerate(client.map(attempt, known), 1):
            record = records[tile.sample] = future.result()
            rate = number / max(time.monotonic() - started, 1e-6)
            _log.info(
                "%s %s; %d of %d, %.2f tiles/s",
                tile.tile_id,
                _word(record),
                number,
                len(known),
                rate,
            )
    return records


def _attempt(
    client: Client,
    tile: ExpertTile,
    found: TileCandidates,
    staging: TileStaging,
    settings: DynamicWorldSettings,
) -> SeasonRecord:
    """Pair and stage one tile; faults that end the run are raised."""

    def fetch(pair: Pair) -> TileImages:
        return fetch_images(client, pair.optical.index, pair.radar.index, tile.grid)

    try:
        record, images = pair_tile(tile, found, settings, fetch)
    except PipelineError:
        raise
    except Missing as fault:
        record, images = _row(tile, found, Status.REJECTED, fault.reason), {}
    except EarthEngineFault as fault:
        _log.warning("%s: %s", tile.tile_id, fault)
        return _row(tile, found, Status.FAILED, fault.reason)
    staging.save(tile, record, images)
    return record


def _staged_tile(staging: TileStaging, tile: ExpertTile) -> dict[str, NDArray[Any]]:
    try:
        label = label_from_codes(read_codes(tile.path))
    except UnusableTile as error:
        raise PipelineError(
            f"{tile.path} {error}, though it was listed; list the tiles again"
        ) from None
    return staging.images(tile) | {"label": label}


def _row(tile: ExpertTile, found: TileCandidates, status: Status, reason: Reason) -> SeasonRecord:
    return SeasonRecord(
        sample=tile.sample,
        location_id=tile.tile_id,
        season=0,
        window_start=found.window_start,
        window_end=found.window_end,
        status=status,
        reason=reason,
    )


def _with_pair(record: SeasonRecord, pair: Pair) -> SeasonRecord:
    return replace(
        record,
        s2_id=pair.optical.index,
        s2_time=pair.optical.time,
        cloud_cover=pair.optical.cloud_cover,
        mgrs_tile=pair.optical.mgrs_tile,
        processing_baseline=pair.optical.processing_baseline,
        s1_id=pair.radar.index,
        s1_time=pair.radar.time,
        s1_orbit_pass=pair.radar.orbit_pass,
        s1_relative_orbit=pair.radar.relative_orbit,
    )


def _failed(tile: ExpertTile, fault: EarthEngineFault) -> SeasonRecord:
    _log.warning("%s: %s", tile.tile_id, fault)
    return SeasonRecord(
        tile.sample, tile.tile_id, 0, tile.date, tile.date, Status.FAILED, fault.reason
    )


def _word(record: SeasonRecord) -> str:
    return "kept" if record.status is Status.DONE else f"{record.status} ({record.reason})"


def _refuse_failures(shard: TileShard, rows: Sequence[SeasonRecord]) -> None:
    failed = [row for row in rows if row.status is Status.FAILED]
    if not failed:
        return
    counts = Counter(row.reason.value for row in failed)
    reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.most_common())
    raise PipelineError(
        f"{shard.split} shard {shard.number}: {len(failed)} of {len(rows)} tiles could not be "
        f"fetched ({reasons}): {name_places([row.location_id for row in failed])}; "
        "run the same command again"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch one shard of tiles from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dynamic_world.fetch")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--tiles", type=Path, required=True, help="table of all tiles")
    parser.add_argument("--split", choices=["train", "test"], required=True, help="which group")
    parser.add_argument("--shard", type=int, required=True, help="which shard of it")
    parser.add_argument("--slots", type=int, required=True, help="pixel requests in flight")
    parser.add_argument(
        "--selection-slots", type=int, default=1, help="selection requests in flight"
    )
    parser.add_argument("--store", type=Path, required=True, help="store to write to")
    parser.add_argument("--ledger", type=Path, required=True, help="commit record to write")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = load_settings(options.settings)
    tiles = read_tiles_table(options.tiles)
    size = settings.dynamic_world.shard_size
    mine = [
        tile
        for tile in tiles
        if tile.split == options.split and tile.sample // size == options.shard
    ]
    shard = TileShard(options.split, options.shard, mine, options.store, options.ledger)
    source = "simulated Earth" if settings.simulated else "Google Earth Engine"
    _log.info("%s shard %d of %s (%s)", shard.split, shard.number, shard.store, source)

    def open_client(endpoint: Endpoint) -> AbstractContextManager[Client]:
        slots = options.selection_slots if endpoint == "standard" else options.slots
        return earth_engine(settings, endpoint, slots)

    with sole_job(settings.folder / "staging_dw" / options.split, options.shard):
        records = fetch_tiles(shard, settings, open_client)
    _log.info("%s shard %d: %s", shard.split, shard.number, describe(records))


if __name__ == "__main__":
    run_step(main)
