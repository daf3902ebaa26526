import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr
import zarr

from pipeline.dask_cluster import dask_cluster
from pipeline.errors import PipelineError
from pipeline.provenance import sample_provenance
from pipeline.rechunk import Plan, main, parse_chunks, rechunk
from pipeline.run_lock import hold_run_lock
from pipeline.store.create import create_store
from pipeline.store.groups import write_records
from pipeline.store.reader import as_cube, open_store
from pipeline.store.sample_index import index_store
from pipeline.store.shards import write_shard
from pipeline.store.tile_layout import TileGroup, label_array, reflectance_array
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles
from tests.earlier_store import begin_earlier

VALID = (0, 2, 3, 5)
"""Of 7 samples in shards of 4; the others are empty."""


@pytest.fixture
def store(tmp_path, small_settings, shard_pixels):
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 7)
    pixels = shard_pixels(*VALID)
    for shard in (0, 1):
        write_shard(path, shard, {key: p for key, p in pixels.items() if key[0] // 4 == shard})
    zarr.open_array(path / "valid", mode="r+")[list(VALID)] = True
    zarr.open_array(path / "id", mode="r+")[...] = np.array([f"{i:04d}" for i in range(7)], object)
    return path


def opened(path, group=None):
    return xr.open_zarr(path, group=group, chunks=None, decode_cf=False)


def same_attributes(one, other):
    ours = ("layout", "rechunked", "bands")
    return {k: v for k, v in one.items() if k not in ours} == {
        k: v for k, v in other.items() if k not in ours
    }


@pytest.mark.parametrize("samples_per_file", [None, 6])
def test_values_and_attributes_are_kept(store, tmp_path, samples_per_file):
    plan = Plan("stored", {"sample": 3, "time": 4, "y": 8, "x": 6}, samples_per_file)
    rechunk(store, tmp_path / "other.zarr", plan)
    before, after = opened(store), opened(tmp_path / "other.zarr")
    xr.testing.assert_identical(before.drop_attrs(), after.drop_attrs())
    assert {k: v.attrs for k, v in before.variables.items()} == {
        k: v.attrs for k, v in after.variables.items()
    }
    assert same_attributes(before.attrs, after.attrs)
    assert after["s2_10m"].encoding["chunks"] == (3, 4, 4, 8, 6)
    assert after["s2_20m"].encoding["chunks"] == (3, 4, 6, 4, 3)
    assert after["s2_60m"].encoding["chunks"] == (3, 4, 3, 1, 1)
    files = [path for path in (tmp_path / "other.zarr/s1/c").rglob("*") if path.is_file()]
    # The last sample is not valid: chunks and files without data are left out.
    assert len(files) == (1 if samples_per_file else 2 * 2 * 2)
    assert after.attrs["rechunked"]["layout"] == before.attrs["layout"]


@pytest.mark.parametrize("earlier", [False, True], ids=["ours", "of an earlier version"])
def test_the_chunks_of_a_copy_have_checksums(store, tmp_path, shard_pixels, earlier):
    if earlier:
        begin_earlier(store)
        write_shard(store, 0, shard_pixels(0))
        write_shard(store, 1, {})
        write_records(store, "valid", [True] + [False] * 6)
    rechunk(store, tmp_path / "other.zarr", Plan("stored", {"sample": 3}))
    (file,) = (path for path in (tmp_path / "other.zarr/s1/c/0").rglob("*") if path.is_file())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="checksum do not match"):
        xr.open_zarr(tmp_path / "other.zarr")["s1"][0].load()


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_a_cube_is_what_the_reader_makes_of_it(store, tmp_path, method):
    rechunk(store, tmp_path / "cube.zarr", Plan("cube", {"sample": 2}, None, method))
    cube = opened(tmp_path / "cube.zarr")
    expected = as_cube(open_store(store), method)
    assert cube["s2"].dims == expected.dims and cube["s2"].dtype == expected.dtype
    np.testing.assert_array_equal(cube["s2"], expected)
    assert list(cube["band_s2"].values) == list(expected["band_s2"].values)
    assert not {"s2_10m", "band_20m", "y_60m"} & set(cube.variables)
    np.testing.assert_array_equal(cube["label"], opened(store)["label"])
    assert [band["name"] for band in cube.attrs["bands"]["s2"]] == list(cube["band_s2"].values)


def test_a_copy_in_files_of_a_chunk_is_told_from_its_records(store, tmp_path):
    copy = tmp_path / "copy" / store.name
    rechunk(store, copy, Plan("stored", {"sample": 2}))
    for path in (store, copy):
        index_store(path, path.with_suffix(".parquet"))
    expected, found = (pq.read_table(path.with_suffix(".parquet")) for path in (store, copy))
    assert str(found.to_pydict()) == str(expected.to_pydict())  # NaN is not equal to itself
    expected, found = (sample_provenance(path, "0002") for path in (store, copy))
    for part in ("sample", "place", "dates"):
        assert found[part] == expected[part]


def test_groups_of_tiles_are_copied_each(tmp_path):
    arrays = (reflectance_array(), label_array("label", "dynamic_world", "what it is"))
    groups = {"train": TileGroup(3, 12, arrays), "test": TileGroup(2, 18, arrays)}
    store = tmp_path / "dw.zarr"
    attributes = {"title": "t", "source": "s", "simulated": False, "dataset_hash": "h"}
    create_tile_store(store, groups, attributes)
    rng = np.random.default_rng(0)
    for name, group in groups.items():
        tile = {
            "s2": rng.integers(1, 9000, (13, group.size, group.size), np.uint16),
            "label": rng.integers(0, 9, (group.size, group.size), np.uint8),
        }
        write_tiles(store, name, 0, {1: tile})
        finish_tiles(store, name, {}, [False, True, False][: group.count])
    rechunk(store, tmp_path / "other.zarr", Plan("cube", {"sample": 2, "band": 1}))
    for name in groups:
        before, after = opened(store, name), opened(tmp_path / "other.zarr", name)
        xr.testing.assert_identical(before.drop_attrs(), after.drop_attrs())
        assert after["s2"].encoding["chunks"][:2] == (2, 1)
    assert zarr.open_group(tmp_path / "other.zarr").attrs["groups"] == ["train", "test"]


def test_processes_give_the_same_bytes_as_one_thread(store, tmp_path):
    words = [str(store), str(tmp_path / "command.zarr"), "--chunk", "sample=2,time=2"]
    main([*words, "--threads", "2", "--workers", "processes"])
    rechunk(store, tmp_path / "call.zarr", Plan("stored", {"sample": 2, "time": 2}))
    files = {
        name: {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("command.zarr", "call.zarr")
    }
    assert files["command.zarr"] == files["call.zarr"]


def test_nothing_appears_if_a_shard_is_damaged(store, tmp_path):
    path = store / "s1/c/1/0/0/0/0"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PipelineError, match="damaged"), dask_cluster(2):
        rechunk(store, tmp_path / "other.zarr", Plan())
    assert not (tmp_path / "other.zarr").exists()


SMALL_CHUNKS = {"sample": 1, "time": 1, "band": 1}
"""Many files, so that a kill finds some there and some not."""

COMMAND = f"""
import os
import signal
import sys
from pathlib import Path
from pipeline.rechunk import Plan, rechunk

renames_left = int(sys.argv[3])


def kill(event, _):
    global renames_left
    renames_left -= event == "os.rename"
    cleaning = event == "shutil.rmtree" and os.path.exists(sys.argv[2])
    if event != "os.kill" and (renames_left < 0 or cleaning):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(kill)
rechunk(Path(sys.argv[1]), Path(sys.argv[2]), Plan("stored", {SMALL_CHUNKS}))
"""
"""Is killed before it gives a file its name, or between the name of the output and cleaning up."""


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def grown(output):
    """The files of pixels that an unfinished copy has so far, with what changes with each write."""
    folders = output.parent.glob(f".{output.name}.*.partial/store")
    files = [file for folder in folders for file in folder.glob("[sl]*[0-9ml]/c/**/[0-9]*")]
    return {file: file.stat().st_ino for file in files if file.is_file()}


@contextmanager
def held(output):
    """Another process at work on the same copy."""
    (folder,) = output.parent.glob(f".{output.name}.*.partial")
    lock = hold_run_lock(folder)
    yield
    lock.release()


def test_a_killed_copy_goes_on_to_the_same_bytes(store, tmp_path):
    plan, output = Plan("stored", SMALL_CHUNKS), tmp_path / "other.zarr"
    rechunk(store, tmp_path / "clean.zarr", plan)
    before = {}
    for renames in (20, 200, 10_000):
        words = [sys.executable, "-c", COMMAND, str(store), str(output), str(renames)]
        assert subprocess.run(words, stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
        assert output.exists() == (renames == 10_000)
        now = grown(output)
        again = {file.parts[-6:-3] for file in before if now and before[file] != now[file]}
        assert len(again) <= 1  # the block that was being written; nothing else is made twice
        assert renames != 200 or len(now) > 100
        before = now
    assert content(output) == content(tmp_path / "clean.zarr")
    with pytest.raises(PipelineError, match="exists"):
        rechunk(store, output, plan)
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {"results"} == {"nol.zarr", "clean.zarr", "other.zarr"}


def test_what_was_made_of_a_shard_that_changed_is_made_again(store, tmp_path, shard_pixels):
    plan, output = Plan("cube", {"sample": 2}), tmp_path / "other.zarr"
    damaged = store / "s1/c/1/0/0/0/0"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1])
    while len(grown(output)) < 4:  # tasks come in any order
        with pytest.raises(PipelineError, match="damaged"):
            rechunk(store, output, plan)
    damaged.write_bytes(good)
    pixels = shard_pixels(0, 2, 3)
    pixels[2, 1].s2_10m[0, 0, 0] += 1
    write_shard(store, 0, {key: one for key, one in pixels.items() if key[0] < 4})
    with pytest.raises(PipelineError, match="another process is making"), held(output):
        rechunk(store, output, plan)
    rechunk(store, output, plan)
    rechunk(store, tmp_path / "clean.zarr", plan)
    assert content(output) == content(tmp_path / "clean.zarr")


