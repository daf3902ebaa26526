"""Shards hold the store's own integers, come out the same each time, and the library reads them."""

import hashlib
import io
import json
import shutil
import tarfile

import numpy as np
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.export.choice import Choice, choose
from pipeline.export.tar_shards import export_webdataset, plan_shards
from tests.placed_store import grid_of, pixels_of
from tests.training.learnable_tiles import tile

LIMIT = 350_000
"""Room for two samples of 48 pixels."""


@pytest.fixture
def export(nol, tmp_path):
    def run(limit=LIMIT, workers=1):
        folder = tmp_path / f"shards-{limit}"
        return folder, export_webdataset(nol, folder, Choice(), limit, workers)

    return run


def array_in(tar, name):
    return np.load(io.BytesIO(tar.extractfile(name).read()))


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_member_is_what_the_store_holds(export):
    folder, _ = export()
    with tarfile.open(folder / "train" / "train-000001.tar") as tar:
        names = tar.getnames()
        s1, s2 = array_in(tar, "0003.s1.npy"), array_in(tar, "0003.s2_20m.npy")
        facts = json.load(tar.extractfile("0003.json"))
    assert [name for name in names if name.startswith("0003")] == [
        *(f"0003.{array}.npy" for array in ("label", "s1", "s2_10m", "s2_20m", "s2_60m")),
        "0003.json",
    ]
    assert s1.dtype == np.int16 and s2.dtype == np.uint16
    for season in range(4):
        np.testing.assert_array_equal(s1[season], pixels_of(3, season).s1)
        np.testing.assert_array_equal(s2[season], pixels_of(3, season).s2_20m)
    assert facts["records"]["s2_id"][2] == "s2_3_2"
    assert facts["records"]["s2_time"][0] == "2021-01-13T00:00:00Z"
    assert facts["transform"] == list(grid_of(3).transform)[:6]
    assert facts["simulated"] is True and facts["split"] == "train"
    assert facts["arrays"]["label"]["classes"]["8"] == "Snow and ice"


def test_shards_are_bounded_and_planned_to_the_byte(export, groups):
    folder, shards = export()
    assert [shard.name for shard in shards] == [
        "train/train-000000.tar",
        "train/train-000001.tar",
        "validation/validation-000000.tar",
    ]
    for shard in shards:
        assert (folder / shard.name).stat().st_size == shard.size <= LIMIT
    one_each = plan_shards(groups, choose(groups, Choice()), 1)
    assert [len(shard.samples) for shard in one_each] == [1] * 5


def test_the_same_store_gives_the_same_bytes_however_it_is_interrupted(export):
    folder, shards = export()
    before = digests(folder)
    lost, cut, whole = (folder / shard.name for shard in shards)
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-512])
    untouched = whole.stat().st_mtime_ns
    export(workers=2)
    assert digests(folder) == before
    assert whole.stat().st_mtime_ns == untouched
    assert len({(folder / shard.name).read_bytes() for shard in shards}) == 3


def test_the_library_reads_the_shards(export):
    webdataset = pytest.importorskip("webdataset")
    folder, _ = export()
    listed = json.loads((folder / "train.json").read_text())["shardlist"]
    urls = [str(folder / entry["url"]) for entry in listed]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == ["0000", "0002", "0003", "0005"]
    assert sum(entry["nsamples"] for entry in listed) == 4
    assert samples[1]["label.npy"].shape == (4, 48, 48)
    np.testing.assert_array_equal(samples[1]["label.npy"][3], pixels_of(2, 3).label)
    assert samples[1]["json"]["records"]["id"] == "0002"


def test_tiles_have_one_date_and_a_split_per_group(tiles, tmp_path):
    shards = export_webdataset(tiles, tmp_path, Choice(("train3", "test0")), 10**6)
    assert [shard.name for shard in shards] == ["train/train-000000.tar", "test/test-000000.tar"]
    with tarfile.open(tmp_path / shards[0].name) as tar:
        s2 = array_in(tar, "train3.s2.npy")
        facts = json.load(tar.extractfile("train3.json"))
    np.testing.assert_array_equal(s2, tile("train", 3)["s2"])
    assert facts["records"]["lon"] is None


def test_a_dataset_that_grows_keeps_its_full_shards(nol, export, tmp_path):
    folder, _ = export()
    complete = digests(folder)
    small = shutil.copytree(nol, tmp_path / "small" / "nol.zarr")
    valid = zarr.open_array(small / "valid", mode="r+")
    whole, valid[3:] = valid[:], False
    output = tmp_path / "grown"
    export_webdataset(small, output, Choice(), LIMIT)
    first = output / "train" / "train-000000.tar"
    kept = first.stat().st_mtime_ns
    valid[:] = whole
    export_webdataset(small, output, Choice(), LIMIT)
    assert digests(output) == complete and first.stat().st_mtime_ns == kept
    # Other samples of the same size in the same place are noticed, and shards too many go.
    valid[0], valid[3] = False, False
    export_webdataset(small, output, Choice(), LIMIT)
    with tarfile.open(first) as tar:
        assert {name.split(".")[0] for name in tar.getnames()} == {"0002", "0005"}
    assert not (output / "train" / "train-000001.tar").exists()


def test_another_choice_size_or_no_size_is_refused(nol, export, tmp_path):
    folder, _ = export()
    with pytest.raises(PipelineError, match="another export .shard_bytes 350000, not 999999"):
        export_webdataset(nol, folder, Choice(), 999_999)
    with pytest.raises(PipelineError, match="another export .choice"):
        export_webdataset(nol, folder, Choice(split="train"), LIMIT)
    with pytest.raises(PipelineError, match="holds nothing"):
        export_webdataset(nol, tmp_path / "none", Choice(), 0)
