"""Fetches the pixels of one shard, checks them and commits them: ``python -m pipeline.fetch``.

Every season is staged as its own file, so a run that was cut short is continued. The shard is
written only when every location is either complete or rejected, and its ledger after it.
"""

import argparse
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.earthengine.errors import (
    UNANSWERED_REMEDY,
    AccessDenied,
    EarthEngineFault,
    Fatal,
    Missing,
    name_places,
)
from pipeline.earthengine.session import earth_engine
from pipeline.errors import PipelineError, run_step
from pipeline.grid import PatchGrid
from pipeline.ledger import Reason, SeasonRecord, Status, describe, read_records
from pipeline.locations.location import Location
from pipeline.locations.table import read_shard
from pipeline.outcomes import Outcomes
from pipeline.pixel_source import EarthEnginePixels, PixelSource
from pipeline.progress import ShardProgress
from pipeline.quality import check_pixels
from pipeline.run_lock import sole_job
from pipeline.settings.dataset import QualitySettings
from pipeline.settings.tree import Settings, load_settings
from pipeline.staging import LazyPixels, Staging
from pipeline.store.commit import damaged_files, read_commit, write_commit
from pipeline.store.create import require_same_dataset
from pipeline.store.shards import read_season, write_shard

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """What came of asking for one season.

    Attributes:
        status: Done, rejected or failed.
        reason: Why, if not done.
        seconds: Time it took, retries and checks included.
    """

    status: Status
    reason: Reason
    seconds: float


@dataclass(frozen=True)
class Shard:
    """What one job is about.

    Attributes:
        number: Of the shard.
        locations: Its places, by sample.
        selection: Rows of the selection, all seasons of each place.
        store: Folder of the store.
        ledger: The commit record to write; an earlier one is built upon.
    """

    number: int
    locations: dict[int, Location]
    selection: list[SeasonRecord]
    store: Path
    ledger: Path

    def grid(self, record: SeasonRecord) -> PatchGrid:
        """The grid of a row's location."""
        return self.locations[record.sample].grid


def fetch_shard(
    shard: Shard,
    settings: Settings,
    open_source: Callable[[], AbstractContextManager[PixelSource]],
) -> list[SeasonRecord]:
    """Bring one shard into the store.

    Args:
        shard: Which places, which scenes, where to.
        settings: Quality limits, and the dataset's folder and hash.
        open_source: Opens the way to the pixels; called only if any are missing.

    Returns:
        The rows of the committed ledger.

    Raises:
        PipelineError: The store is another dataset's, or some seasons could not be fetched; what
            was fetched is kept for the next run.
    """
    require_same_dataset(shard.store, settings)
    outcomes = Outcomes(shard.selection)
    if outcomes.samples != sorted(shard.locations):
        raise PipelineError(
            f"the selection of shard {shard.number} is of {len(outcomes.samples)} locations, the "
            f"table has {len(shard.locations)} others in it; run the selection again"
        )
    staging = Staging(settings.folder / "staging" / str(shard.number))
    stored = _adopt_committed(shard, outcomes, settings)
    _leave_out(outcomes, settings.locations.leave_out)
    _judge_staged(shard, outcomes, staging, settings)
    _fetch_missing(shard, outcomes, staging, settings, open_source)
    _refuse_failures(shard.number, outcomes)
    readers = {
        (row.sample, row.season): partial(read_season, shard.store, row.sample, row.season)
        if row.sample in stored
        else partial(staging.load, row, shard.grid(row))
        for row in outcomes.records()
        if outcomes.kept(row.sample)
    }
    hashes = write_shard(shard.store, shard.number, LazyPixels(readers))
    records = outcomes.records()
    write_commit(shard.ledger, records, shard.store, hashes, settings.dataset_hash())
    staging.remove()
    return records


def _adopt_committed(shard: Shard, outcomes: Outcomes, settings: Settings) -> set[int]:
    """Build upon an earlier commit of fewer locations; the samples whose pixels are stored."""
    try:
        commit = read_commit(shard.ledger, settings.dataset_hash())
    except PipelineError:
        # No commit, or none that can be trusted: everything is fetched, and it is written anew.
        return set()
    damaged = damaged_files(shard.store, commit, thorough=True)
    if damaged:
        _log.warning("%s is missing or altered; fetching the shard again", damaged[0])
        return set()
    adopted = outcomes.adopt(commit.records)
    _log.info("shard %d: %d locations were finished before", shard.number, len(adopted))
    return {sample for sample in adopted if outcomes.kept(sample)}


def _leave_out(outcomes: Outcomes, location_ids: Sequence[str]) -> None:
    """Reject what the user does not want to wait for any longer."""
    for sample in outcomes.samples:
        for record in outcomes.wanted(sample)[:1]:
            if record.location_id in location_ids:
                outcomes.judge(record, Status.REJECTED, Reason.LEFT_OUT)


def _judge_staged(shard: Shard, outcomes: Outcomes, staging: Staging, settings: Settings) -> None:
    """Take up what an earlier run fetched but did not commit."""
    for sample in outcomes.samples:
        for record in outcomes.wanted(sample):
            pixels = staging.find(record, shard.grid(record))
            if pixels is not None:
                outcomes.judge(record, *_verdict(check_pixels(pixels, settings.quality)))


