import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline.season_pixels import SeasonPixels
from pipeline.settings.dataset import GridSettings
from pipeline.store.create import create_store
from pipeline.store.layout import PIXEL_ARRAYS, shard_files
from pipeline.store.shards import read_season, read_store_shape, write_shard

ROOT = Path(__file__).parents[3]
NAMES = [array.name for array in PIXEL_ARRAYS]

WRITER = """
import sys
from pathlib import Path
from pipeline.store.shards import read_store_shape, write_shard
from tests.small_dataset import make_pixels

store = Path(sys.argv[1])
size = read_store_shape(store).patch_pixels
shard = {(k, t): make_pixels(k, t, size) for k in range(4) for t in range(4)}
print("ready", flush=True)
while True:
    print(sorted(write_shard(store, 0, shard).values()), flush=True)
    if len(sys.argv) > 2:
        break
"""


@pytest.fixture
def store(tmp_path, small_settings):
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 10)
    return path


def assert_equal(one: SeasonPixels, other: SeasonPixels):
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_plain_xarray_reads_back_what_was_written(store, shard_pixels):
    pixels = shard_pixels(4, 6, 7)
    write_shard(store, 1, pixels)
    dataset = xr.open_zarr(store, mask_and_scale=False)
    for (sample, season), written in pixels.items():
        for name in NAMES:
            values = dataset[name][sample, season].values
            np.testing.assert_array_equal(values, getattr(written, name))
    assert (dataset.label[5] == 255).all() and (dataset.s2_10m[5] == 0).all()
    decoded = xr.open_zarr(store).s1[4, 0].values
    np.testing.assert_allclose(decoded, pixels[4, 0].s1 * 0.01)


def test_a_season_reads_back_as_it_was(store, shard_pixels):
    pixels = shard_pixels(0, 3)
    write_shard(store, 0, pixels)
    assert_equal(read_season(store, 3, 2), pixels[3, 2])


def test_files_and_hashes_are_those_of_the_declared_outputs(store, shard_pixels):
    hashes = write_shard(store, 1, shard_pixels(4))
    files = shard_files(store, 1)
    assert [store / key for key in hashes] == files
    assert [hashlib.sha256(f.read_bytes()).hexdigest() for f in files] == list(hashes.values())
    assert not list(store.rglob("*.partial"))


def test_a_shard_without_samples_is_a_file_that_reads_as_nodata(store):
    write_shard(store, 0, {})
    assert all(file.exists() for file in shard_files(store, 0))
    dataset = xr.open_zarr(store, mask_and_scale=False).isel(sample=slice(0, 4))
    assert (dataset.s1 == -32768).all() and (dataset.label == 255).all()


def test_a_season_of_nodata_costs_nothing_and_reads_as_nodata(store, shard_pixels, random_pixels):
    pixels = shard_pixels(0)
    full = pixels[0, 1]
    pixels[0, 1] = SeasonPixels(
        full.s2_10m, full.s2_20m, np.zeros_like(full.s2_60m), full.s1, full.label
    )
    write_shard(store, 0, pixels)
    assert_equal(read_season(store, 0, 1), pixels[0, 1])


def test_the_last_shard_may_be_cut_short_and_grows_without_changing_bytes_before(
    store, shard_pixels, small_settings
):
    write_shard(store, 2, shard_pixels(8, 9))
    earlier = {(k, t): read_season(store, k, t) for k in (8, 9) for t in range(4)}
    create_store(store, small_settings, 12)
    write_shard(store, 2, earlier | shard_pixels(10))
    for key, pixels in shard_pixels(8, 9, 10).items():
        assert_equal(read_season(store, *key), pixels)
    assert read_store_shape(store).samples_of(2) == range(8, 12)


def test_samples_that_do_not_belong_or_are_incomplete_are_refused(store, shard_pixels):
    with pytest.raises(ValueError, match="sample 4 is not among 0 to 3"):
        write_shard(store, 0, shard_pixels(4))
    with pytest.raises(ValueError, match="sample 10 is not among 8 to 9"):
        write_shard(store, 2, shard_pixels(10))
    pixels = shard_pixels(1)
    del pixels[1, 2]
    with pytest.raises(ValueError, match=r"sample 1 lacks the seasons \[2\]"):
        write_shard(store, 0, pixels)


def test_wrong_shapes_and_types_are_refused_and_leave_nothing(store, random_pixels):
    pixels = {(0, t): random_pixels(0, t, size=24) for t in range(4)}
    with pytest.raises(ValueError, match=r"uint16 \(4, 24, 24\).*\(4, 12, 12\)"):
        write_shard(store, 0, pixels)
    good = random_pixels(0, 0)
    as_float = SeasonPixels(
        good.s2_10m, good.s2_20m, good.s2_60m, good.s1.astype(np.float32), good.label
    )
    with pytest.raises(ValueError, match="float32"):
        write_shard(store, 0, {(0, t): as_float for t in range(4)})
    assert not any(file.exists() for file in shard_files(store, 0))
    assert not list(store.rglob("*.partial"))


def test_bytes_do_not_depend_on_process_order_or_threads(
    store, shard_pixels, tmp_path, small_settings
):
    # Large enough for several Blosc blocks in a chunk, which threads would finish in any order.
    large = small_settings.model_copy(update={"grid": GridSettings(pixels=264)})
    create_store(tmp_path / "large.zarr", large, 4)

    def written_elsewhere(threads: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", WRITER, tmp_path / "large.zarr", "once"],
            cwd=ROOT,
            env=os.environ | {"BLOSC_NTHREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout

    assert written_elsewhere("1") == written_elsewhere("4")
    pixels = shard_pixels(0, 1, 2)
    backwards = dict(reversed(pixels.items()))
    assert write_shard(store, 0, pixels) == write_shard(store, 0, backwards)


def test_a_reader_never_sees_a_part_of_a_shard_when_the_writer_is_killed(store):
    chance = random.Random(0)
    seen = set()
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, store], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.05))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        for file in shard_files(store, 0):
            if file.exists():
                seen.add((file, hashlib.sha256(file.read_bytes()).hexdigest()))
    assert len(seen) == len({file for file, _ in seen})
    last = subprocess.run(
        [sys.executable, "-c", WRITER, store, "once"], cwd=ROOT, capture_output=True, check=True
    )
    final = {(f, hashlib.sha256(f.read_bytes()).hexdigest()) for f in shard_files(store, 0)}
    assert seen <= final and last.returncode == 0


def test_a_full_disk_leaves_the_earlier_shard_whole(store, shard_pixels):
    write_shard(store, 0, shard_pixels(0))
    before = [file.read_bytes() for file in shard_files(store, 0)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            write_shard(store, 0, shard_pixels(0, 1, 2, 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [file.read_bytes() for file in shard_files(store, 0)] == before
    assert not list(store.rglob("*.partial"))
