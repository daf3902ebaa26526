"""A store copied to a place that is written to object by object; here a folder, elsewhere S3."""

import json
import shutil
from dataclasses import replace

import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.ledger import Status
from pipeline.publish import main, publish_shard, publish_store
from pipeline.settings.tree import validate_settings
from pipeline.store.commit import write_commit
from pipeline.store.create import create_store
from pipeline.store.layout import shard_files
from pipeline.store.reader import open_store
from pipeline.store.shards import write_shard
from tests.small_dataset import make_rows
from tests.training.learnable_tiles import write_tile_store


@pytest.fixture
def store(small_settings, shard_pixels, tmp_path):
    """A store of one shard with two places."""
    path = small_settings.folder / "nol.zarr"
    create_store(path, small_settings, 2)
    hashes = write_shard(path, 0, shard_pixels(0, 1))
    rows = [replace(row, status=Status.DONE) for sample in range(2) for row in make_rows(sample)]
    write_commit(tmp_path / "0.parquet", rows, path, hashes, small_settings.dataset_hash())
    (path.parent / "nol.index.parquet").write_bytes(b"index")
    return path


@pytest.fixture
def ledger(store, tmp_path):
    return tmp_path / "0.parquet"


@pytest.fixture
def bucket(tmp_path):
    return tmp_path / "bucket"


@pytest.fixture
def url(bucket):
    return f"file://{bucket}/nol.zarr"


def content(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_copy_is_the_store_and_a_second_one_sends_nothing(store, bucket, url):
    first = publish_store(store, url, [store.parent / "nol.index.parquet"])
    assert content(bucket / "nol.zarr") == content(store)
    assert (bucket / "nol.index.parquet").read_bytes() == b"index"
    assert first.sent == len(first.files) == len(content(store)) + 1
    again = publish_store(store, url, [store.parent / "nol.index.parquet"])
    assert again.sent == 0
    assert again.record() == first.record()


def test_what_is_lost_or_differs_in_the_bucket_is_sent_again(store, bucket, url):
    publish_store(store, url)
    lost, altered = (bucket / "nol.zarr" / name for name in ("s1/zarr.json", "label/zarr.json"))
    lost.unlink()
    altered.write_bytes(bytes(len(altered.read_bytes())))
    assert publish_store(store, url).sent == 2
    assert content(bucket / "nol.zarr") == content(store)


def test_a_shard_alone_is_no_store_yet(store, small_settings, ledger, bucket, url):
    published = publish_shard(store, ledger, small_settings.dataset_hash(), url)
    assert published.sent == len(shard_files(store, 0))
    assert content(bucket / "nol.zarr").keys() == published.files.keys()
    assert not (bucket / "nol.zarr" / "zarr.json").exists()


def test_a_file_that_is_not_as_committed_is_not_copied(store, small_settings, ledger, bucket, url):
    shard_files(store, 0)[0].write_bytes(b"altered")
    with pytest.raises(PipelineError, match=r"not as it was committed; delete .*0\.parquet"):
        publish_shard(store, ledger, small_settings.dataset_hash(), url)
    assert not content(bucket)


def test_what_a_killed_writer_left_is_not_copied(store, bucket, url):
    (store / "s1" / ".c.1234.partial").write_bytes(b"half")
    publish_store(store, url)
    assert not list(bucket.rglob("*.partial"))


def test_another_store_is_not_written_over(store, bucket, url):
    publish_store(store, url)
    root = bucket / "nol.zarr" / "zarr.json"
    theirs = json.loads(root.read_text())
    theirs["attributes"]["dataset_hash"] = "0123456789abcdef"
    root.write_text(json.dumps(theirs))
    before = content(bucket)
    with pytest.raises(PipelineError, match="another store is at .* choose another place"):
        publish_store(store, url)
    assert content(bucket) == before


def test_a_folder_without_a_store_is_refused(tmp_path, url):
    with pytest.raises(PipelineError, match="no store"):
        publish_store(tmp_path, url)


def test_files_elsewhere_are_refused(store, ledger, url):
    with pytest.raises(PipelineError, match="does not lie beside"):
        publish_store(store, url, [ledger])


def test_command_line(store, small_settings, ledger, url, tmp_path, capsys):
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps(small_settings.model_dump(mode="json")))
    common = ["--store", str(store), "--url", url, "--record", str(tmp_path / "record.json")]
    main([*common, "--ledger", str(ledger), "--settings", str(settings)])
    assert "5 of them sent" in capsys.readouterr().out
    main(common)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["url"] == url
    assert "nol.zarr/zarr.json" in record["files"]


@pytest.mark.parametrize("place", ["bucket/prefix", "s3://key:secret@bucket", "s3://b?x=1"])
def test_places_that_are_none_are_refused(place):
    with pytest.raises(PipelineError, match=r"publish = "):
        validate_settings({"publish": place})


@pytest.fixture
def tiles(tmp_path):
    return write_tile_store(tmp_path / "dw.zarr")


def assert_no_store(place, groups):
    for group in groups:
        with pytest.raises(PipelineError, match="no Zarr store"):
            open_store(place, group)


@pytest.mark.parametrize(
    ("name", "groups", "lost"),
    [
        ("nol.zarr", [None], ["s1/c/0/0/0/0/0", "label/zarr.json", "x/c/0", "valid/c/0"]),
        ("dw.zarr", ["train", "test"], ["test/s2/c/0/0/0/0", "train/y/c/0", "test/valid/c/0"]),
    ],
)
def test_what_is_there_in_part_is_no_store(store, tiles, bucket, name, groups, lost):
    path = {"nol.zarr": store, "dw.zarr": tiles}[name]
    zarr.open_array(store / "valid", mode="r+")[:] = True
    for file in lost:
        in_the_way = bucket / name / file / "file"  # a folder where an object is to be
        in_the_way.parent.mkdir(parents=True)
        in_the_way.touch()
        with pytest.raises(PipelineError, match="cannot be"):
            publish_store(path, f"file://{bucket}/{name}")
        assert_no_store(bucket / name, groups)
        shutil.rmtree(bucket)
    publish_store(path, f"file://{bucket}/{name}")
    for group in groups:
        assert open_store(bucket / name, group).identical(open_store(path, group))


def test_a_place_that_cannot_be_written_is_one_line(store, capsys):
    with pytest.raises(
        PipelineError, match=r"file:///proc/nowhere.* cannot be opened .* choose an"
    ):
        publish_store(store, "file:///proc/nowhere/nol.zarr")


def test_copy_keeps_its_bytes_when_the_store_grows(store, small_settings, bucket, url):
    publish_store(store, url)
    shutil.copytree(bucket, bucket.with_name("before"))
    create_store(store, small_settings, 6)
    publish_store(store, url)
    assert content(bucket / "nol.zarr") == content(store)
    shard = shard_files(bucket / "nol.zarr", 0)[0]
    before = shard_files(bucket.with_name("before") / "nol.zarr", 0)[0]
    assert shard.read_bytes() == before.read_bytes()
