"""Training reads the same from object storage as from disk: a real S3 server on this machine."""

import shutil
import signal
import subprocess
import sys

import numpy as np
import obstore
import pytest
import torch
import zarr
from obstore.store import from_url

from pipeline.errors import PipelineError
from pipeline.publish import main as publish
from pipeline.store.create import read_attributes
from pipeline.store.object_path import ObjectPath, store_path
from pipeline.store.reader import open_store
from pipeline.store.shard_reader import ZarrArray, open_chunks
from tests.training.conftest import SAMPLES, learnable_pixels, tiny_plan, write_store
from tests.training.learnable_tiles import write_tile_store
from tests.workflow.s3_server import BUCKET, s3_server, server_command
from training.loading.loader import EpochSampler, make_loader
from training.loading.samples import Draw, NolDataset

URL = f"s3://{BUCKET}/nol.zarr"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same store on disk and in a bucket; one of its arrays in a form of zarr-python's own."""
    command = server_command()
    if command is None:
        pytest.skip("no S3 server: `pip install 'moto[server]'` gives one")
    path = write_store(tmp_path_factory.mktemp("store") / "nol.zarr", learnable_pixels)
    labels = zarr.open_array(path / "label", mode="r")[:]
    attributes = dict(zarr.open_array(path / "label", mode="r").attrs)
    shutil.copytree(path, path.parent / "other.zarr")
    shutil.rmtree(path.parent / "other.zarr/label")
    zarr.create_array(
        path.parent / "other.zarr/label", data=labels, chunks=(2, 4, 48, 48), attributes=attributes
    )
    with s3_server(command) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        bucket = from_url(f"s3://{BUCKET}", client_options={"allow_http": True})
        for file in path.parent.rglob("*"):
            if file.is_file():
                obstore.put(bucket, str(file.relative_to(path.parent)), file)
        yield path, store_path(URL)


def assert_same(mine, theirs):
    assert torch.equal(mine.sample_B, theirs.sample_B)
    assert torch.equal(mine.season_B, theirs.season_B)
    assert torch.equal(mine.labels_BTHW, theirs.labels_BTHW)
    assert mine.imagery.keys() == theirs.imagery.keys()
    assert all(torch.equal(mine.imagery[k], theirs.imagery[k]) for k in mine.imagery)


def test_a_batch_from_a_bucket_is_that_from_disk(stores):
    disk, bucket = (NolDataset(place, "train", seed=5) for place in stores)
    assert bucket.ids == disk.ids
    requests = [Draw(2, place) for place in (16, 0, 7, 7, 3)]
    assert_same(bucket.__getitems__(requests), disk.__getitems__(requests))


def test_workers_read_a_bucket_in_blocks(stores):
    def batches(place, workers):
        data = NolDataset(place, "train", seed=5)
        sampler = EpochSampler(len(data), 4, seed=1, shards_N=data.shards)
        return list(make_loader(data, sampler, 4, workers))

    for mine, theirs in zip(batches(stores[1], 2), batches(stores[0], 0), strict=True):
        assert_same(mine, theirs)


def test_a_whole_store_opens_and_a_foreign_form_reads_the_same(stores):
    disk, bucket = stores
    np.testing.assert_array_equal(open_store(bucket)["valid"], open_store(disk)["valid"])
    assert open_store(bucket).sizes["sample"] == SAMPLES
    other = open_chunks(bucket.parent / "other.zarr" / "label")
    assert isinstance(other, ZarrArray)
    found = np.empty(other.item_shape, other.dtype)
    other.read_into(found, 5)
    np.testing.assert_array_equal(found, zarr.open_array(disk / "label", mode="r")[5])


def test_a_run_is_planned_on_a_bucket(stores, tmp_path):
    disk, bucket = stores
    plan = tiny_plan(bucket, tmp_path / "run")
    assert str(plan.store) == URL
    assert plan.attributes == read_attributes(disk)


def test_nothing_at_a_url_is_named(stores):
    absent = ObjectPath(f"s3://{BUCKET}/absent.zarr")
    assert not absent.exists() and stores[1].is_dir() and not stores[1].is_file()
    with pytest.raises(PipelineError, match=f"no Zarr store at s3://{BUCKET}/absent.zarr"):
        open_store(absent)
    with pytest.raises(PipelineError, match="no array 's1' in s3://"):
        open_chunks(absent / "s1")


def test_a_refusal_is_one_line_with_the_remedy(stores, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(PipelineError, match="s3://elsewhere/.*cannot be read.*AWS_ENDPOINT_URL"):
        (ObjectPath("s3://elsewhere") / "zarr.json").read_bytes()


KILLED_COPY = """
import os
import signal
import sys
from pipeline.publish import main

files_left = 60


def kill(event, arguments):
    global files_left
    files_left -= event == "open" and str(arguments[0]).startswith(sys.argv[2])
    if event != "os.kill" and files_left < 0:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(kill)
main(sys.argv[1:])
"""
"""Is killed when it reads the 61st file of the store."""


def test_a_copy_that_was_killed_is_no_store_and_is_completed(stores, tmp_path):
    tiles = write_tile_store(tmp_path / "dw.zarr")
    copy = ObjectPath(f"s3://{BUCKET}/copies/dw.zarr")
    words = ["--store", str(tiles), "--url", copy.url, "--record", str(tmp_path / "record.json")]
    run = subprocess.run([sys.executable, "-c", KILLED_COPY, *words])
    assert run.returncode == -signal.SIGKILL and 20 < len(copy.below()) < 80
    for group in (None, "train", "test"):
        with pytest.raises(PipelineError, match="no Zarr store"):
            open_store(copy, group)
    publish(words)
    for file in (file for file in tiles.rglob("*") if file.is_file()):
        assert (copy / file.relative_to(tiles).as_posix()).read_bytes() == file.read_bytes()
    assert open_store(copy, "train").identical(open_store(tiles, "train"))


def test_a_shard_that_is_lost_in_a_bucket_is_told(stores):
    disk, bucket = stores
    train = NolDataset(bucket, "train", ("s1",), seed=5)
    lost = f"{bucket.name}/s1/c/1/0/0/0/0"
    client = from_url(f"s3://{BUCKET}", client_options={"allow_http": True})
    obstore.delete(client, lost)
    try:
        for read in (
            lambda: train.__getitems__([Draw(0, place) for place in range(len(train))]),
            lambda: open_store(bucket)["s1"][8, 0].values,
        ):
            with pytest.raises(PipelineError, match=f"s3://{BUCKET}/{lost} is missing or empty"):
                read()
    finally:
        obstore.put(client, lost, disk.parent / lost)


def test_a_password_in_an_endpoint_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://somebody:unspoken@127.0.0.1:9")
    tiles = write_tile_store(tmp_path / "dw.zarr")
    words = ["--store", str(tiles), "--url", "s3://b/dw.zarr", "--record", str(tmp_path / "r")]
    for read in (lambda: publish(words), lambda: open_store(ObjectPath("s3://b/nol.zarr"))):
        with pytest.raises(PipelineError, match="cannot be read .*127.0.0.1:9") as told:
            read()
        assert "unspoken" not in str(told.value)


def test_a_store_in_a_bucket_is_inspected(stores, tmp_path):
    words = [sys.executable, "-m", "pipeline.inspect", URL]
    run = subprocess.run([*words, "--gallery", str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0 and "23 complete of 24" in run.stdout, run.stderr
    assert len(list(tmp_path.glob("*.png"))) == 3
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == 1 and "say with --gallery where" in run.stderr
