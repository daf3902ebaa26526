import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline.earthengine.errors import BudgetExhausted, Fatal, Missing, Quota, TimedOut
from pipeline.errors import PipelineError
from pipeline.fetch import Shard, fetch_shard
from pipeline.ledger import Status
from pipeline.store.commit import damaged_files, read_commit
from pipeline.store.create import create_store
from pipeline.store.layout import shard_files
from pipeline.store.shards import read_season
from tests.small_dataset import FakeSource, make_location, make_rows, make_settings

ROOT = Path(__file__).parents[2]


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
    shard, source = make_shard(3), FakeSource()
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
    shard, source = make_shard(4), FakeSource(1, answers)
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
    fetch_shard(first, small_settings, FakeSource(1, answers).open)
    second = make_shard(4, "second")
    faults = {(0, 0): Quota("slow down"), (2, 2): TimedOut("late"), (3, 1): Quota("slow down")}
    with pytest.raises(PipelineError):
        source = FakeSource(8, answers | faults)
        fetch_shard(second, small_settings, source.open)
    fetch_shard(second, small_settings, FakeSource(8, answers).open)
    assert shard_bytes(first) == shard_bytes(second)


def test_failures_write_nothing_and_the_next_run_asks_for_the_rest_only(
    make_shard, small_settings, random_pixels
):
    faults = {(0, 1): Quota("429"), (1, 0): TimedOut("late"), (1, 3): Quota("429")}
    shard = make_shard(4)
    message = r"shard 0: 2 of 4 locations could not be fetched \(.*\): \d+, \d+; run the same"
    with pytest.raises(PipelineError, match=message) as failure:
        fetch_shard(shard, small_settings, FakeSource(2, faults).open)
    assert "quota: 1" in str(failure.value) and "timeout: 1" in str(failure.value)
    assert not shard.ledger.exists()
    assert not any(file.exists() for file in shard_files(shard.store, 0))
    again = FakeSource()
    fetch_shard(shard, small_settings, again.open)
    assert sorted(again.asked) == sorted(faults)


def test_a_refusal_names_the_season_that_was_asked_for(make_shard, small_settings):
    answers = {(2, 1): Fatal("Earth Engine refused a request (HTTP 400: odd)", 400)}
    shard = make_shard(4)
    with pytest.raises(PipelineError, match=r"HTTP 400: odd\); .*season 1 of location \w*2\b"):
        fetch_shard(shard, small_settings, FakeSource(1, answers).open)
    assert not shard.ledger.exists()


def test_a_place_that_is_left_out_is_rejected_unless_it_is_stored(make_shard, small_settings):
    shard = make_shard(4)
    ids = [shard.locations[sample].location_id for sample in (1, 2)]
    without = {"locations": small_settings.locations.model_copy(update={"leave_out": (ids[0],)})}
    settings = small_settings.model_copy(update=without)
    source = FakeSource(1, {(1, t): Quota("never") for t in range(4)})
    records = fetch_shard(shard, settings, source.open)
    assert {record.reason.value for record in records} == {"", "left_out", "other_season"}
    assert not any(sample == 1 for sample, _ in source.asked)
    later = {"locations": small_settings.locations.model_copy(update={"leave_out": tuple(ids)})}
    assert settings.dataset_hash() == small_settings.dataset_hash()
    again = fetch_shard(shard, small_settings.model_copy(update=later), never_open)
    assert again == records


def test_a_used_up_budget_stops_the_run_and_keeps_what_was_fetched(
    make_shard, small_settings, random_pixels
):
    shard = make_shard(4)
    answers = {(k, 1): BudgetExhausted("budget used up: ...") for k in range(4)}
    with pytest.raises(PipelineError, match="budget used up"):
        fetch_shard(shard, small_settings, FakeSource(1, answers).open)
    assert not shard.ledger.exists()
    again = FakeSource()
    fetch_shard(shard, small_settings, again.open)
    assert (0, 0) not in again.asked and (0, 1) in again.asked