def test_a_file_of_a_valid_sample_is_there_also_without_data(store, tmp_path, shard_pixels):
    pixels = {key: one for key, one in shard_pixels(*VALID).items() if key[0] < 4}
    for season in range(4):
        pixels[2, season].label[:] = 255
    write_shard(store, 0, pixels)
    for samples_per_file in (None, 1):
        output = tmp_path / f"{samples_per_file}.zarr"
        rechunk(store, output, Plan("stored", {"y": 6}, samples_per_file))
        label = open_store(output)["label"]
        assert (label[2].values == 255).all()
        (output / "label/c/2/0/0/0").unlink()
        with pytest.raises(PipelineError, match="label/c/2/0/0/0 is missing"):
            label[2].values  # noqa: B018
        assert (label[1].values == 255).all()  # not valid: there is nothing to be lost


def test_an_attempt_with_another_plan_is_removed_in_the_end(store, tmp_path):
    output = tmp_path / "other.zarr"
    damaged = store / "s1/c/1/0/0/0/0"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1])
    with pytest.raises(PipelineError, match="damaged"):
        rechunk(store, output, Plan())
    damaged.write_bytes(good)
    rechunk(store, output, Plan("cube"))
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {"results"} == {"nol.zarr", "other.zarr"}
    assert output.stat().st_mode == store.stat().st_mode


def test_what_cannot_be_done_is_refused_in_one_line(store, tmp_path):
    with pytest.raises(PipelineError, match="exists"):
        rechunk(store, store, Plan())
    with pytest.raises(PipelineError, match="no store of ours"):
        rechunk(tmp_path / "nothing.zarr", tmp_path / "other.zarr", Plan())
    for wrong in ("sample=0", "depth=3", "y", "x=1.5"):
        with pytest.raises(PipelineError, match="--chunk"):
            parse_chunks(wrong)
    with pytest.raises(PipelineError, match="no Dask scheduler answers"):
        main([str(store), str(tmp_path / "o.zarr"), "--scheduler", "nowhere"])
