import datetime as dt
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from pipeline.earthengine.errors import BudgetExhausted, Missing, Quota, TimedOut
from pipeline.errors import PipelineError
from pipeline.fetch import Shard, fetch_shard
from pipeline.grid import PatchGrid
from pipeline.ledger import SeasonRecord, Status
from pipeline.locations.location import Location
from pipeline.store.commit import damaged_files, read_commit
from pipeline.store.create import create_store
from pipeline.store.layout import shard_files
from pipeline.store.shards import read_season

DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22))


class FakeSource:
    """Pixels by (sample, season), or the fault to raise; counts what it was asked for."""

    def __init__(self, draw, slots=3, answers=None):
        self.slots = slots
        self.asked = []
        self._draw = draw
        self._answers = answers or {}
        self._lock = threading.Lock()

    def fetch(self, record, grid):
        with self._lock:
            self.asked.append((record.sample, record.season))
        answer = self._answers.get((record.sample, record.season))
        if isinstance(answer, Exception):
            raise answer
        return answer or self._draw(record.sample, record.season)

    def map(self, function, items):
        with ThreadPoolExecutor(self.slots) as pool:
            futures = {pool.submit(function, item): item for item in items}
            for future in as_completed(futures):
                yield futures[future], future

    @contextmanager
    def open(self):
        yield self


