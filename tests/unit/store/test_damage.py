"""A file that is lost is told by everything that reads it; nobody takes it for nodata."""

import shutil

import numpy as np
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.export.choice import Choice
from pipeline.export.tar_shards import export_webdataset
from pipeline.gallery import sample_gallery
from pipeline.provenance import sample_provenance
from pipeline.rechunk import Plan, rechunk
from pipeline.report.label_sums import store_label_sums
from pipeline.statistics import store_statistics
from pipeline.store.damage import LostFile
from pipeline.store.reader import open_store
from pipeline.store.sample_index import index_store
from tests.placed_store import write_placed_store
from tests.training.learnable_tiles import write_tile_store
from training.loading.samples import NolDataset


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write_placed_store(folder / "nol.zarr")
    write_tile_store(folder / "dw.zarr")
    return folder


@pytest.fixture
def stores(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "stores")


def draw(store, group=None, sample=0):
    return sample_gallery(open_store(store, group).isel(sample=sample), "title")


def export(store):
    export_webdataset(store, store.parent / "export", Choice(), 10**9)


READERS = {
    "gallery": draw,
    "statistics": store_statistics,
    "label sums": store_label_sums,
    "webdataset": export,
    "rechunk": lambda store: rechunk(store, store.with_name("other.zarr"), Plan()),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_lost_shard_of_four_seasons_is_told(stores, reader):
    (stores / "nol.zarr/label/c/0/0/0/0").unlink()
    with pytest.raises(LostFile, match="label/c/0/0/0/0 is missing or empty; copy the store"):
        reader(stores / "nol.zarr")


@pytest.mark.parametrize("name", ["label sums", "webdataset", "rechunk"])
def test_a_lost_shard_of_tiles_is_told(stores, name):
    (stores / "dw.zarr/test/label/c/0/0/0").unlink()
    with pytest.raises(LostFile, match="test/label/c/0/0/0 is missing or empty"):
        READERS[name](stores / "dw.zarr")


@pytest.mark.parametrize(
    ("array", "reader"),
    [
        ("id", lambda store: sample_provenance(store, "0000")),
        ("s2_time", lambda store: sample_provenance(store, "0000")),
        ("dw_id", lambda store: index_store(store, store.with_name("index.parquet"))),
        ("valid", store_label_sums),
        ("split", store_statistics),
        ("lon", draw),
        ("valid", export),
        ("cloud_cover", READERS["rechunk"]),
        ("valid", lambda store: NolDataset(store, "train")),
        ("split", lambda store: NolDataset(store, "train")),
    ],
)
def test_a_lost_record_is_told(stores, array, reader):
    store = stores / "nol.zarr"
    (file,) = (path for path in (store / array / "c").rglob("*") if path.is_file())
    file.unlink()
    with pytest.raises(LostFile, match=f"{array}/c/0.* is missing or empty; copy the store as a"):
        reader(store)


@pytest.mark.parametrize(
    ("array", "reader"),
    [
        ("id", lambda store: sample_provenance(store, "0000")),
        ("s2_time", lambda store: sample_provenance(store, "0000")),
        ("cloud_cover", lambda store: index_store(store, store.with_name("index.parquet"))),
        ("valid", store_label_sums),
        ("lon", draw),
        ("valid", export),
    ],
)
def test_a_damaged_record_is_one_line(stores, array, reader):
    store = stores / "nol.zarr"
    if array == "cloud_cover":
        zarr.open_array(store / array, mode="r+")[...] = np.float32(3)
    (file,) = (path for path in (store / array / "c").rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(PipelineError, match=f"{array}.* in .*nol.zarr is damaged .* again"):
        reader(store)
