"""SSL4EO-S12 v1.0 into stores of four seasons."""

import io
import shutil
import subprocess
import sys
import tarfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from pipeline.errors import PipelineError
from pipeline.importers.ssl4eo import import_ssl4eo, work_folder
from pipeline.sensors import bands_of, cube_bands
from pipeline.store.layout import CRC32C
from pipeline.store.metadata import read_codecs
from pipeline.store.reader import as_cube, open_store, sample_grid
from tests.earlier_store import begin_earlier
from tests.unit.importers.releases import (
    BAND_PIXELS,
    S1_SCENES,
    S2_SCENES,
    geotiff,
    location_files,
    reflectance,
    tree_digest,
)


def pack(folder: Path, path: Path, replaced: dict[str, bytes | None] | None = None) -> Path:
    """A tar.gz of a folder, with other bytes for some members; None for a link."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file in sorted(folder.rglob("*.tif")):
            name = file.relative_to(folder).as_posix()
            content = (replaced or {}).get(name, file.read_bytes())
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(entry)
                continue
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def report_of(store: Path) -> str:
    return (work_folder(store) / "report.csv").read_text()


@pytest.fixture(scope="module")
def imported(ssl4eo_folder, tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("stores") / "ssl4eo.zarr"
    import_ssl4eo([ssl4eo_folder], store, shard_size=2)
    return store


def test_every_band_of_every_season_is_where_it_belongs(imported):
    store = open_store(imported)
    assert store.id.values.tolist() == ["0000007", "0000012", "0000030"]
    assert store.valid.values.all()
    for name in ("s2_10m", "s2_20m", "s2_60m"):
        for band in bands_of(name):
            for season in range(4):
                expected = reflectance(band.name, 12, season, BAND_PIXELS[band.name])[0]
                np.testing.assert_array_equal(store[name][1, season, band.position], expected)
    np.testing.assert_allclose(store.s1[1, :, 0, 0, 0], [-10.12, -11.12, -12.12, -13.12], atol=5e-3)
    np.testing.assert_allclose(store.s1[1, :, 1, 0, 0], [-17.12, -18.12, -19.12, -20.12], atol=5e-3)


def test_scenes_are_in_the_order_of_their_time_not_of_their_satellite(imported):
    store = open_store(imported)
    assert store.s2_id[0].values.tolist() == S2_SCENES
    assert store.s1_id[0].values.tolist() == S1_SCENES
    assert (np.diff(store.s1_time[0].values) > np.timedelta64(0)).all()


def test_the_grid_is_recorded_as_the_source_has_it(imported):
    store = open_store(imported).isel(sample=0)
    assert (int(store.epsg), float(store.left), float(store.top)) == (4326, 11.0, 48.0)
    assert (float(store.x_step), float(store.y_step)) == pytest.approx((1e-4, -0.87e-4))
    assert float(store.lon) == pytest.approx(11.0132)
    assert as_cube(open_store(imported)).shape == (3, 4, 13, 264, 264)


@pytest.mark.parametrize("shard_size", [1, 2, 64])
def test_an_archive_gives_the_same_values_as_the_folder(
    ssl4eo_folder, imported, tmp_path, shard_size
):
    archive = pack(ssl4eo_folder, tmp_path / "all.tar.gz")
    import_ssl4eo([archive], tmp_path / "store.zarr", shard_size=shard_size)
    mine, other = open_store(tmp_path / "store.zarr"), open_store(imported)
    assert sorted(mine.id.values.tolist()) == sorted(other.id.values.tolist())
    for name in ("s2_10m", "s2_20m", "s2_60m", "s1", "s2_time", "valid"):
        np.testing.assert_array_equal(mine[name].values, other[name].values)


def test_a_bad_location_is_refused_by_name_and_the_others_are_imported(ssl4eo_folder, tmp_path):
    scene = f"s2c/0000012/{S2_SCENES[1]}"
    whole = (ssl4eo_folder / scene / "B8.tif").read_bytes()
    archive = pack(
        ssl4eo_folder,
        tmp_path / "bad.tar.gz",
        {f"{scene}/B8.tif": whole[:500], f"s1/0000030/{S1_SCENES[0]}/VV.tif": None},
    )
    summary = import_ssl4eo([archive], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr").set_index(sample="id")
    assert store.valid.to_series().to_dict() == {
        "0000007": True,
        "0000012": False,
        "0000030": False,
    }
    report = report_of(tmp_path / "store.zarr")
    assert "0000012,incomplete,Sentinel-2 refused" in report
    assert f"{S2_SCENES[1]}/B8.tif: no readable GeoTIFF" in report
    assert "0000030,incomplete,Sentinel-1 refused" in report
    assert f"s1/0000030/{S1_SCENES[0]}/VV.tif,refused,link" in report
    assert not store.s2_10m.sel(sample="0000012").values.any()
    assert "Sentinel-2 refused" in summary


def test_a_location_that_comes_twice_counts_once(ssl4eo_folder, tmp_path):
    first = pack(ssl4eo_folder, tmp_path / "a.tar.gz")
    second = pack(ssl4eo_folder, tmp_path / "b.tar.gz")
    import_ssl4eo([first, second], tmp_path / "store.zarr")
    assert report_of(tmp_path / "store.zarr").count("met again; the first counts") == 6
    assert open_store(tmp_path / "store.zarr").valid.values.all()


def test_an_archive_in_parts_counts_once_however_many_are_named(ssl4eo_folder, tmp_path):
    archive = pack(ssl4eo_folder, tmp_path / "s2_l1c.tar.gz")
    content = archive.read_bytes()
    archive.unlink()
    half = len(content) // 2
    parts = [tmp_path / f"s2_l1c.tar.gz.part{name}" for name in ("aa", "ab")]
    for part, piece in zip(parts, (content[:half], content[half:]), strict=True):
        part.write_bytes(piece)
    import_ssl4eo(parts, tmp_path / "store.zarr")
    assert open_store(tmp_path / "store.zarr").valid.values.all()
    assert "met again" not in report_of(tmp_path / "store.zarr")
    parts[1].write_bytes(content[half:] + b"\0")
    with pytest.raises(PipelineError, match="source has changed"):
        import_ssl4eo(parts, tmp_path / "store.zarr")


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (f"s2c/0000007/{S2_SCENES[0]}", "uint8, an 8-bit edition"),
        (f"s1/0000007/{S1_SCENES[0]}", "backscatter of type uint8, expected dB"),
    ],
)
def test_the_8_bit_edition_is_refused(tmp_path, scene, reason):
    folder = tmp_path / "ssl4eo"
    for path, content in location_files(7).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    for band in (folder / scene).iterdir():
        pixels = BAND_PIXELS.get(band.stem, 264)
        band.write_bytes(geotiff(np.full((1, pixels, pixels), 80, np.uint8)))
    import_ssl4eo([folder], tmp_path / "store.zarr")
    assert not open_store(tmp_path / "store.zarr").valid.values.any()
    assert reason in report_of(tmp_path / "store.zarr")


def test_files_without_a_place_are_imported_and_lie_nowhere(tmp_path):
    folder = tmp_path / "ssl4eo"
    for path, content in location_files(7).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with rasterio.MemoryFile(content) as memory, memory.open() as file:
            (folder / path).write_bytes(geotiff(file.read(), epsg=0))
    import_ssl4eo([folder], tmp_path / "store.zarr")
    sample = open_store(tmp_path / "store.zarr").isel(sample=0)
    assert bool(sample.valid) and int(sample.epsg) == 0
    assert np.isnan([float(sample[name]) for name in ("lon", "lat", "left", "x_step")]).all()


def test_the_same_command_again_changes_nothing(ssl4eo_folder, imported):
    before = tree_digest(imported)
    import_ssl4eo([ssl4eo_folder], imported, shard_size=2)
    assert tree_digest(imported) == before


def test_several_processes_write_the_same_bytes(ssl4eo_folder, imported, tmp_path):
    store = tmp_path / imported.name
    import_ssl4eo([ssl4eo_folder], store, shard_size=2, workers=2)
    assert tree_digest(store) == tree_digest(imported)


def test_a_lost_shard_is_written_again_with_the_same_bytes(ssl4eo_folder, tmp_path):
    store = tmp_path / "store.zarr"
    import_ssl4eo([ssl4eo_folder], store, shard_size=2)
    before = tree_digest(store)
    (store / "s2_20m/c/1/0/0/0/0").unlink()
    import_ssl4eo([ssl4eo_folder], store, shard_size=2)
    assert tree_digest(store) == before


def test_an_import_that_an_earlier_version_began_goes_on_with_its_codecs(
    ssl4eo_folder, imported, tmp_path
):
    store = tmp_path / "store.zarr"
    import_ssl4eo([ssl4eo_folder], store, shard_size=2)
    begin_earlier(store)
    import_ssl4eo([ssl4eo_folder], store, shard_size=2)
    xr.testing.assert_identical(xr.open_zarr(store).load(), xr.open_zarr(imported).load())
    assert CRC32C in read_codecs(imported / "s1") and CRC32C not in read_codecs(store / "s1")


def test_a_changed_source_is_one_line(ssl4eo_folder, tmp_path):
    folder = shutil.copytree(ssl4eo_folder, tmp_path / "copy")
    import_ssl4eo([folder], tmp_path / "store.zarr")
    shutil.rmtree(folder / "s1" / "0000030")
    with pytest.raises(PipelineError, match="source has changed"):
        import_ssl4eo([folder], tmp_path / "store.zarr")


def test_nothing_to_import_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match="holds no band"):
        import_ssl4eo([tmp_path / "empty"], tmp_path / "store.zarr")


def test_other_stores_and_folders_in_the_way_are_one_line(ssl4eo_folder, imported, tmp_path):
    with pytest.raises(PipelineError, match="is another store"):
        import_ssl4eo([ssl4eo_folder], imported, harmonise=False, shard_size=2)
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(PipelineError, match="is not a store of ours"):
        import_ssl4eo([ssl4eo_folder], tmp_path / "photos.zarr")


def test_a_store_in_its_own_source_is_one_line(tmp_path):
    with pytest.raises(PipelineError, match="lies in its own source"):
        import_ssl4eo([tmp_path], tmp_path / "store.zarr")


def test_killed_runs_end_in_the_same_bytes(ssl4eo_folder, imported, tmp_path):
    store = tmp_path / imported.name
    command = [sys.executable, "-m", "pipeline.importers.ssl4eo", "--source", str(ssl4eo_folder)]
    command += ["--store", str(store), "--shard-size", "2", "--workers", "2"]
    commits = 0
    for wanted in ("*.npz", "commits/_/s2/0.json", "commits/_/s1/0.json"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        while process.poll() is None and not list(work_folder(store).rglob(wanted.split("/")[-1])):
            time.sleep(0.001)
        commits += process.poll() is None
        process.kill()
        process.wait()
    assert commits, "no run was killed on its way"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    assert tree_digest(store) == tree_digest(imported)
    assert not list(work_folder(store).rglob("*.npz"))


def peak_megabytes(source: Path, store: Path) -> float:
    """Peak resident memory of a process that imports a source."""
    code = (
        "import resource, sys; from pipeline.importers.ssl4eo import main; main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, "--source", str(source), "--store", str(store)]
    command += ["--shard-size", "16"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return int(done.stdout.splitlines()[-1]) / 1024


@pytest.mark.slow
def test_ten_thousand_members_import_in_constant_memory(tmp_path):
    peaks = []
    files = location_files(1)
    band = next(content for name, content in files.items() if name.endswith("VV.tif"))
    for locations in (40, 1250):
        path = tmp_path / f"{locations}.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for location, scene, name in product(range(locations), S1_SCENES, ("VV", "VH")):
                entry = tarfile.TarInfo(f"s1/{location:07d}/{scene}/{name}.tif")
                entry.size = len(band)
                archive.addfile(entry, io.BytesIO(band))
        peaks.append(peak_megabytes(path, tmp_path / f"{locations}.zarr"))
    assert open_store(tmp_path / "1250.zarr").sizes["sample"] == 1250
    # decoded, the larger archive is 2,800 MB; what grows is the list of names and records
    assert peaks[1] < peaks[0] + 25


def test_the_real_location_imports_value_for_value(real_samples, tmp_path):
    source = real_samples / "ssl4eo_0000200"
    if not source.is_dir():
        pytest.skip(f"{source.name} is not among the sample data")
    import_ssl4eo([source], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr").isel(sample=0)
    assert str(store.id.values) == "0000200"
    assert not bool(store.valid)
    assert str(store.reason.values) == "Sentinel-2 in 2 of 4 seasons"
    for season in range(2):
        scene = source / "s2c" / str(store.s2_id[season].values)
        for band in cube_bands("sentinel-2"):
            with rasterio.open(scene / f"{band.name}.tif") as file:
                values = store[band.array][season, band.position].values
                np.testing.assert_array_equal(values, file.read(1))
        for number, band in enumerate(("VV", "VH")):
            path = source / "s1" / str(store.s1_id[season].values) / f"{band}.tif"
            with rasterio.open(path) as file:
                np.testing.assert_allclose(store.s1[season, number], file.read(1), atol=5.1e-3)
    assert not store.s2_10m[2:].values.any()
    assert store.s2_offset.values.tolist() == [0, 0, -1, -1]


def test_corners_half_a_pixel_apart_are_recorded_and_nothing_is_warped(real_samples, tmp_path):
    source = real_samples / "ssl4eo_0000200"
    if not source.is_dir():
        pytest.skip(f"{source.name} is not among the sample data")
    import_ssl4eo([source], tmp_path / "store.zarr")
    store = open_store(tmp_path / "store.zarr").isel(sample=0)
    fine, x_step = float(store.left), float(store.x_step)
    assert (fine - float(store.left_20m)) / x_step == pytest.approx(0.5, abs=1e-3)
    assert (fine - float(store.left_60m)) / x_step == pytest.approx(2.5, abs=1e-3)
    cube = as_cube(open_store(tmp_path / "store.zarr"))
    position = next(b.cube_position for b in cube_bands("sentinel-2") if b.name == "B11")
    native = store.s2_20m[0, 4].values
    np.testing.assert_array_equal(cube[0, 0, position].values[::2, ::2], native)


def test_a_grid_in_degrees_is_not_taken_for_one_of_ten_metres(imported):
    with pytest.raises(PipelineError, match="EPSG:4326, not on a 10 m grid"):
        sample_grid(open_store(imported), 0)
