"""What a build will cost, before anything is fetched: ``python -m pipeline.plan``.

Counted is what earlier steps have written down: once the selection is made, the requests are exact,
but for those that a location with unfit pixels saves and those that have to be sent again.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.errors import run_step
from pipeline.plan_facts import (
    Amount,
    TileCount,
    batches,
    expert_tiles,
    kept_locations,
    paired_tiles,
    picture_requests,
    shard_sizes,
)
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings, load_settings

COMPRESSED_SHARE = 0.63
"""Stored bytes per native byte: imagery of one real place, made-up labels (docs/codecs.md)."""

REQUEST_BYTES_PER_PIXEL = 31
"""13 bands of 2 bytes, two of 2 bytes, one of 1 byte, all at 10 m in one answer."""

TILE_REQUEST_BYTES_PER_PIXEL = 15 * 4
"""13 bands of Sentinel-2 and two of Sentinel-1, resampled by the service to 4-byte numbers."""

TILE_BYTES_PER_PIXEL = 31
"""The same as stored, and a label of one byte."""

AROUND_S = 10.0
"""What a build takes besides waiting for answers, seconds: Snakemake, the places, the first and the
last jobs, the index. Measured with ``tests/benchmarks/bench_build.py`` on four cores."""

USUAL_SLOTS = 40
"""Requests that a project may have in flight on the high-volume endpoint. Source:
https://developers.google.com/earth-engine/guides/usage."""


@dataclass(frozen=True)
class BuildPlan:
    """The cost of ``nol.zarr``.

    Attributes:
        locations: Candidates.
        kept: Locations that the selection keeps.
        shards: Jobs of each kind.
        selection_requests: Requests to the standard endpoint.
        pixel_requests: Requests to the high-volume endpoint.
        download_gb: Expected uncompressed bytes of all answers, 1e9 bytes.
        store_gb: Expected size on disk, 1e9 bytes.
        eecu_hours: Estimated compute, Earth Engine compute-unit hours.
        seconds: Expected wall time at the configured slots; None if nobody knows what an answer
            takes.
    """

    locations: int
    kept: Amount
    shards: int
    selection_requests: int
    pixel_requests: Amount
    download_gb: float
    store_gb: float
    eecu_hours: float
    seconds: float | None


@dataclass(frozen=True)
class TilePlan:
    """The cost of ``dw.zarr`` and ``osm.zarr``.

    Attributes:
        count: Expert tiles.
        selection_requests: Requests to the standard endpoint.
        pixel_requests: Requests to the high-volume endpoint, one for each tile with imagery; with
            the rule ``covering`` one more for each scene that turns out to have holes.
        download_gb: Expected uncompressed bytes of the imagery, 1e9 bytes.
        store_gb: Expected size of ``dw.zarr`` on disk, 1e9 bytes.
        eecu_hours: Estimated compute, Earth Engine compute-unit hours.
        seconds: Expected wall time of ``dw.zarr``; None if nobody knows what an answer takes.
        picture_requests: Requests for land-use pictures. Not counted are the capabilities and the
            legend of the service.
        picture_seconds: Least time that the polite rate of these requests takes.
    """

    count: TileCount
    selection_requests: int
    pixel_requests: Amount
    download_gb: float
    store_gb: float
    eecu_hours: float
    seconds: float | None
    picture_requests: Amount
    picture_seconds: float


def plan_build(settings: Settings, sizes: list[int], kept: Amount) -> BuildPlan:
    """Count the requests, bytes, compute and time of ``nol.zarr``.

    Every kept location costs four pixel requests, every started batch of a shard one selection
    request. Selection overlaps with pixels, so the slower of the two sets the time; before the
    first pixels one selection is waited for, and the last answers are waited for with idle slots.

    Args:
        settings: Batches, slots, patch, assumptions.
        sizes: Locations of each shard.
        kept: How many of them the selection keeps.
    """
    engine = settings.earthengine
    selection_requests = batches(sizes, engine.selection_batch)
    pixel_requests = kept.times(SEASONS)
    expected, pixels = pixel_requests.expected, settings.grid.pixels
    return BuildPlan(
        locations=sum(sizes),
        kept=kept,
        shards=len(sizes),
        selection_requests=selection_requests,
        pixel_requests=pixel_requests,
        download_gb=expected * pixels**2 * REQUEST_BYTES_PER_PIXEL / 1e9,
        store_gb=expected * native_bytes(pixels) * COMPRESSED_SHARE / 1e9,
        eecu_hours=expected * engine.eecu_seconds_per_request / 3600,
        seconds=_seconds(settings, selection_requests, expected),
    )


def plan_tiles(settings: Settings, count: TileCount, paired: Amount, pictures: Amount) -> TilePlan:
    """Count the requests, bytes, compute and time of the expert tiles.

    Args:
        settings: Batches, slots, size of a tile, polite rate.
        count: How many tiles there are.
        paired: How many of them get imagery.
        pictures: Requests for land-use pictures.
    """
    engine, pixels = settings.earthengine, settings.dynamic_world.train_pixels**2
    selection_requests = batches(count.shards, settings.dynamic_world.selection_batch)
    expected = paired.expected
    return TilePlan(
        count=count,
        selection_requests=selection_requests,
        pixel_requests=paired,
        download_gb=expected * pixels * TILE_REQUEST_BYTES_PER_PIXEL / 1e9,
        store_gb=expected * pixels * TILE_BYTES_PER_PIXEL * COMPRESSED_SHARE / 1e9,
        eecu_hours=expected * engine.eecu_seconds_per_request / 3600,
        seconds=_seconds(settings, selection_requests, expected),
        picture_requests=pictures,
        picture_seconds=pictures.expected / settings.osm_landuse.requests_per_second,
    )


