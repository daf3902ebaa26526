"""The fetch as the workflow runs it, against a simulated Earth Engine in a process of its own."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr
import yaml

from pipeline.ledger import read_records
from pipeline.store.layout import shard_files

LOCATIONS = 8
SETTINGS = {
    "name": "tiny",
    "grid": {"pixels": 48},
    "locations": {
        "sampler": "area",
        "area": "POLYGON ((11.6 47.6, 12.4 47.6, 12.4 48.2, 11.6 48.2, 11.6 47.6))",
        "count": LOCATIONS,
    },
    "store": {"shard_size": LOCATIONS},
}
TEN_FAULTS = [
    "throttled",
    "throttled_retry_after",
    "error_500",
    "error_503",
    "html_502",
    "html_200",
    "reset",
    "truncated",
    "garbage",
    "slow",
]


class Build:
    """One dataset's folder: locations, selection and an empty store."""

    def __init__(self, folder: Path):
        self.folder = folder

    def command(self, step, **options):
        words = [sys.executable, "-m", f"pipeline.{step}", "--settings", "settings.yaml"]
        return words + [word for k, v in options.items() for word in (f"--{k}", str(v))]

    def run(self, step, **options):
        return subprocess.run(
            self.command(step, **options), cwd=self.folder, capture_output=True, text=True
        )

    def fetch_command(self):
        return self.command(
            "fetch",
            locations="locations.parquet",
            selection="selection.parquet",
            shard=0,
            slots=8,
            store="nol.zarr",
            ledger="shards/0.parquet",
            log="fetch.log",
        )

    def fetch(self):
        return subprocess.run(self.fetch_command(), cwd=self.folder, capture_output=True, text=True)

    def configure(self, **sections):
        text = yaml.safe_dump(SETTINGS | sections)
        (self.folder / "settings.yaml").write_text(text)

    def digests(self):
        files = [*shard_files(self.folder / "nol.zarr", 0), self.folder / "shards" / "0.parquet"]
        return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.fixture(scope="module", autouse=True)
def without_git():
    """A commit meanwhile would change the version of the code, and with it the ledger's bytes."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GIT_DIR", os.devnull)
        yield


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder in which everything but the pixels is done."""
    build = Build(tmp_path_factory.mktemp("prepared"))
    build.configure()
    places = {"locations": "locations.parquet"}
    steps = [
        build.run("locations", output="locations.parquet"),
        build.run("selection", **places, shard=0, slots=4, output="selection.parquet"),
        build.run("store.create", count=LOCATIONS, store="nol.zarr", record="layout.json"),
    ]
    assert all(step.returncode == 0 for step in steps), [step.stderr for step in steps]
    return build.folder


@pytest.fixture(scope="module")
def calm(prepared, tmp_path_factory):
    """The shard fetched without any trouble."""
    build = Build(tmp_path_factory.mktemp("calm") / "build")
    shutil.copytree(prepared, build.folder)
    run = build.fetch()
    assert run.returncode == 0, run.stderr
    return build


@pytest.fixture
def build(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "build")
    return Build(tmp_path / "build")


def test_pixels_arrive_and_the_log_says_that_they_are_simulated(calm):
    records = read_records(calm.folder / "shards" / "0.parquet")
    kept = sorted({record.sample for record in records if record.status == "done"})
    assert kept
    store = xr.open_zarr(calm.folder / "nol.zarr", mask_and_scale=False)
    assert (store.s2_10m[kept].max("band_10m") > 0).all()
    log = (calm.folder / "fetch.log").read_text()
    assert "simulated" in log and log.count("locations/s") == len({r.sample for r in records})


def test_a_quarter_of_the_calls_failing_in_ten_ways_changes_no_byte(build, calm):
    faults = [{"kind": kind, "share": 0.025, "seconds": 0.2} for kind in TEN_FAULTS]
    plan = {"seed": 3, "requests": ["pixels"], "faults": faults}
    (build.folder / "faults.json").write_text(json.dumps(plan))
    build.configure(simulator={"faults": "faults.json"}, earthengine={"slots": 8})
    run = build.fetch()
    assert run.returncode == 0, run.stderr
    retries = (build.folder / "fetch.log").read_text().split(" requests, ")[1].split(" retries")[0]
    assert int(retries) > 0
    assert build.digests() == calm.digests()


def test_killed_at_random_moments_the_same_command_ends_with_the_same_bytes(build, calm):
    chance = random.Random(4)
    for _ in range(4):
        worker = subprocess.Popen(build.fetch_command(), cwd=build.folder)
        time.sleep(chance.uniform(1.0, 4.0))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    run = build.fetch()
    assert run.returncode == 0, run.stderr
    assert build.digests() == calm.digests()


def test_throttling_until_patience_ends_is_a_failure_that_the_next_run_mends(build, calm):
    plan = {"requests": ["pixels"], "faults": [{"kind": "throttled", "share": 1.0}]}
    (build.folder / "faults.json").write_text(json.dumps(plan))
    build.configure(simulator={"faults": "faults.json"}, earthengine={"attempts": 1})
    run = build.fetch()
    assert run.returncode == 1
    assert sum(line.startswith("error: ") for line in run.stderr.splitlines()) == 1
    assert "Traceback" not in run.stderr
    asked = sum(r.status == "selected" for r in read_records(build.folder / "selection.parquet"))
    message = f"shard 0: {asked // 4} of {LOCATIONS} locations could not be fetched"
    assert message in run.stderr and f"(quota: {asked // 4}): " in run.stderr
    assert not (build.folder / "shards" / "0.parquet").exists()
    assert not any(file.exists() for file in shard_files(build.folder / "nol.zarr", 0))
    build.configure()
    assert build.fetch().returncode == 0
    assert build.digests() == calm.digests()
