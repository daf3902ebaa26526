import json
import random
import subprocess
import sys
from dataclasses import replace

import dask
import distributed
import numpy as np
import pytest
import xarray as xr
import zarr

from pipeline.errors import PipelineError
from pipeline.pixel_sums import BandSums, Sums, merge_sums
from pipeline.sensors import all_bands
from pipeline.statistics import main, shard_sums, store_statistics
from pipeline.store.create import create_store
from pipeline.store.shards import write_shard

VALID = {0: "train", 2: "validation", 3: "train", 5: "train"}


@pytest.fixture
def pixels(shard_pixels):
    drawn = shard_pixels(*VALID)
    dark = drawn[0, 1]
    s2_20m, s1, label = dark.s2_20m.copy(), dark.s1.copy(), dark.label.copy()
    s2_20m[5] = 0
    s2_20m[:, 0, :2] = 0
    s1[1, :3] = -32768
    label[4] = 255
    drawn[0, 1] = replace(dark, s2_20m=s2_20m, s1=s1, label=label)
    return drawn


@pytest.fixture
def store(tmp_path, small_settings, pixels):
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 8)
    for shard in (0, 1):
        write_shard(path, shard, {key: p for key, p in pixels.items() if key[0] // 4 == shard})
    split = zarr.open_array(path / "split", mode="r+")
    valid = zarr.open_array(path / "valid", mode="r+")
    for sample, name in VALID.items():
        split[sample], valid[sample] = name, True
    return path


def with_data(pixels, name):
    """(bands, pixels) in double precision, of the pixels that have data."""
    values = getattr(pixels, name).reshape(len(getattr(pixels, name)), -1)
    good = (values != -32768).all(axis=0) if name == "s1" else (values != 0).any(axis=0)
    return values[:, good].astype(np.float64) * (0.01 if name == "s1" else 1.0)


@pytest.mark.parametrize(
    ("split", "season"), [("train", "all"), ("train", "1"), ("validation", "3")]
)
def test_figures_equal_numpy(store, pixels, split, season):
    statistics = store_statistics(store)
    wanted = [
        p
        for (sample, time), p in pixels.items()
        if VALID[sample] == split and season in ("all", str(time))
    ]
    for band in all_bands():
        values = np.concatenate([with_data(p, band.array)[band.position] for p in wanted])
        found = statistics["bands"][split][season][band.name]
        assert found["count"] == values.size
        expected = [values.mean(), values.std(), values.min(), values.max()]
        np.testing.assert_allclose(
            [found[key] for key in ("mean", "std", "min", "max")], expected, rtol=1e-12
        )
    labels = np.concatenate([p.label.ravel() for p in wanted])
    counts = statistics["classes"][split][season]
    assert counts["water"] == (labels == 0).sum()
    assert counts["unlabelled"] == (labels == 255).sum()
    assert sum(counts.values()) == labels.size
    assert statistics["samples"] == {"train": 3, "validation": 1}


def test_threads_cluster_and_order_give_the_same_figures(store):
    with dask.config.set(scheduler="synchronous"):
        one = store_statistics(store)
    with dask.config.set(scheduler="threads", num_workers=4):
        assert store_statistics(store) == one
    parts = [shard_sums(store, {sample: split}) for sample, split in VALID.items()]
    merged = merge_sums(parts)
    random.Random(0).shuffle(parts)
    shuffled = merge_sums([merge_sums(parts[:3]), merge_sums(parts[3:])])
    assert shuffled.bands == merged.bands


def test_sums_beyond_64_bits_stay_exact():
    half = BandSums(10**12, 6 * 10**16, 4 * 10**21, 1, 65535)
    figures = half.merged(half).figures(1)
    assert figures["count"] == 2 * 10**12 and figures["mean"] == 60000.0
    assert figures["std"] == pytest.approx((4e9 - 3.6e9) ** 0.5, rel=1e-12)


def test_a_store_without_valid_samples_has_no_figures(tmp_path, small_settings):
    create_store(tmp_path / "nol.zarr", small_settings, 8)
    statistics = store_statistics(tmp_path / "nol.zarr")
    assert statistics == {"samples": {}, "bands": {}, "classes": {}}


def test_the_command_writes_them_beside_and_into_the_store(store, tmp_path):
    words = ["--store", store, "--output", tmp_path / "statistics.json", "--threads", "2"]
    command = [sys.executable, "-m", "pipeline.statistics", *map(str, words)]
    subprocess.run(command, check=True)
    written = json.loads((tmp_path / "statistics.json").read_text())
    assert written == store_statistics(store)
    assert xr.open_zarr(store).attrs["statistics"] == written
    before = (store / "zarr.json").read_bytes()
    subprocess.run(command, check=True)
    assert (store / "zarr.json").read_bytes() == before


def test_an_existing_cluster_can_do_the_work(store, tmp_path):
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        output = tmp_path / "statistics.json"
        words = ["--store", store, "--output", output, "--scheduler", cluster.scheduler_address]
        main([str(word) for word in words])
    assert json.loads(output.read_text()) == store_statistics(store)


def test_what_is_no_store_is_refused_in_one_line(tmp_path):
    with pytest.raises(PipelineError, match="build it first"):
        store_statistics(tmp_path / "nothing.zarr")


def test_scenes_without_data_count_for_nothing():
    sums = Sums()
    values = np.full((2, 1, 2, 2), -32768, np.int16)
    values[1, 0, 0, 0] = -7
    scenes = [("train", 0)] * 2
    sums.add_scenes(scenes, ["VV"], values, np.zeros((2, 2, 2), bool))
    assert sums.bands == {}
    sums.add_scenes(scenes, ["VV"], values, values[:, 0] != -32768)
    assert sums.bands == {("train", 0, "VV"): BandSums(1, -7, 49, -7, -7)}