def planned_tiles(settings: Settings) -> TilePlan | None:
    """The plan of the expert tiles, as far as they are known; None if nobody can know of them."""
    count = expert_tiles(settings)
    if count is None:
        return None
    paired = paired_tiles(settings, count.tiles)
    return plan_tiles(settings, count, paired, picture_requests(settings, paired))


def latencies(settings: Settings) -> tuple[float, float] | None:
    """Seconds that a selection and a pixel request take.

    None for a simulated Earth that answers as fast as this machine computes.
    """
    if settings.earthengine.service != "simulated":
        return settings.plan.selection_latency_s, settings.plan.pixel_latency_s
    latency_s = settings.simulator.latency_s
    return (latency_s, latency_s) if latency_s else None


def _seconds(settings: Settings, selection_requests: int, pixel_requests: int) -> float | None:
    waits = latencies(settings)
    if waits is None:
        return None
    selection_s, pixel_s = waits
    engine = settings.earthengine
    selecting = selection_requests * selection_s / engine.selection_slots
    fetching = pixel_requests * pixel_s / engine.slots
    return AROUND_S + selection_s + max(selecting, fetching) + pixel_s


def native_bytes(pixels: int) -> int:
    """Uncompressed bytes of one season at native resolution; ``pixels`` per side at 10 m."""
    s2 = 2 * (4 * pixels**2 + 6 * (pixels // 2) ** 2 + 3 * (pixels // 6) ** 2)
    return s2 + 2 * 2 * pixels**2 + pixels**2


def _print(settings: Settings, plan: BuildPlan, tiles: TilePlan | None) -> None:
    table = Table(title=f"Plan for {settings.name}: nothing has been fetched", title_justify="left")
    table.add_column("what")
    table.add_column("amount", justify="right")
    table.add_column("from", style="dim")
    for row in _build_rows(settings, plan):
        table.add_row(*row)
    table.add_section()
    for row in _tile_rows(settings, tiles):
        table.add_row(*row)
    table.add_section()
    simulated = "simulated: no quota is used" if settings.simulated else ""
    table.add_row("service", settings.earthengine.service, simulated)
    Console(soft_wrap=True).print(table)


def _build_rows(settings: Settings, plan: BuildPlan) -> list[tuple[str, str, str]]:
    engine, sampler = settings.earthengine, settings.locations.sampler
    seconds_each = f"{engine.eecu_seconds_per_request:g} EECU-seconds a pixel request"
    batch = f"{engine.selection_batch} locations each, standard endpoint"
    return [
        ("candidate locations", f"{plan.locations:,}", f"sampler {sampler}"),
        ("locations kept", str(plan.kept), plan.kept.source),
        ("shards", f"{plan.shards:,}", f"{settings.store.shard_size} locations each"),
        ("selection requests", f"{plan.selection_requests:,}", batch),
        (
            "pixel requests",
            str(plan.pixel_requests),
            f"{SEASONS} a kept location, high-volume endpoint",
        ),
        ("download", f"{plan.download_gb:,.1f} GB", "before compression in transit"),
        ("store", f"{plan.store_gb:,.1f} GB", "native resolution, compressed"),
        ("compute", f"{plan.eecu_hours:,.1f} EECU-hours", seconds_each),
        ("time", *_time(settings, plan.seconds)),
    ]


def _time(settings: Settings, seconds: float | None) -> tuple[str, str]:
    waits = latencies(settings)
    if waits is None or seconds is None:
        return "?", "the simulated Earth is as fast as this machine"
    slots = f"{settings.earthengine.slots} slots"
    if settings.earthengine.slots > USUAL_SLOTS and not settings.simulated:
        slots += f" (a project has {USUAL_SLOTS} unless Google raised it)"
    return _duration(seconds / 3600), f"{slots}, {waits[1]:g} s a pixel request"


def _tile_rows(settings: Settings, plan: TilePlan | None) -> list[tuple[str, str, str]]:
    if plan is None and settings.dynamic_world.tiles == "simulated":
        return [
            ("expert tiles", "none", "dw.zarr and osm.zarr need dynamic_world.tiles: published")
        ]
    if plan is None:
        return [("expert tiles", "?", "known once list_expert_tiles has opened the archives")]
    batch = f"{settings.dynamic_world.selection_batch} tiles each, standard endpoint"
    pace = f"at most {settings.osm_landuse.requests_per_second:g} requests a second"
    pictures = plan.picture_requests
    return [
        ("expert tiles", f"{plan.count.tiles:,}", plan.count.source),
        ("tile selection requests", f"{plan.selection_requests:,}", batch),
        ("tile pixel requests", str(plan.pixel_requests), _tile_request_source(settings, plan)),
        ("tile download", f"{plan.download_gb:,.1f} GB", "before compression in transit"),
        ("tile store", f"{plan.store_gb:,.1f} GB", "dw.zarr, compressed like nol.zarr"),
        ("tile compute", f"{plan.eecu_hours:,.1f} EECU-hours", "at the same rate"),
        ("tile time", *_time(settings, plan.seconds)),
        ("land-use requests", str(pictures), pictures.source),
        ("land-use time", _duration(plan.picture_seconds / 3600), pace),
    ]


def _tile_request_source(settings: Settings, plan: TilePlan) -> str:
    if settings.dynamic_world.rule == "covering":
        return f"{plan.pixel_requests.source}; one more for each scene with holes"
    return plan.pixel_requests.source


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min"


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="settings file (YAML)")
    settings = load_settings(parser.parse_args().settings)
    sizes = shard_sizes(settings)
    plan = plan_build(settings, sizes, kept_locations(settings, sum(sizes)))
    _print(settings, plan, planned_tiles(settings))


if __name__ == "__main__":
    run_step(main)
