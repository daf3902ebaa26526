"""Chooses the scenes of every (location, season): ``python -m pipeline.selection``.

The archive is asked for metadata only. What is chosen here is the definition of the dataset: with
the ledger that this step writes, the same pixels can be fetched again.
"""

import argparse
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipeline.candidates import OpticalScene, RadarScene, SeasonCandidates
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import (
    UNANSWERED_REMEDY,
    BudgetExhausted,
    EarthEngineFault,
    name_places,
)
from pipeline.earthengine.queries import select_candidates
from pipeline.earthengine.session import earth_engine
from pipeline.errors import PipelineError, run_step
from pipeline.grid import mgrs_epsg
from pipeline.ledger import Reason, SeasonRecord, Status, describe, read_records, write_records
from pipeline.locations.location import Location
from pipeline.locations.seasons import search_window
from pipeline.locations.table import read_shard
from pipeline.settings.tree import Settings, load_settings

Rule = Literal["paper", "dw_first"]

_log = logging.getLogger(__name__)


def choose_scenes(
    location: Location, candidates: Sequence[SeasonCandidates], rule: Rule
) -> list[SeasonRecord]:
    """Choose the scenes of one place, one row per season.

    Among the clear Sentinel-2 scenes that hold the whole patch, those of the place's own UTM zone
    are preferred, then the newest is taken: under ``paper`` whether or not it has a Dynamic World
    twin, under ``dw_first`` among those that have one. Of Sentinel-1, the newest. Equal times are
    decided by the index.

    A place is kept only if every season is; the seasons that were fine are then rejected with
    `Reason.OTHER_SEASON`.

    Source: Liu et al., "CromSS", section on the NoLDO-S12 dataset; zhu-xlab/SSL4EO-S12,
    src/download_data/ssl4eo_s12_downloader.py (newest scene of the window).
    """
    records = [
        _choose_season(location, season, found, rule) for season, found in enumerate(candidates)
    ]
    if all(record.status is Status.SELECTED for record in records):
        return records
    return [_drop(record) for record in records]


def select_shard(
    client: Client, locations: Sequence[Location], settings: Settings, output: Path
) -> list[SeasonRecord]:
    """Choose the scenes of a shard and write its ledger.

    What is known after a run that could not ask about every place is kept beside the output and
    used by the next one. A selection that is there already is extended, never made anew: what was
    chosen once defines the dataset, even if the archive holds newer scenes by now.

    Args:
        client: A session on the standard endpoint.
        locations: The places of the shard.
        settings: Rule, windows and limits.
        output: Parquet file; written only when every place is answered.

    Raises:
        PipelineError: Some places could not be asked, with their number and the reasons.
    """
    with _staged(output, locations, settings) as records:
        known = {record.sample for record in records}
        unknown = [place for place in locations if place.sample not in known]
        left_out = [p for p in unknown if p.location_id in settings.locations.leave_out]
        for place in left_out:
            records.extend(_without_scenes(place, settings, Status.REJECTED, Reason.LEFT_OUT))
        asked = [place for place in unknown if place not in left_out]
        faults: dict[str, EarthEngineFault] = {}
        for place, answer in select_candidates(client, asked, settings):
            if isinstance(answer, EarthEngineFault):
                faults[place.location_id] = answer
                records.extend(_without_scenes(place, settings, Status.FAILED, answer.reason))
            else:
                records.extend(choose_scenes(place, answer, settings.selection.rule))
        if faults:
            raise _failure(faults, len(locations))
        write_records(output, records, settings.dataset_hash())
    return records


