import json

import numpy as np
import pytest
import xarray as xr

from pipeline.errors import PipelineError
from pipeline.settings.tree import validate_settings
from pipeline.store.create import (
    create_store,
    read_attributes,
    replace_attributes,
    stored_location_count,
)
from pipeline.store.groups import write_records
from pipeline.store.layout import PIXEL_ARRAYS
from pipeline.store.metadata import read_codecs
from pipeline.store.reader import open_store
from pipeline.store.shard_reader import open_chunks
from pipeline.store.shards import write_shard
from tests.earlier_store import begin_earlier


def file_bytes(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def with_changes(settings, **changes):
    return validate_settings(settings.model_dump(mode="json") | changes)


def test_dimensions_types_and_nodata_follow_the_contract(tmp_path, small_settings):
    create_store(tmp_path / "nol.zarr", small_settings, 10)
    store = xr.open_zarr(tmp_path / "nol.zarr", mask_and_scale=False)
    assert store.s2_20m.dims == ("sample", "time", "band_20m", "y_20m", "x_20m")
    assert store.s2_20m.shape == (10, 4, 6, 6, 6)
    assert store.label.shape == (10, 4, 12, 12)
    types = {name: str(store[name].dtype) for name in ("s2_10m", "s2_20m", "s2_60m", "s1", "label")}
    assert list(types.values()) == ["uint16", "uint16", "uint16", "int16", "uint8"]
    first = store.isel(sample=0, time=0)
    assert (first.s2_10m == 0).all() and (first.s1 == -32768).all() and (first.label == 255).all()
    assert list(store.band_20m.values) == ["B5", "B6", "B7", "B8A", "B11", "B12"]
    assert store.y_60m.values.tolist() == [-30.0, -90.0]
    assert store.label.flag_meanings.split()[3] == "flooded_vegetation"
    assert not store.valid.any()


def test_times_decode_to_not_a_time_and_records_are_coordinates(tmp_path, small_settings):
    create_store(tmp_path / "nol.zarr", small_settings, 3)
    store = xr.open_zarr(tmp_path / "nol.zarr")
    assert store.s2_time.isnull().all() and store.s2_time.dtype.kind == "M"
    assert {"id", "lon", "epsg", "split", "valid", "s1_time", "cloud_cover"} <= set(store.coords)


def test_a_simulated_store_says_so(tmp_path, small_settings):
    create_store(tmp_path / "sim.zarr", small_settings, 1)
    simulated = xr.open_zarr(tmp_path / "sim.zarr").attrs
    assert simulated["simulated"] is True
    assert simulated["title"].startswith("SIMULATED") and "no observation" in simulated["source"]
    google = with_changes(small_settings, earthengine={"service": "google", "project": "p"})
    create_store(tmp_path / "real.zarr", google, 1)
    real = xr.open_zarr(tmp_path / "real.zarr").attrs
    assert real["simulated"] is False and "SIMULATED" not in real["title"]
    assert "COPERNICUS/S2_HARMONIZED" in real["source"]


def test_attributes_name_settings_code_licences_and_bands(tmp_path, small_settings):
    create_store(tmp_path / "nol.zarr", small_settings, 1)
    attributes = xr.open_zarr(tmp_path / "nol.zarr").attrs
    assert attributes["dataset_hash"] == small_settings.dataset_hash()
    assert attributes["settings"] == small_settings.defining()
    assert attributes["code_version"].startswith(attributes["version"])
    assert any("CC-BY-4.0" in licence for licence in attributes["licences"])
    assert attributes["bands"]["s2_60m"][2]["name"] == "B10"


def test_creation_is_deterministic_and_repeating_it_changes_nothing(tmp_path, small_settings):
    create_store(tmp_path / "one.zarr", small_settings, 10)
    create_store(tmp_path / "two.zarr", small_settings, 10)
    once = file_bytes(tmp_path / "one.zarr")
    assert once == file_bytes(tmp_path / "two.zarr")
    create_store(tmp_path / "one.zarr", small_settings, 10)
    create_store(tmp_path / "one.zarr", small_settings, 4)
    assert file_bytes(tmp_path / "one.zarr") == once


def test_growing_equals_creating_at_the_larger_size(tmp_path, small_settings):
    create_store(tmp_path / "grown.zarr", small_settings, 5)
    create_store(tmp_path / "grown.zarr", small_settings, 70_000)
    create_store(tmp_path / "large.zarr", small_settings, 70_000)
    assert file_bytes(tmp_path / "grown.zarr") == file_bytes(tmp_path / "large.zarr")
    assert stored_location_count(tmp_path / "grown.zarr") == 70_000


def test_every_chunk_has_a_checksum_and_every_record_its_files(tmp_path, small_settings):
    store = tmp_path / "nol.zarr"
    create_store(store, small_settings, 70_000)
    for document in store.glob("*/zarr.json"):
        metadata = json.loads(document.read_bytes())
        if metadata["codecs"][0]["name"] == "sharding_indexed":
            inner = metadata["codecs"][0]["configuration"]["codecs"]
            assert [codec["name"] for codec in inner][::2] == ["bytes", "crc32c"]
            assert not (document.parent / "c").exists()
        else:
            assert metadata["codecs"][-1]["configuration"]["checksum"] is True
            files = [path for path in (document.parent / "c").rglob("*") if path.is_file()]
            assert len(files) == (2 if metadata["dimension_names"][0] == "sample" else 1)


def test_an_earlier_store_that_grows_keeps_the_codecs_of_its_chunks(
    tmp_path, small_settings, shard_pixels
):
    store = tmp_path / "nol.zarr"
    create_store(store, small_settings, 5)
    begin_earlier(store)
    before = write_shard(store, 0, shard_pixels(0, 2))
    write_records(store, "split", ["train"] * 5)
    create_store(store, small_settings, 70_000)
    assert write_shard(store, 0, shard_pixels(0, 2)) == before
    write_shard(store, 1, shard_pixels(6))
    assert "crc32c" not in str(read_codecs(store / "s1")) + str(read_codecs(store / "label"))
    plain = xr.open_zarr(store, mask_and_scale=False)
    assert plain["split"][[4, 5, 69_999]].values.tolist() == ["train", "", ""]
    assert not open_store(store)["valid"].any()
    for array in PIXEL_ARRAYS:
        for sample in (2, 6):
            written = getattr(shard_pixels(sample)[sample, 0], array.name)
            np.testing.assert_array_equal(plain[array.name][sample, 0].values, written)
            reader = open_chunks(store / array.name)
            pixels = np.empty(reader.item_shape, reader.dtype)
            reader.read_into(pixels, sample)
            np.testing.assert_array_equal(pixels.reshape(-1, *written.shape)[0], written)


def test_a_store_of_codecs_that_are_not_ours_is_refused(tmp_path, small_settings, shard_pixels):
    store = tmp_path / "nol.zarr"
    create_store(store, small_settings, 4)
    metadata = store / "s1/zarr.json"
    metadata.write_text(metadata.read_text().replace('"crc32c"', '"gzip"', 1))
    with pytest.raises(PipelineError, match="begun with the codec 'gzip', which this version"):
        write_shard(store, 0, shard_pixels(0))
    metadata.write_text("{")
    with pytest.raises(PipelineError, match="s1/zarr.json is not the description of a Zarr array"):
        create_store(store, small_settings, 12)


@pytest.mark.parametrize("missing", ["zarr.json", "valid/zarr.json"])
def test_a_creation_that_was_cut_short_is_completed(tmp_path, small_settings, missing):
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 10)
    complete = file_bytes(path)
    (path / missing).unlink()
    (path / "zarr.json").unlink(missing_ok=True)
    (path / ".zarr.json.0123.partial").write_bytes(b"half")
    create_store(path, small_settings, 10)
    (path / ".zarr.json.0123.partial").unlink()
    assert file_bytes(path) == complete


