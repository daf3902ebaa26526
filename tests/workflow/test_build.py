"""The whole build against the simulated Earth: what arrives, and what a second run does."""

import numpy as np
import pandas as pd
import xarray as xr

from tests.workflow.conftest import executed_rules


def test_store_opens_with_xarray_alone_and_holds_pixels(finished):
    store = xr.open_zarr(finished.store)
    valid = store["valid"].values
    assert valid.sum() >= 5
    sample = store.isel(sample=int(np.flatnonzero(valid)[0]))
    assert sample["s2_10m"].shape == (4, 4, 48, 48)
    assert (sample["s2_10m"].values > 0).all()
    assert np.isfinite(sample["s1"].values).all()
    label = sample["label"].values
    assert set(np.unique(label[np.isfinite(label)])) <= set(range(9))
    assert np.isfinite(label).mean() >= 0.5


def test_store_and_log_say_that_it_is_simulated(finished):
    attributes = xr.open_zarr(finished.store).attrs
    assert attributes["simulated"]
    assert "SIMULATED" in attributes["title"]
    logs = [log.read_text() for log in finished.folder.glob("logs/**/*.log")]
    assert any("simulated" in log.lower() for log in logs)


def test_index_has_a_row_per_candidate_with_the_reason(finished):
    index = pd.read_parquet(finished.folder / "nol.index.parquet")
    assert len(index) == 10
    valid = xr.open_zarr(finished.store)["valid"].values
    assert index["valid"].tolist() == valid.tolist()


def test_a_second_run_does_nothing(finished, tmp_path):
    run = finished.copied_to(tmp_path / "copy").run("build_nol")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout + run.stderr


def test_other_core_count_and_other_server_same_bytes(finished, workflow, simulated_earth):
    workflow.configuration["earthengine"] = {"service": simulated_earth}
    workflow.build(cores=4)
    assert workflow.digests() == finished.digests()


def test_a_lost_shard_is_made_again_and_nothing_else(finished, copy):
    (copy.store / "s1/c/1/0/0/0/0").unlink()
    jobs = executed_rules(copy.build())
    assert jobs["fetch_pixels"] == 1
    assert "select_scenes" not in jobs
    assert copy.digests() == finished.digests()


def test_more_locations_leave_the_earlier_ones_unchanged(finished, copy):
    earlier = xr.open_zarr(finished.store).load()
    copy.configuration["locations"] = copy.configuration["locations"] | {"count": 14}
    jobs = executed_rules(copy.build())
    assert jobs["fetch_pixels"] == jobs["select_scenes"] == 2
    grown = xr.open_zarr(copy.store).load()
    assert grown.sizes["sample"] == 14
    xr.testing.assert_identical(grown.isel(sample=slice(0, 10)).drop_attrs(), earlier.drop_attrs())
    log = (copy.folder / "logs/shards/2.log").read_text()
    assert "2 locations were finished before" in log


def test_a_store_of_another_configuration_is_not_touched(finished, copy):
    copy.configuration["selection"] = {"cloud_cover_max": 10.0}
    run = copy.run("build_nol")
    assert run.returncode == 1
    assert "cloud_cover_max" in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    stored = ("nol.zarr/**/*", "shards/*")
    assert copy.digests(*stored) == finished.digests(*stored) != {}


def test_where_passes_over_stores_run_makes_nothing_out_of_date(finished, tmp_path):
    copy = finished.copied_to(tmp_path / "copy", dask={"workers": "processes"})
    assert "Nothing to be done" in copy.run("--dry-run", "build_nol").stdout
    again = ("--forcerun", "nol_statistics", "--", "build_nol")
    planned = copy.run("--dry-run", "--printshellcmds", *again)
    (command,) = [line for line in planned.stdout.splitlines() if "pipeline.statistics" in line]
    assert " --workers processes " in command
