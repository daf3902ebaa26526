"""What a build will cost, before anything is fetched: ``python -m pipeline.plan``."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from pipeline.errors import run_step
from pipeline.ledger import Status
from pipeline.locations.table import location_count
from pipeline.settings import Settings, load_settings
from pipeline.settings_dataset import SEASONS

PAPER_KEPT_SHARE = 103_793 / 251_079
"""Locations kept in the paper (section III-A)."""

DW_FIRST_KEPT_SHARE = 0.86
"""Kept by the newest scene that has a Dynamic World twin when 20 % of scenes have none."""

COMPRESSED_SHARE = 0.61
"""Stored bytes per native byte with blosc-zstd-bitshuffle, from synthetic textures."""

REQUEST_BYTES_PER_PIXEL = 31
"""13 bands of 2 bytes, two of 2 bytes, one of 1 byte, all at 10 m in one answer."""


@dataclass(frozen=True)
class BuildPlan:
    """The cost of one build.

    Attributes:
        locations: Candidates.
        kept: Locations expected in the store.
        shards: Jobs of each kind.
        selection_requests: Requests to the standard endpoint.
        pixel_requests: Requests to the high-volume endpoint.
        download_gb: Uncompressed bytes of all answers, 1e9 bytes.
        store_gb: Size on disk, 1e9 bytes.
        eecu_hours: Estimated compute, Earth Engine compute-unit hours.
        hours: Wall time at the configured slots, hours.
    """

    locations: int
    kept: int
    shards: int
    selection_requests: int
    pixel_requests: int
    download_gb: float
    store_gb: float
    eecu_hours: float
    hours: float


def plan_build(settings: Settings, locations: int, kept_share: float) -> BuildPlan:
    """Count the requests, bytes, compute and time of a build of so many candidate locations.

    Every kept location costs four pixel requests, every started batch of a shard one selection
    request. Selection overlaps with pixels, so the slower of the two sets the time.
    """
    shard_sizes = _shard_sizes(locations, settings.store.shard_size)
    batch = settings.earthengine.selection_batch
    selection_requests = sum(math.ceil(size / batch) for size in shard_sizes)
    kept = round(locations * kept_share)
    pixel_requests = kept * SEASONS
    pixels = settings.grid.pixels**2
    engine, assumed = settings.earthengine, settings.plan
    selection_s = selection_requests * assumed.selection_latency_s / engine.selection_slots
    pixel_s = pixel_requests * assumed.pixel_latency_s / engine.slots
    return BuildPlan(
        locations=locations,
        kept=kept,
        shards=len(shard_sizes),
        selection_requests=selection_requests,
        pixel_requests=pixel_requests,
        download_gb=pixel_requests * pixels * REQUEST_BYTES_PER_PIXEL / 1e9,
        store_gb=pixel_requests * native_bytes(settings.grid.pixels) * COMPRESSED_SHARE / 1e9,
        eecu_hours=pixel_requests * engine.eecu_seconds_per_request / 3600,
        hours=max(selection_s, pixel_s) / 3600,
    )


def native_bytes(pixels: int) -> int:
    """Uncompressed bytes of one season at native resolution; ``pixels`` per side at 10 m."""
    s2 = 2 * (4 * pixels**2 + 6 * (pixels // 2) ** 2 + 3 * (pixels // 6) ** 2)
    return s2 + 2 * 2 * pixels**2 + pixels**2


def assumed_kept_share(settings: Settings) -> tuple[float, str]:
    """The share of candidates expected to be kept, and where the figure comes from."""
    if settings.plan.kept_share is not None:
        return settings.plan.kept_share, "plan.kept_share"
    counted = _selected_so_far(settings.folder / "selection")
    if counted is not None:
        share, rows = counted
        return share, f"counted in {rows} locations selected so far"
    if settings.selection.rule == "paper":
        return PAPER_KEPT_SHARE, "the paper"
    return DW_FIRST_KEPT_SHARE, "a simulation of the rule"


def _shard_sizes(locations: int, shard_size: int) -> list[int]:
    full, rest = divmod(locations, shard_size)
    return [shard_size] * full + [rest] * bool(rest)


def _selected_so_far(folder: Path) -> tuple[float, int] | None:
    rows = selected = 0
    for path in folder.glob("*.parquet"):
        status = pq.read_table(path, columns=["status"])["status"].to_pylist()
        rows += len(status)
        selected += status.count(Status.SELECTED)
    return (selected / rows, rows // SEASONS) if rows else None


def _print(plan: BuildPlan, settings: Settings, kept_from: str) -> None:
    service = settings.earthengine.service
    table = Table(title=f"Plan for {settings.name}: nothing has been fetched", title_justify="left")
    table.add_column("what")
    table.add_column("amount", justify="right")
    table.add_column("from", style="dim")
    engine, assumed = settings.earthengine, settings.plan
    rows = [
        ("candidate locations", f"{plan.locations:,}", f"sampler {settings.locations.sampler}"),
        ("locations kept", f"{plan.kept:,}", kept_from),
        ("shards", f"{plan.shards:,}", f"{settings.store.shard_size} locations each"),
        (
            "selection requests",
            f"{plan.selection_requests:,}",
            f"{engine.selection_batch} locations each, standard endpoint",
        ),
        ("pixel requests", f"{plan.pixel_requests:,}", "4 a kept location, high-volume endpoint"),
        ("download", f"{plan.download_gb:,.1f} GB", "before compression in transit"),
        ("store", f"{plan.store_gb:,.1f} GB", "native resolution, compressed"),
        (
            "compute",
            f"{plan.eecu_hours:,.1f} EECU-hours",
            f"{engine.eecu_seconds_per_request:g} EECU-seconds a pixel request",
        ),
        (
            "time",
            _duration(plan.hours),
            f"{engine.slots} slots, {assumed.pixel_latency_s:g} s a pixel request",
        ),
        ("service", service, "" if service == "google" else "simulated: no quota is used"),
    ]
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=True).print(table)


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min"


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="settings file (YAML)")
    settings = load_settings(parser.parse_args().settings)
    kept_share, kept_from = assumed_kept_share(settings)
    _print(plan_build(settings, location_count(settings), kept_share), settings, kept_from)


if __name__ == "__main__":
    run_step(main)