def test_a_store_of_other_settings_is_refused_by_naming_the_keys(tmp_path, small_settings):
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 4)
    before = file_bytes(path)
    other = with_changes(small_settings, seed=3, grid={"pixels": 24})
    with pytest.raises(PipelineError, match=r"grid.pixels 12 -> 24, seed 0 -> 3.*another name"):
        create_store(path, other, 4)
    assert file_bytes(path) == before


def test_what_is_not_ours_is_refused(tmp_path, small_settings):
    xr.Dataset({"a": ("x", [1])}).to_zarr(tmp_path / "foreign.zarr", consolidated=False)
    with pytest.raises(PipelineError, match="not a dataset of ours"):
        create_store(tmp_path / "foreign.zarr", small_settings, 4)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("precious")
    with pytest.raises(PipelineError, match="not a store of ours"):
        create_store(tmp_path / "folder", small_settings, 4)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(PipelineError, match="not a store of ours"):
        create_store(tmp_path / "file", small_settings, 4)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "zarr.json").write_text("{")
    with pytest.raises(PipelineError, match="not the description of a Zarr group"):
        create_store(tmp_path / "damaged", small_settings, 4)


def test_attributes_are_replaced_without_touching_the_rest(tmp_path, small_settings):
    path = tmp_path / "nol.zarr"
    create_store(path, small_settings, 4)
    before = json.loads((path / "zarr.json").read_bytes())
    replace_attributes(path, {"statistics": {"a": 1}})
    after = json.loads((path / "zarr.json").read_bytes())
    assert after["consolidated_metadata"] == before["consolidated_metadata"]
    assert read_attributes(path) == before["attributes"] | {"statistics": {"a": 1}}