def make_location(sample):
    grid = PatchGrid(32633, 500_040.0 + 120 * sample, 5_300_040.0, 12, 12)
    return Location(sample, f"{sample:04d}", 15.0, 47.8, grid, DATES, "train", sample // 4)


def make_rows(sample, scene="a"):
    return [
        SeasonRecord(
            sample,
            f"{sample:04d}",
            season,
            dt.date(2021, 1, 1),
            dt.date(2021, 2, 1),
            Status.SELECTED,
            s2_id=f"s2_{sample}_{season}_{scene}",
            s1_id=f"s1_{sample}",
            dw_id=f"s2_{sample}_{season}_{scene}",
            cloud_cover=5.0,
        )
        for season in range(4)
    ]


@pytest.fixture
def make_shard(tmp_path, small_settings):
    """A function of a count of locations: shard 0 of a store that has room for them."""

    def make(count, folder="results"):
        store = tmp_path / folder / "nol.zarr"
        create_store(store, small_settings, count)
        locations = {sample: make_location(sample) for sample in range(count)}
        selection = [row for sample in locations for row in make_rows(sample)]
        ledger = tmp_path / folder / "shards" / "0.parquet"
        return Shard(0, locations, selection, store, ledger)

    return make


def nodata(pixels):
    return replace(pixels, s1=np.full_like(pixels.s1, -32768))


def shard_bytes(shard):
    return [file.read_bytes() for file in (*shard_files(shard.store, 0), shard.ledger)]


def never_open():
    raise AssertionError("no request was needed")


def test_a_shard_is_fetched_and_committed(make_shard, small_settings, random_pixels):
    shard, source = make_shard(3), FakeSource(random_pixels)
    records = fetch_shard(shard, small_settings, source.open)
    assert sorted(source.asked) == [(k, t) for k in range(3) for t in range(4)]
    assert {record.status for record in records} == {Status.DONE}
    commit = read_commit(shard.ledger, small_settings.dataset_hash())
    assert commit.records == records and commit.kept_samples == [0, 1, 2]
    assert damaged_files(shard.store, commit, thorough=True) == []
    np.testing.assert_array_equal(read_season(shard.store, 2, 3).s2_20m, random_pixels(2, 3).s2_20m)
    assert not (small_settings.folder / "staging" / "0").exists()


def test_a_bad_season_rejects_its_location_and_spares_requests(
    make_shard, small_settings, random_pixels
):
    answers = {(1, 0): nodata(random_pixels(1, 0)), (2, 2): Missing("gone")}
    shard, source = make_shard(4), FakeSource(random_pixels, 1, answers)
    records = fetch_shard(shard, small_settings, source.open)
    reasons = {k: [r.reason.value for r in records if r.sample == k] for k in range(4)}
    assert reasons[1] == ["nodata", "other_season", "other_season", "other_season"]
    assert reasons[2] == ["other_season", "other_season", "gone", "other_season"]
    assert reasons[0] == reasons[3] == ["", "", "", ""]
    assert [key for key in source.asked if key[0] == 1] == [(1, 0)]
    assert (2, 3) not in source.asked
    store = xr.open_zarr(shard.store, mask_and_scale=False)
    assert (store.label[1] == 255).all() and (store.s2_10m[3] > 0).all()


def test_other_slots_and_failures_on_the_way_give_the_same_bytes(
    make_shard, small_settings, random_pixels
):
    answers = {(0, 3): nodata(random_pixels(0, 3)), (2, 1): nodata(random_pixels(2, 1))}
    first = make_shard(4, "first")
    fetch_shard(first, small_settings, FakeSource(random_pixels, 1, answers).open)
    second = make_shard(4, "second")
    faults = {(0, 0): Quota("slow down"), (2, 2): TimedOut("late"), (3, 1): Quota("slow down")}
    with pytest.raises(PipelineError):
        source = FakeSource(random_pixels, 8, answers | faults)
        fetch_shard(second, small_settings, source.open)
    fetch_shard(second, small_settings, FakeSource(random_pixels, 8, answers).open)
    assert shard_bytes(first) == shard_bytes(second)


def test_failures_write_nothing_and_the_next_run_asks_for_the_rest_only(
    make_shard, small_settings, random_pixels
):
    faults = {(0, 1): Quota("429"), (1, 0): TimedOut("late"), (1, 3): Quota("429")}
    shard = make_shard(4)
    message = r"shard 0: 2 of 4 locations could not be fetched \(.*\); run the same command again"
    with pytest.raises(PipelineError, match=message) as failure:
        fetch_shard(shard, small_settings, FakeSource(random_pixels, 2, faults).open)
    assert "quota 1" in str(failure.value) and "timeout 1" in str(failure.value)
    assert not shard.ledger.exists()
    assert not any(file.exists() for file in shard_files(shard.store, 0))
    again = FakeSource(random_pixels)
    fetch_shard(shard, small_settings, again.open)
    assert sorted(again.asked) == sorted(faults)


def test_a_used_up_budget_stops_the_run_and_keeps_what_was_fetched(
    make_shard, small_settings, random_pixels
):
    shard = make_shard(4)
    answers = {(k, 1): BudgetExhausted("budget used up: ...") for k in range(4)}
    with pytest.raises(PipelineError, match="budget used up"):
        fetch_shard(shard, small_settings, FakeSource(random_pixels, 1, answers).open)
    assert not shard.ledger.exists()
    again = FakeSource(random_pixels)
    fetch_shard(shard, small_settings, again.open)
    assert (0, 0) not in again.asked and (0, 1) in again.asked


def test_everything_staged_needs_no_session(make_shard, small_settings, random_pixels, tmp_path):
    shard = make_shard(2)
    blocked = replace(shard, ledger=tmp_path / "file" / "0.parquet")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        fetch_shard(blocked, small_settings, FakeSource(random_pixels).open)
    fetch_shard(shard, small_settings, never_open)
    assert read_commit(shard.ledger, small_settings.dataset_hash()).kept_samples == [0, 1]


def test_a_changed_selection_never_takes_staged_pixels(make_shard, small_settings, random_pixels):
    shard = make_shard(1)
    with pytest.raises(PipelineError):
        fetch_shard(shard, small_settings, FakeSource(random_pixels, 1, {(0, 3): Quota("")}).open)
    changed = replace(shard, selection=make_rows(0, scene="b"))
    again = FakeSource(random_pixels)
    fetch_shard(changed, small_settings, again.open)
    assert len(again.asked) == 4


def test_a_grown_shard_fetches_the_new_locations_only(make_shard, small_settings, random_pixels):
    answers = {(1, 2): nodata(random_pixels(1, 2))}
    small = make_shard(2)
    before = fetch_shard(small, small_settings, FakeSource(random_pixels, 2, answers).open)
    source = FakeSource(random_pixels)
    grown = make_shard(4)
    after = fetch_shard(grown, small_settings, source.open)
    assert {sample for sample, _ in source.asked} == {2, 3}
    assert [record for record in after if record.sample < 2] == before
    np.testing.assert_array_equal(read_season(grown.store, 0, 1).s1, random_pixels(0, 1).s1)
    at_once = make_shard(4, "at_once")
    fetch_shard(at_once, small_settings, FakeSource(random_pixels, 2, answers).open)
    assert shard_bytes(grown) == shard_bytes(at_once)


@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_a_lost_or_altered_file_is_noticed_and_the_shard_made_again(
    make_shard, small_settings, random_pixels, damage
):
    shard = make_shard(2)
    fetch_shard(shard, small_settings, FakeSource(random_pixels).open)
    before = shard_bytes(shard)
    file = shard_files(shard.store, 0)[3]
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.unlink()
    if damage == "altered":
        file.write_bytes(content)
    source = FakeSource(random_pixels)
    fetch_shard(shard, small_settings, source.open)
    assert len(source.asked) == 8 and shard_bytes(shard) == before


def test_a_store_of_other_settings_is_left_alone(make_shard, small_settings, random_pixels):
    shard = make_shard(2)
    other = small_settings.model_copy(update={"seed": 5})
    with pytest.raises(PipelineError, match="seed 0 -> 5"):
        fetch_shard(shard, other, never_open)


def test_a_selection_of_other_locations_is_refused(make_shard, small_settings):
    shard = replace(make_shard(3), selection=make_rows(0))
    with pytest.raises(PipelineError, match="run the selection again"):
        fetch_shard(shard, small_settings, never_open)


def test_the_log_has_a_line_per_location(make_shard, small_settings, random_pixels, caplog):
    answers = {(1, 0): nodata(random_pixels(1, 0))}
    caplog.set_level("INFO")
    fetch_shard(make_shard(3), small_settings, FakeSource(random_pixels, 2, answers).open)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("kept: 4 seasons fetched in" in line for line in lines) == 2
    (rejected,) = (line for line in lines if "rejected (nodata)" in line)
    assert re.match(r"0001 rejected .* \d of 3, [\d.]+ locations/s, \d+ s left", rejected)


def test_the_command_ends_in_one_line_without_its_input(tmp_path):
    missing = tmp_path / "missing.yaml"
    words = ["--settings", missing, "--locations", "l", "--selection", "s", "--shard", "0"]
    words += ["--slots", "1", "--store", tmp_path / "nol.zarr", "--ledger", tmp_path / "0.parquet"]
    run = subprocess.run(
        [sys.executable, "-m", "pipeline.fetch", *map(str, words)], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr.strip() == f"error: settings file {missing} does not exist"