def _fetch_missing(
    shard: Shard,
    outcomes: Outcomes,
    staging: Staging,
    settings: Settings,
    open_source: Callable[[], AbstractContextManager[PixelSource]],
) -> None:
    missing = [record for sample in outcomes.samples for record in outcomes.wanted(sample)]
    if not missing:
        return
    unanswered = Counter(record.sample for record in missing)
    progress = ShardProgress(shard.number, len(missing), len(unanswered))
    with open_source() as source, progress:

        def attempt(record: SeasonRecord) -> Attempt | None:
            if record not in outcomes.wanted(record.sample):
                return None
            result = _attempt(source, staging, record, shard.grid(record), settings.quality)
            outcomes.judge(record, result.status, result.reason)
            return result

        for record, future in source.map(attempt, _in_waves(missing, source.slots)):
            result = future.result()
            if result is None:
                progress.season_skipped()
            else:
                progress.season_fetched(record.location_id, result.seconds)
            unanswered[record.sample] -= 1
            if not unanswered[record.sample]:
                progress.location_finished(record.location_id, _word(outcomes, record.sample))


def _attempt(
    source: PixelSource,
    staging: Staging,
    record: SeasonRecord,
    grid: PatchGrid,
    limits: QualitySettings,
) -> Attempt:
    """Fetch, stage and judge one season; faults that end the run are raised."""
    started = time.monotonic()
    try:
        pixels = source.fetch(record, grid)
    except AccessDenied:
        raise
    except Fatal as fault:
        # Another place may be fine, and this one is left to the next run.
        where = f"season {record.season} of location {record.location_id}"
        remedy = "if others are fetched, name it in locations.leave_out"
        raise PipelineError(f"{fault}; asked for {where}; {remedy}") from fault
    except PipelineError:
        raise
    except Missing as fault:
        return Attempt(Status.REJECTED, fault.reason, time.monotonic() - started)
    except EarthEngineFault as fault:
        _log.warning("%s season %d: %s", record.location_id, record.season, fault)
        return Attempt(Status.FAILED, fault.reason, time.monotonic() - started)
    staging.save(record, grid, pixels)
    return Attempt(*_verdict(check_pixels(pixels, limits)), time.monotonic() - started)


def _verdict(reason: Reason) -> tuple[Status, Reason]:
    return (Status.REJECTED if reason else Status.DONE), reason


def _in_waves(records: Sequence[SeasonRecord], slots: int) -> list[SeasonRecord]:
    """Order the requests so that a bad season is known before the later ones are asked for.

    As many locations as there are slots go through their seasons side by side.
    """
    places = {sample: i for i, sample in enumerate(dict.fromkeys(r.sample for r in records))}
    return sorted(records, key=lambda record: (places[record.sample] // slots, record.season))


def _word(outcomes: Outcomes, sample: int) -> str:
    if outcomes.kept(sample):
        return "kept"
    word = "rejected" if outcomes.settled(sample) else "failed"
    return f"{word} ({outcomes.reason(sample)})"


def _refuse_failures(shard: int, outcomes: Outcomes) -> None:
    failed = [sample for sample in outcomes.samples if not outcomes.settled(sample)]
    if not failed:
        return
    counts = Counter(outcomes.reason(sample).value for sample in failed)
    reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.most_common())
    named = name_places([outcomes.of(sample)[0].location_id for sample in failed])
    raise PipelineError(
        f"shard {shard}: {len(failed)} of {len(outcomes.samples)} locations could not be fetched "
        f"({reasons}): {named}; {UNANSWERED_REMEDY}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch one shard from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--locations", type=Path, required=True, help="table of all locations")
    parser.add_argument("--selection", type=Path, required=True, help="ledger of the selection")
    parser.add_argument("--shard", type=int, required=True, help="which shard")
    parser.add_argument("--slots", type=int, required=True, help="requests in flight at most")
    parser.add_argument("--store", type=Path, required=True, help="store to write to")
    parser.add_argument("--ledger", type=Path, required=True, help="commit record to write")
    parser.add_argument("--log", type=Path, help="file for the log (default: standard error)")
    options = parser.parse_args(arguments)
    _start_log(options.log)
    settings = load_settings(options.settings)
    locations = {place.sample: place for place in read_shard(options.locations, options.shard)}
    selection = read_records(options.selection, settings.dataset_hash())
    shard = Shard(options.shard, locations, selection, options.store, options.ledger)
    _log.info("shard %d of %s (%s)", shard.number, options.store, _source(settings))

    @contextmanager
    def open_source() -> Iterator[PixelSource]:
        with earth_engine(settings, "high_volume", options.slots) as client:
            yield EarthEnginePixels(client)
            _log.info(
                "%d requests, %d retries, %.1f MB received",
                client.statistics.calls.total(),
                client.statistics.retries.total(),
                client.bytes_received / 1e6,
            )

    try:
        with sole_job(settings.folder / "staging", shard.number):
            records = fetch_shard(shard, settings, open_source)
    except PipelineError as error:
        _log.error("%s", error)
        raise
    _log.info("shard %d: %s", shard.number, describe(records))


def _source(settings: Settings) -> str:
    return "simulated Earth" if settings.simulated else "Google Earth Engine"


def _start_log(path: Path | None) -> None:
    handler: logging.Handler = logging.StreamHandler()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=[handler])


if __name__ == "__main__":
    run_step(main)
