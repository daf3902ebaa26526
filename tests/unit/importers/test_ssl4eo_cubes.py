"""SSL4EO-S12 v1.1, as zipped Zarr groups and as tar shards, into cubes of four seasons."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.importers.noldo import import_noldo
from pipeline.importers.ssl4eo import import_ssl4eo, read_plan, work_folder
from pipeline.sensors import cube_bands
from pipeline.store.reader import as_cube, open_store, sample_grid
from tests.unit.importers.cubes import PIXELS, cube_arrays, write_shards, zarr_zip
from tests.unit.importers.releases import S1_SCENES, S2_SCENES, geotiff, tree_digest


def report_of(store: Path) -> str:
    return (work_folder(store) / "report.csv").read_text()


@pytest.fixture
def write_cubes(tmp_path):
    """A function of offsets by season: a folder of v1.1."""

    def write(*offsets: int) -> Path:
        folder = tmp_path / "v11"
        for part, modality in (("s2", "S2L1C"), ("s1", "S1GRD")):
            path = folder / "val" / modality / "ssl4eos12_val_seasonal_data_000001.zarr.zip"
            arrays = cube_arrays(list(offsets), part)
            chunks = {"bands": (1, 1, arrays["bands"].shape[2], PIXELS, PIXELS)}
            zarr_zip(path, arrays, chunks)
        return folder

    return write


@pytest.mark.parametrize("keys", [["0000173", "0000042"], ["shard_1_0", "shard_1_1"]])
def test_shards_of_v11_hold_the_same_as_its_zarr_files(write_cubes, tmp_path, keys):
    import_ssl4eo([write_cubes(0, 0, 0, 0)], tmp_path / "zarr.zarr")
    shards = write_shards(tmp_path / "shards", keys)
    summary = import_ssl4eo([shards], tmp_path / "shards.zarr")
    mine, other = open_store(tmp_path / "shards.zarr"), open_store(tmp_path / "zarr.zarr")
    assert mine.id.values.tolist() == ["0000173", "0000042"]
    for name in ("s2", "s1", "s2_id", "s1_time", "left", "top", "x_step", "epsg", "s2_offset"):
        np.testing.assert_array_equal(mine[name].values, other[name].values, name)
    assert mine.valid.values.all() and mine.split.values.tolist() == ["validation"] * 2
    assert "imported" in summary
    before = tree_digest(tmp_path / "shards.zarr")
    import_ssl4eo([shards], tmp_path / "shards.zarr")
    assert tree_digest(tmp_path / "shards.zarr") == before
    assert read_plan(tmp_path / "shards.zarr")[1] == ["0000173", "0000042"]


def test_pixels_that_are_only_numbered_lie_around_the_recorded_centre(tmp_path):
    numbers = {"x": np.arange(PIXELS), "y": np.arange(PIXELS)}
    folder = write_shards(tmp_path / "shards", ["a", "b"], s2=numbers, s1=numbers)
    import_ssl4eo([folder], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr")
    assert store.lon.values == pytest.approx([11.0, 12.0]) and store.x_step.values[0] == 10
    grid = sample_grid(store, 1)
    assert grid.epsg == 32732 and grid.centre_lonlat == pytest.approx((12.0, -40.0), abs=1e-4)


@pytest.mark.parametrize(
    ("s1", "reason"),
    [
        ({"sample": np.array("0000174")}, "its parts are of different samples"),
        ({"crs": np.array(99999)}, "Sentinel-1 refused"),
        ({"y": np.arange(PIXELS) * 10.0 + 5}, "Sentinel-1 refused"),
        ({"file_id": np.array(S1_SCENES[:2])}, "Sentinel-1 refused"),
    ],
)
def test_a_shard_that_contradicts_itself_is_refused_by_name(tmp_path, s1, reason):
    folder = write_shards(tmp_path / "shards", ["0000173"], s1=s1)
    import_ssl4eo([folder], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr")
    assert store.reason.values.tolist() == [reason]
    assert store.id.values.tolist() == ["0000173"]


def test_a_damaged_sample_of_a_shard_is_refused_and_the_next_is_imported(tmp_path):
    folder = write_shards(tmp_path / "shards", ["0000173", "0000042"])
    for shard in folder.rglob("*.tar"):
        content = bytearray(shard.read_bytes())
        content[512:600] = bytes(88)  # the local header of the first zip member
        shard.write_bytes(content)
    import_ssl4eo([folder], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr").set_index(sample="id")
    assert store.valid.to_series().to_dict() == {"0000173": False, "0000042": True}
    assert "0000173,refused,Sentinel-2 refused,crs/.zarray is damaged" in report_of(
        tmp_path / "store.zarr"
    )


def test_one_sample_under_two_names_is_one_line(tmp_path):
    same = {"sample": np.array("0000173")}
    folder = write_shards(tmp_path / "shards", ["a", "b"], s2=same, s1=same)
    with pytest.raises(PipelineError, match="2 samples of .* are called '0000173'"):
        import_ssl4eo([folder], tmp_path / "store.zarr")


def test_the_offset_of_v11_is_found_recorded_and_removed(write_cubes, tmp_path):
    summary = import_ssl4eo([write_cubes(1000, 1000, 1000, 1000)], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr")
    assert store.id.values.tolist() == ["0000173", "0000042"]
    assert store.s2_id[0].values.tolist() == S2_SCENES
    assert (store.s2_offset.values == 1000).all()
    assert store.split.values.tolist() == ["validation", "validation"]
    cirrus = [band.name for band in cube_bands("sentinel-2")].index("B10")
    assert store.s2[0, :, cirrus, 0, 0].values.tolist() == [25, 26, 27, 28]
    assert as_cube(store).dims == ("sample", "time", "band_s2", "y", "x")
    np.testing.assert_allclose(store.s1[1, 2, :, 0, 0], [-10.5, -11.5])
    assert (store.epsg[1], store.left[1], store.top[1]) == (32732, 605_000, 5_300_010)
    assert store.valid.values.all()
    assert "with +1000 8 (removed)" in summary


def test_no_data_under_the_offset_becomes_no_data_again(write_cubes, tmp_path):
    folder = write_cubes(1000, 1000, 1000, 1000)
    path = next((folder / "val" / "S2L1C").iterdir())
    arrays = cube_arrays([1000] * 4, "s2")
    arrays["bands"][0, :, :, 5, 7] = 1000
    arrays["bands"][0, :, 1:, 6, 8] = 1000
    zarr_zip(path, arrays, {"bands": (1, 1, 13, PIXELS, PIXELS)})
    import_ssl4eo([folder], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr")
    assert not store.s2[0, :, :, 5, 7].values.any()
    assert (store.s2[0, :, 1:, 6, 8].values == 1).all()
    assert store.valid.values.all()


def test_values_as_published_keep_the_offset(write_cubes, tmp_path):
    import_ssl4eo([write_cubes(1000, 1000, 1000, 1000)], tmp_path / "store.zarr", harmonise=False)
    store = open_store(tmp_path / "store.zarr")
    assert int(store.s2[0, 0, 0, 0, 0]) == 1700
    assert (store.s2_offset.values == 1000).all()


def test_mixed_offsets_are_reported_sample_by_sample(write_cubes, tmp_path):
    import_ssl4eo([write_cubes(1000, 0, 1000, 0)], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr")
    assert store.s2_offset[0].values.tolist() == [1000, 0, 1000, 0]
    assert store.s2[0, :, 0, 0, 0].values.tolist() == [700, 701, 702, 703]
    assert "mixed radiometric offsets [1000, 0, 1000, 0]" in report_of(tmp_path / "store.zarr")


def test_an_offset_that_pixels_do_not_tell_is_not_guessed(write_cubes, tmp_path):
    import_ssl4eo([write_cubes(1000, 1000, 2500, 1000)], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr")
    assert store.s2_offset[0].values.tolist() == [1000, 1000, -1, 1000]
    assert not store.valid.values.any()
    assert set(store.reason.values.tolist()) == {"radiometric offset unknown"}
    assert int(store.s2[0, 2, 0, 0, 0]) == 3202


def test_metadata_that_unpickle_are_refused(write_cubes, tmp_path):
    folder = write_cubes(0, 0, 0, 0)
    path = next((folder / "val" / "S1GRD").iterdir())
    arrays = cube_arrays([0] * 4, "s1")
    zarr_zip(path, arrays, {})
    content = {}
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(content["bands/.zarray"])
    content["bands/.zarray"] = json.dumps(metadata | {"filters": [{"id": "pickle"}]}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    import_ssl4eo([folder], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr")
    assert set(store.reason.values.tolist()) == {"Sentinel-1 refused"}
    assert "is not Zarr v2 (format, filters or order)" in report_of(tmp_path / "store.zarr")


def test_a_truncated_cube_is_refused_and_the_others_are_imported(write_cubes, tmp_path):
    folder = write_cubes(0, 0, 0, 0)
    good = next((folder / "val" / "S2L1C").iterdir())
    (good.parent / "truncated.zarr.zip").write_bytes(good.read_bytes()[:2000])
    import_ssl4eo([folder], tmp_path / "store.zarr")
    assert open_store(tmp_path / "store.zarr").valid.values.all()
    assert "truncated.zarr.zip,refused,damaged (File is not" in report_of(tmp_path / "store.zarr")


def test_a_grid_of_ten_metres_is_one_of_ours(write_cubes, tmp_path):
    import_ssl4eo([write_cubes(0, 0, 0, 0)], tmp_path / "store.zarr")
    grid = sample_grid(open_store(tmp_path / "store.zarr"), 1)
    assert (grid.epsg, grid.left, grid.top, grid.shape) == (32732, 605_000, 5_300_010, (24, 24))


def test_released_masks_find_the_samples_of_shards_by_their_ids(tmp_path):
    folder, store = write_shards(tmp_path / "shards", ["a", "b"]), tmp_path / "store.zarr"
    import_ssl4eo([folder], store)
    mask = np.full((1, PIXELS, PIXELS), 4, np.uint8)
    for scene in S2_SCENES:
        path = tmp_path / "masks" / "0000042" / scene / "label.tif"
        path.parent.mkdir(parents=True)
        path.write_bytes(geotiff(mask))
    import_noldo("nol", [tmp_path / "masks"], store)
    labelled = open_store(store)
    assert (labelled.label[1].values == 4).all() and (labelled.label[0].values == 255).all()
    assert labelled.valid.values.tolist() == [False, True]