def main(arguments: Sequence[str] | None = None) -> None:
    """Select the scenes of one shard from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.selection", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--locations", type=Path, required=True, help="table of all locations")
    parser.add_argument("--shard", type=int, required=True, help="which shard of it")
    parser.add_argument("--slots", type=int, required=True, help="requests in flight at most")
    parser.add_argument("--output", type=Path, required=True, help="ledger to write (Parquet)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = load_settings(options.settings)
    locations = read_shard(options.locations, options.shard)
    with earth_engine(settings, "standard", options.slots) as client:
        records = select_shard(client, locations, settings, options.output)
        _log.info(
            "shard %d: %s; %d requests, %d retries",
            options.shard,
            describe(records),
            client.statistics.calls.total(),
            client.statistics.retries.total(),
        )


def _choose_season(
    location: Location, season: int, found: SeasonCandidates, rule: Rule
) -> SeasonRecord:
    with_twin = [scene for scene in found.optical if scene.index in found.labels]
    eligible = with_twin if rule == "dw_first" and with_twin else found.optical
    optical = _newest_optical(eligible, location.grid.epsg)
    radar = max(found.radar, key=lambda scene: (scene.time, scene.index), default=None)
    reason = _reason(found, optical, radar)
    record = SeasonRecord(
        sample=location.sample,
        location_id=location.location_id,
        season=season,
        window_start=found.window_start,
        window_end=found.window_end,
        status=Status.SELECTED if reason is Reason.NONE else Status.REJECTED,
        reason=reason,
    )
    return _with_radar(_with_optical(record, optical, found.labels), radar)


def _newest_optical(scenes: Iterable[OpticalScene], epsg: int) -> OpticalScene | None:
    return max(
        scenes,
        key=lambda scene: (mgrs_epsg(scene.mgrs_tile) == epsg, scene.time, scene.index),
        default=None,
    )


def _reason(
    found: SeasonCandidates, optical: OpticalScene | None, radar: RadarScene | None
) -> Reason:
    if not found.optical_count:
        return Reason.NO_S2
    if optical is None:
        return Reason.CLOUD
    if optical.index not in found.labels:
        return Reason.NO_DW
    return Reason.NO_S1 if radar is None else Reason.NONE


def _with_optical(
    record: SeasonRecord, scene: OpticalScene | None, labels: frozenset[str]
) -> SeasonRecord:
    if scene is None:
        return record
    return replace(
        record,
        s2_id=scene.index,
        dw_id=scene.index if scene.index in labels else "",
        s2_time=scene.time,
        cloud_cover=scene.cloud_cover,
        mgrs_tile=scene.mgrs_tile,
        processing_baseline=scene.processing_baseline,
    )


def _with_radar(record: SeasonRecord, scene: RadarScene | None) -> SeasonRecord:
    if scene is None:
        return record
    return replace(
        record,
        s1_id=scene.index,
        s1_time=scene.time,
        s1_orbit_pass=scene.orbit_pass,
        s1_relative_orbit=scene.relative_orbit,
    )


def _drop(record: SeasonRecord) -> SeasonRecord:
    """Reject a season that is fine, because another one of its place is not."""
    if record.status is not Status.SELECTED:
        return record
    return replace(record, status=Status.REJECTED, reason=Reason.OTHER_SEASON)


def _without_scenes(
    location: Location, settings: Settings, status: Status, reason: Reason
) -> list[SeasonRecord]:
    windows = [search_window(date, settings.seasons.half_window_days) for date in location.dates]
    return [
        SeasonRecord(location.sample, location.location_id, season, *window, status, reason)
        for season, window in enumerate(windows)
    ]


@contextmanager
def _staged(
    output: Path, locations: Sequence[Location], settings: Settings
) -> Iterator[list[SeasonRecord]]:
    """Start with what an earlier run learnt; keep what this one learns if it ends early."""
    staging = output.with_name(f"{output.name}.partial")
    asked = _fingerprint(locations, settings)
    records = _reusable(staging, asked) or _chosen_before(output, locations, settings)
    try:
        yield records
    except BaseException:
        if records:
            write_records(staging, records, asked)
        raise
    staging.unlink(missing_ok=True)


def _chosen_before(
    output: Path, locations: Sequence[Location], settings: Settings
) -> list[SeasonRecord]:
    """Rows of an earlier, smaller selection of the same shard of the same dataset."""
    if not output.exists():
        return []
    places = {(place.sample, place.location_id) for place in locations}
    try:
        records = read_records(output, settings.dataset_hash())
    except PipelineError as error:
        _log.warning("choosing anew: %s", error)
        return []
    return [record for record in records if (record.sample, record.location_id) in places]


def _reusable(staging: Path, asked: str) -> list[SeasonRecord]:
    """Rows of an earlier run that asked the same, and need not be asked for again."""
    if not staging.exists():
        return []
    try:
        records = read_records(staging, asked)
    except PipelineError as error:
        _log.warning("starting over: %s", error)
        return []
    return [record for record in records if record.status is not Status.FAILED]


def _fingerprint(locations: Sequence[Location], settings: Settings) -> str:
    """SHA-256 over everything that the answers depend on."""
    return hashlib.sha256(f"{settings.dataset_hash()} {list(locations)}".encode()).hexdigest()


def _failure(faults: Mapping[str, EarthEngineFault], total: int) -> PipelineError:
    """The error of a shard some of whose places, by id, could not be asked about."""
    reasons = Counter(fault.reason.value for fault in faults.values())
    counted = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    head = f"{len(faults)} of {total} locations could not be asked ({counted})"
    for fault in faults.values():
        if isinstance(fault, BudgetExhausted):
            return BudgetExhausted(f"{head}; {fault}")
    named = name_places(sorted(faults))
    *_, last = faults.values()
    return PipelineError(f"{head}: {named}; the last answer was: {last}; {UNANSWERED_REMEDY}")


if __name__ == "__main__":
    run_step(main)