def test_everything_staged_needs_no_session(make_shard, small_settings, random_pixels, tmp_path):
    shard = make_shard(2)
    blocked = replace(shard, ledger=tmp_path / "file" / "0.parquet")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        fetch_shard(blocked, small_settings, FakeSource().open)
    fetch_shard(shard, small_settings, never_open)
    assert read_commit(shard.ledger, small_settings.dataset_hash()).kept_samples == [0, 1]


def test_a_changed_selection_never_takes_staged_pixels(make_shard, small_settings, random_pixels):
    shard = make_shard(1)
    with pytest.raises(PipelineError):
        fetch_shard(shard, small_settings, FakeSource(1, {(0, 3): Quota("")}).open)
    changed = replace(shard, selection=make_rows(0, scene="b"))
    again = FakeSource()
    fetch_shard(changed, small_settings, again.open)
    assert len(again.asked) == 4


def test_a_grown_shard_fetches_the_new_locations_only(make_shard, small_settings, random_pixels):
    answers = {(1, 2): nodata(random_pixels(1, 2))}
    small = make_shard(2)
    before = fetch_shard(small, small_settings, FakeSource(2, answers).open)
    source = FakeSource()
    grown = make_shard(4)
    after = fetch_shard(grown, small_settings, source.open)
    assert {sample for sample, _ in source.asked} == {2, 3}
    assert [record for record in after if record.sample < 2] == before
    np.testing.assert_array_equal(read_season(grown.store, 0, 1).s1, random_pixels(0, 1).s1)
    at_once = make_shard(4, "at_once")
    fetch_shard(at_once, small_settings, FakeSource(2, answers).open)
    assert shard_bytes(grown) == shard_bytes(at_once)


@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_a_lost_or_altered_file_is_noticed_and_the_shard_made_again(
    make_shard, small_settings, random_pixels, damage
):
    shard = make_shard(2)
    fetch_shard(shard, small_settings, FakeSource().open)
    before = shard_bytes(shard)
    file = shard_files(shard.store, 0)[3]
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.unlink()
    if damage == "altered":
        file.write_bytes(content)
    source = FakeSource()
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
    fetch_shard(make_shard(3), small_settings, FakeSource(2, answers).open)
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


WORKER = """
import sys
from pathlib import Path
from pipeline.fetch import Shard, fetch_shard
from tests.small_dataset import FakeSource, make_location, make_rows, make_settings

folder, count, patch, seconds = Path(sys.argv[1]), *map(int, sys.argv[2:4]), float(sys.argv[4])
locations = {k: make_location(k, patch, count) for k in range(count)}
rows = [row for k in locations for row in make_rows(k)]
shard = Shard(0, locations, rows, folder / "nol.zarr", folder / "0.parquet")
print("ready", flush=True)
fetch_shard(shard, make_settings(folder, patch, count), FakeSource(10, {}, seconds).open)
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def worker_command(folder, count, patch, seconds):
    settings = make_settings(folder, patch, count)
    create_store(folder / "nol.zarr", settings, count)
    words = [sys.executable, "-c", WORKER, folder, count, patch, seconds]
    return [str(word) for word in words]


def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    subprocess.run(worker_command(calm, 8, 12, 0.0), cwd=ROOT, check=True)
    command = worker_command(killed, 8, 12, 0.05)
    chance = random.Random(2)
    for _ in range(4):
        worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert worker.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.3))
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        if (killed / "0.parquet").exists():
            commit = read_commit(killed / "0.parquet", make_settings(killed, 12, 8).dataset_hash())
            assert damaged_files(killed / "nol.zarr", commit, thorough=True) == []
    subprocess.run(command, cwd=ROOT, check=True)
    for file in [*shard_files(Path("nol.zarr"), 0), Path("0.parquet")]:
        assert (killed / file).read_bytes() == (calm / file).read_bytes(), file


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory_is_bounded_whatever_the_number_of_locations(tmp_path):
    def peak_mb(count):
        command = worker_command(tmp_path / str(count), count, 264, 0.0)
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return int(run.stdout.split()[-1]) / 1e3

    few, many = peak_mb(3), peak_mb(15)
    # 12 locations are 54 MB of pixels.
    assert many < 500 and many - few < 25
