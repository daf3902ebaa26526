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
    batches,
    kept_locations,
    paired_tiles,
    shard_sizes,
    tile_shard_sizes,
)
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings, load_settings

COMPRESSED_SHARE = 0.63
"""Stored bytes per native byte: imagery of one real place, made-up labels (docs/codecs.md)."""

REQUEST_BYTES_PER_PIXEL = 31
"""13 bands of 2 bytes, two of 2 bytes, one of 1 byte, all at 10 m in one answer."""

AROUND_S = 10.0
"""What a build takes besides waiting for answers, seconds: Snakemake, the places, the first and the
last jobs, the index. Measured with ``tests/benchmarks/bench_build.py`` on four cores."""


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
        tiles: Expert tiles.
        selection_requests: Requests to the standard endpoint.
        pixel_requests: Requests to the high-volume endpoint, one for each tile with imagery; with
            the rule ``covering`` one more for each scene that turns out to have holes.
        pictures: Land-use pictures, one for each tile with imagery; a suspicious one is asked for
            twice. Not counted are the capabilities and the legend of the service.
    """

    tiles: int
    selection_requests: int
    pixel_requests: Amount
    pictures: Amount


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


def plan_tiles(settings: Settings, sizes: list[int], paired: Amount) -> TilePlan:
    """Count the requests of the expert tiles.

    Args:
        settings: Batch.
        sizes: Tiles of each shard.
        paired: How many of them get imagery.
    """
    return TilePlan(
        tiles=sum(sizes),
        selection_requests=batches(sizes, settings.dynamic_world.selection_batch),
        pixel_requests=paired,
        pictures=paired,
    )


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
        _time_row(settings, plan),
    ]


def _time_row(settings: Settings, plan: BuildPlan) -> tuple[str, str, str]:
    waits = latencies(settings)
    if waits is None or plan.seconds is None:
        return "time", "?", "the simulated Earth is as fast as this machine"
    slots = settings.earthengine.slots
    return "time", _duration(plan.seconds / 3600), f"{slots} slots, {waits[1]:g} s a pixel request"


def _tile_rows(settings: Settings, plan: TilePlan | None) -> list[tuple[str, str, str]]:
    if plan is None:
        return [("expert tiles", "?", "known once list_expert_tiles has read them")]
    batch = f"{settings.dynamic_world.selection_batch} tiles each"
    pace = f"at most {settings.osm_landuse.requests_per_second:g} a second"
    return [
        ("expert tiles", f"{plan.tiles:,}", "dw.zarr and osm.zarr"),
        ("tile selection requests", f"{plan.selection_requests:,}", batch),
        ("tile pixel requests", str(plan.pixel_requests), _tile_request_source(settings, plan)),
        ("land-use pictures", str(plan.pictures), pace),
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
    sizes, tile_sizes = shard_sizes(settings), tile_shard_sizes(settings)
    plan = plan_build(settings, sizes, kept_locations(settings, sum(sizes)))
    tiles = tile_sizes and plan_tiles(settings, tile_sizes, paired_tiles(settings, sum(tile_sizes)))
    _print(settings, plan, tiles or None)


if __name__ == "__main__":
    run_step(main)
