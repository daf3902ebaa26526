"""``python -m pipeline.selection`` as Snakemake runs it, against the simulated Earth Engine."""

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from pipeline.grid import patch_grid
from pipeline.ledger import Reason, Status, read_records, write_records
from pipeline.locations.location import Location
from pipeline.locations.table import read_locations, write_locations
from pipeline.settings.tree import load_settings

DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22))
COUNT = 6


@pytest.fixture
def locations(tmp_path):
    """A table of six places in shard 3."""
    places = [
        Location(i, f"{i:07d}", lon, 48.0, patch_grid(lon, 48.0, 66), DATES, "train", 3)
        for i, lon in enumerate([7.5, 8.5, 9.5, 10.5, 11.5, 12.5])
    ]
    write_locations(tmp_path / "locations.parquet", places)
    return tmp_path / "locations.parquet"


@pytest.fixture
def select(tmp_path, locations):
    """A function of `earthengine` settings and a fault plan: runs the command with two slots."""

    def run(faults=None, rule="dw_first", batch=2, leave_out=(), **earthengine):
        simulator = {}
        if faults:
            (tmp_path / "faults.json").write_text(json.dumps({"faults": faults}))
            simulator = {"faults": str(tmp_path / "faults.json")}
        settings = {
            "name": "test",
            "results": str(tmp_path),
            "grid": {"pixels": 66},
            "locations": {"leave_out": list(leave_out)},
            "selection": {"rule": rule},
            "earthengine": {"selection_batch": batch, **earthengine},
            "simulator": simulator,
        }
        (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "pipeline.selection", "--slots=2", "--shard=3"]
        command += [f"--settings={tmp_path / 'settings.yaml'}", f"--locations={locations}"]
        command += [f"--output={tmp_path / 'selection' / '3.parquet'}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def output(tmp_path):
    return tmp_path / "selection" / "3.parquet"


def staging(output):
    return output.with_name("3.parquet.partial")


def test_a_shard_is_selected_and_summed_up(select, output, tmp_path):
    result = select()
    assert result.returncode == 0, result.stderr
    settings = load_settings(tmp_path / "settings.yaml")
    records = read_records(output, settings.dataset_hash())
    assert [(row.sample, row.season) for row in records] == [
        (sample, season) for sample in range(COUNT) for season in range(4)
    ]
    assert {row.status for row in records} <= {Status.SELECTED, Status.REJECTED}
    assert any(row.status is Status.SELECTED for row in records)
    assert "shard 3: selected" in result.stderr
    assert not staging(output).exists()


def test_throttling_is_no_rejection_and_the_same_command_goes_on(select, output):
    assert select().returncode == 0
    undisturbed = output.read_bytes()
    output.unlink()

    first = select([{"kind": "throttled", "positions": [0, 2]}], attempts=1)
    assert first.returncode == 1
    error = first.stderr.splitlines()[-1]
    assert error.startswith("error: 4 of 6 locations could not be asked (quota: 4")
    assert "run the same command again" in error
    assert "Traceback" not in first.stderr
    assert not output.exists()
    known = read_records(staging(output))
    failed = [row for row in known if row.status is Status.FAILED]
    assert len(known) == COUNT * 4
    assert len(failed) == 16
    assert {row.reason for row in failed} == {Reason.QUOTA}

    second = select([{"kind": "throttled", "positions": [2]}], attempts=1)
    assert second.returncode == 0, second.stderr  # two batches were left to ask
    assert output.read_bytes() == undisturbed
    assert not staging(output).exists()


def test_what_was_answered_under_other_settings_is_not_used(select, output):
    throttled = [{"kind": "throttled", "positions": [1]}]
    assert select(throttled, attempts=1).returncode == 1
    result = select(rule="paper")
    assert result.returncode == 0, result.stderr
    assert "starting over" in result.stderr
    assert "3 requests" in result.stderr


def test_a_shard_that_grows_keeps_what_was_chosen(select, output, locations):
    whole = list(read_locations(locations))
    write_locations(locations, whole[:4])
    assert select().returncode == 0
    chosen = [replace(row, s1_id="CHOSEN_LONG_AGO") for row in read_records(output)]
    write_records(
        output, chosen, load_settings(locations.with_name("settings.yaml")).dataset_hash()
    )
    write_locations(locations, whole)
    result = select()
    assert result.returncode == 0, result.stderr
    assert "1 requests" in result.stderr  # the two new places only
    extended = read_records(output)
    assert extended[: len(chosen)] == chosen
    assert len(extended) == COUNT * 4


@pytest.mark.parametrize(
    ("fault", "told"), [("refused", "HTTP 400"), ("error_500", "HTTP 500"), ("html_200", "garbled")]
)
def test_a_place_that_is_never_answered_is_named_and_can_be_left_out(select, output, fault, told):
    spoilt = [{"kind": fault, "about": "0000004", "requests": ["compute"]}]
    first = select(spoilt, batch=6, attempts=1)
    assert first.returncode == 1
    error = first.stderr.splitlines()[-1]
    assert "1 of 6 locations could not be asked (server_error: 1): 0000004;" in error
    assert told in error
    assert "locations.leave_out" in error
    known = read_records(staging(output))
    assert {row.sample for row in known if row.status is Status.FAILED} == {4}

    second = select(spoilt, leave_out=["0000004"], attempts=1)
    assert second.returncode == 0, second.stderr
    reasons = {row.sample: row.reason for row in read_records(output)}
    assert {sample for sample, reason in reasons.items() if reason is Reason.LEFT_OUT} == {4}


def test_a_damaged_staging_file_is_asked_for_again(select, output):
    output.parent.mkdir()
    staging(output).write_bytes(b"garbage")
    result = select()
    assert result.returncode == 0, result.stderr
    assert "starting over" in result.stderr
    assert not staging(output).exists()


def test_the_budget_is_a_clean_stop_that_keeps_what_is_known(select, output):
    first = select(request_budget=2)
    assert first.returncode == 1
    error = first.stderr.splitlines()[-1]
    assert error.startswith(
        "error: 2 of 6 locations could not be asked (budget: 2); budget used up"
    )
    assert "earthengine.request_budget = 2" in error
    assert "Traceback" not in first.stderr
    assert not output.exists()
    reasons = [row.reason for row in read_records(staging(output))]
    assert len(reasons) == COUNT * 4
    assert reasons.count(Reason.BUDGET) == 2 * 4

    second = select(request_budget=3)
    assert second.returncode == 0, second.stderr
    assert len(read_records(output)) == COUNT * 4


def test_a_simulator_that_does_not_start_is_told(select, tmp_path):
    result = select([{"kind": "earthquake"}])
    assert result.returncode == 1
    assert "earthquake" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: the simulated Earth did not start")
