import hashlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import geopandas
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from pipeline.errors import PipelineError
from pipeline.finish import finish_store, summary_text
from pipeline.ledger import Reason, Status
from pipeline.locations.table import write_locations
from pipeline.store.commit import write_commit
from pipeline.store.create import create_store
from pipeline.store.layout import shard_files
from pipeline.store.shards import write_shard
from tests.small_dataset import make_location, make_rows

REJECTED = {2: Reason.CLOUD, 5: Reason.NODATA, 7: Reason.CLOUD}


def committed_rows(sample):
    rows = [replace(row, status=Status.DONE) for row in make_rows(sample)]
    if sample in REJECTED:
        lost = {"status": Status.REJECTED, "s2_time": 0, "cloud_cover": None}
        rows = [replace(r, reason=Reason.OTHER_SEASON, **lost) for r in rows]
        rows[1] = replace(rows[1], reason=REJECTED[sample])
    return rows


class Dataset:
    """A store with committed shards, and the files around it."""

    def __init__(self, folder, settings, shard_pixels):
        self.folder, self.settings, self._pixels = folder, settings, shard_pixels
        self.store, self.ledgers = folder / "nol.zarr", folder / "shards"
        self.locations, self.index = folder / "locations.parquet", folder / "index.parquet"

    def commit(self, count):
        create_store(self.store, self.settings, count)
        write_locations(self.locations, map(make_location, range(count)))
        for shard in range(-(-count // 4)):
            samples = range(4 * shard, min(4 * shard + 4, count))
            kept = [sample for sample in samples if sample not in REJECTED]
            hashes = write_shard(self.store, shard, self._pixels(*kept))
            rows = [row for sample in samples for row in committed_rows(sample)]
            ledger = self.ledgers / f"{shard}.parquet"
            write_commit(ledger, rows, self.store, hashes, self.settings.dataset_hash())

    def finish(self):
        return finish_store(self.settings, self.store, self.ledgers, self.locations, self.index)

    def command(self):
        settings = self.folder / "settings.yaml"
        settings.write_text(yaml.safe_dump(self.settings.model_dump(mode="json")))
        words = [sys.executable, "-m", "pipeline.finish", "--settings", settings]
        words += ["--store", self.store, "--ledgers", self.ledgers, "--index", self.index]
        words += ["--locations", self.locations, "--summary", self.folder / "summary.txt"]
        return [str(word) for word in words]

    def digests(self):
        files = [*self.store.rglob("*"), self.index]
        return {
            file.relative_to(self.folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
            if file.is_file()
        }


@pytest.fixture
def dataset(tmp_path, small_settings, shard_pixels):
    made = Dataset(tmp_path, small_settings, shard_pixels)
    made.commit(10)
    return made


def test_nothing_is_valid_before_and_what_was_kept_is_valid_after(dataset):
    assert not xr.open_zarr(dataset.store).valid.any()
    dataset.finish()
    store = xr.open_zarr(dataset.store)
    assert np.flatnonzero(store.valid).tolist() == [0, 1, 3, 4, 6, 8, 9]
    assert store.id.values.tolist() == [f"{sample:04d}" for sample in range(10)]
    assert store.split.values[:3].tolist() == ["train", "validation", "train"]
    assert store.left[3] == 500_400.0 and (store.epsg == 32633).all()
    assert store.s2_id.values[4, 2] == "s2_4_2_a"
    assert store.s2_time.values[4, 0] == np.datetime64("2021-01-01T00:00:00.004")
    assert store.s2_time[5].isnull().all() and np.isnan(store.cloud_cover[5]).all()
    assert store.s1_relative_orbit[0, 0] == 95


def test_the_index_has_everything_but_pixels(dataset, random_pixels):
    dataset.finish()
    index = geopandas.read_parquet(dataset.index)
    assert len(index) == 10 and index.crs == "OGC:CRS84"
    assert index.valid.tolist() == [k not in REJECTED for k in range(10)]
    assert index.reason[5] == "nodata" and index.reason[0] == ""
    assert list(index.season_reason[2]) == ["other_season", "cloud", "other_season", "other_season"]
    assert index.s2_time[6][3] == np.datetime64("2021-01-01T00:00:00.006")
    assert pd.isna(index.s2_time[5][0]) and index.geometry[0].is_valid
    labels = np.concatenate([random_pixels(4, t).label.ravel() for t in range(4)])
    assert index.pixels_water[4] == (labels == 0).sum()
    assert index.pixels_snow_and_ice[4] == (labels == 8).sum()
    assert index.pixels_water[5] == index.pixels_unlabelled[5] == 0


def test_the_summary_counts_reasons_with_shares(dataset):
    summary = dataset.finish()
    lines = [line.split() for line in summary.splitlines()]
    assert lines[0][0] == "SIMULATED"
    assert lines[1:] == [
        ["locations", "10", "100.0%"],
        ["kept", "7", "70.0%"],
        ["rejected:", "cloud", "2", "20.0%"],
        ["rejected:", "nodata", "1", "10.0%"],
    ]
    assert "0.0%" in summary_text("nothing", Counter())


def test_finishing_twice_changes_nothing_and_removes_leftovers(dataset):
    dataset.finish()
    before = dataset.digests()
    (dataset.store / "s1" / "c" / "0" / ".0.dead.partial").write_bytes(b"half")
    staged = dataset.settings.folder / "staging" / "1" / "00000004-0-0123456789abcdef.npz"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"of an earlier selection")
    dataset.finish()
    assert dataset.digests() == before
    assert not (dataset.settings.folder / "staging").exists()


def test_finishing_again_heals_records_that_were_lost_or_damaged(dataset):
    dataset.finish()
    before = dataset.digests()
    (dataset.store / "id/c/0").unlink()
    (dataset.store / "valid/c/0").write_bytes(b"")
    (dataset.store / "s2_time/c/0/0").write_bytes(b"rubbish")
    dataset.finish()
    assert dataset.digests() == before


def test_growth_keeps_earlier_samples_and_equals_a_build_at_once(
    dataset, tmp_path, small_settings, shard_pixels
):
    dataset.finish()
    dataset.commit(14)
    dataset.finish()
    at_once = Dataset(tmp_path / "at_once", small_settings, shard_pixels)
    at_once.commit(14)
    at_once.finish()
    assert dataset.digests() == at_once.digests()


def test_fewer_locations_leave_the_others_in_the_store(dataset):
    dataset.finish()
    write_locations(dataset.locations, map(make_location, range(8)))
    dataset.finish()
    assert xr.open_zarr(dataset.store).valid.values[8:].all()
    assert len(pd.read_parquet(dataset.index)) == 8


@pytest.mark.parametrize("damage", ["lost shard", "short shard", "lost ledger", "other places"])
def test_an_incomplete_build_is_refused_and_nothing_written(dataset, damage):
    file = shard_files(dataset.store, 1)[2]
    if damage == "lost shard":
        file.unlink()
    elif damage == "short shard":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "lost ledger":
        (dataset.ledgers / "1.parquet").unlink()
    else:
        write_locations(dataset.locations, map(make_location, range(12)))
    with pytest.raises(PipelineError, match=r"s2_60m|1\.parquet does not exist|shard 2 was"):
        dataset.finish()
    assert not dataset.index.exists()
    assert not xr.open_zarr(dataset.store).valid.any()


def test_the_command_writes_and_prints_the_summary_or_one_line(dataset):
    run = subprocess.run(dataset.command(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == (dataset.folder / "summary.txt").read_text()
    (dataset.ledgers / "0.parquet").unlink()
    run = subprocess.run(dataset.command(), capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1


def wait_for_new_file(run, folder, pattern):
    """Importing takes most of a short run; the interesting moments begin with its first file."""
    before = set(folder.glob(pattern))
    while run.poll() is None and not set(folder.glob(pattern)) - before:
        time.sleep(0.002)


def test_killed_at_any_moment_nothing_is_half_valid_and_the_same_command_completes(
    dataset, tmp_path, small_settings, shard_pixels
):
    chance = random.Random(1)
    for _ in range(4):
        run = subprocess.Popen(dataset.command(), stdout=subprocess.DEVNULL)
        wait_for_new_file(run, dataset.folder, ".index.parquet.*.partial")
        time.sleep(chance.uniform(0.0, 0.15))
        run.send_signal(signal.SIGKILL)
        run.wait()
        store = xr.open_zarr(dataset.store).load()
        valid = np.flatnonzero(store.valid)
        assert (store.id[valid] != "").all() and (store.epsg[valid] == 32633).all()
    subprocess.run(dataset.command(), check=True, stdout=subprocess.DEVNULL)
    assert not list(dataset.folder.rglob("*.partial"))
    calm = Dataset(tmp_path / "calm", small_settings, shard_pixels)
    calm.commit(10)
    calm.finish()
    assert dataset.digests() == calm.digests()
