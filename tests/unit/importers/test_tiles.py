"""NoLDO-S12, DFC2020 and EuroSAT into stores of tiles."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipeline.errors import PipelineError
from pipeline.importers.dfc2020 import dfc2020_release, translate_labels
from pipeline.importers.eurosat import eurosat_release
from pipeline.importers.members import DamagedMember
from pipeline.importers.noldo import import_noldo
from pipeline.importers.noldo_tiles import translate_dynamic_world, translate_osm
from pipeline.importers.tile_import import import_tiles
from pipeline.legend import load_legend
from pipeline.osm_landuse.agreement import load_crosswalk, measure_agreement
from pipeline.sensors import cube_bands
from pipeline.store.reader import open_store
from tests.unit.importers.releases import geotiff, tree_digest

TILE = "-0.0520777954_32.9493499204-20190816"
OTHER = "11.5_-48.25-20190226"


def cube(size: int, level: int = 800) -> np.ndarray:
    """13 bands whose number can be told from their values."""
    values = np.full((13, size, size), level, np.uint16)
    values += np.arange(13, dtype=np.uint16)[:, None, None] * 10
    return values


def backscatter(size: int) -> np.ndarray:
    return np.stack([np.full((size, size), -10.25), np.full((size, size), -17.5)]).astype("f4")


def osm_and_dw(size: int, numbering: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels in released or paper numbers, with a Dynamic World that agrees.

    All 13 classes are there; forests and water have about their share in the release.
    """
    rows = load_legend("osm_landuse")
    common = {"Forests": 16, "Water bodies": 6}
    cycle = [row.id for row in rows for _ in range(common.get(row.name, 1))]
    ids = np.array(cycle)[np.add.outer(np.arange(size), np.arange(size)) % len(cycle)]
    numbers = np.array([getattr(row, f"{numbering}_id") for row in rows], np.uint8)
    beside = load_crosswalk().argmax(axis=1).astype(np.uint8) + 1
    return numbers[ids], beside[ids]


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def noldo_files(group: str, tile: str, size: int, labels: dict[str, np.ndarray]) -> dict:
    """Files of one tile, by path in the archive."""
    pictures = {"s1": backscatter(size), "s2": cube(size)}
    kinds = {"s1": "image_s1", "s2": "image_s2", "dw": "label_dw", "osm": "label_osm"}
    pictures |= {kind: values[None] for kind, values in labels.items()}
    return {
        f"data/{group}/{kinds[kind]}/{kind}_{tile}.tif": geotiff(values, 32632, (5e5, 5e6), 10.0)
        for kind, values in pictures.items()
    }


def osm_archive(path: Path, numbering: str, with_dw: bool = True) -> Path:
    osm, dynamic_world = osm_and_dw(510, numbering)
    labels = {"osm": osm} | ({"dw": dynamic_world} if with_dw else {})
    return write_zip(path, noldo_files("osm_train_large", TILE, 510, labels))


def test_the_released_numbers_translate_by_the_table_and_back():
    for row in load_legend("osm_landuse"):
        numbers = np.array([[row.released_id, 0]], np.uint8)
        assert translate_osm(numbers, "released").tolist() == [[row.id, 255]]
    forest, arable = (np.array([[number]], np.uint8) for number in (3, 2))
    names = [row.name for row in load_legend("osm_landuse")]
    assert names[translate_osm(forest, "released")[0, 0]] == "Forests"
    assert names[translate_osm(arable, "released")[0, 0]] == "Arable land"
    assert names[translate_osm(forest, "paper")[0, 0]] == "Arable land"


def test_only_the_right_numbering_agrees_with_dynamic_world():
    osm, dynamic_world = osm_and_dw(130, "released")
    beside = translate_dynamic_world(dynamic_world)
    assert measure_agreement(translate_osm(osm, "released"), beside).share == 1.0
    assert measure_agreement(translate_osm(osm, "paper"), beside).share < 0.3


def test_unmarked_and_cloud_are_no_dynamic_world_class():
    numbers = np.array([[0, 1, 9, 10]], np.uint8)
    assert translate_dynamic_world(numbers).tolist() == [[255, 0, 8, 255]]
    with pytest.raises(DamagedMember, match="label 11"):
        translate_dynamic_world(np.array([[11]], np.uint8))


def test_released_osm_tiles_import_with_their_agreement(tmp_path):
    archive = osm_archive(tmp_path / "osm.zip", "released")
    summary = import_noldo("osm", [archive], tmp_path / "osm.zarr")
    tile = open_store(tmp_path / "osm.zarr", "train").isel(sample=0)
    assert bool(tile.valid)
    assert (float(tile.agreement), str(tile.id.values)) == (1.0, TILE)
    assert tile.sizes["y"] == 512
    assert (tile.label[0] == 255).all()
    numbers, _ = osm_and_dw(510, "released")
    np.testing.assert_array_equal(tile.label[1:-1, 1:-1], translate_osm(numbers, "released"))
    assert not tile.s2[:, 0].values.any()
    assert (float(tile.left), float(tile.x_step)) == (499_990.0, 10.0)
    assert str(tile.label_date.values)[:10] == "2019-08-16"
    assert "imported" in summary
    assert "padded to 512" in (tmp_path / "osm.zarr.import/report.csv").read_text()


def test_the_other_numbering_stops_the_import_before_anything_counts(tmp_path):
    archive = osm_archive(tmp_path / "osm.zip", "paper")
    with pytest.raises(PipelineError, match="released numbering"):
        import_noldo("osm", [archive], tmp_path / "osm.zarr")
    assert not open_store(tmp_path / "osm.zarr", "train").valid.values.any()
    import_noldo("osm", [archive], tmp_path / "paper.zarr", numbering="paper")
    assert open_store(tmp_path / "paper.zarr", "train").valid.values.all()


def test_without_dynamic_world_the_classes_must_be_plausible(tmp_path):
    right = osm_archive(tmp_path / "right.zip", "released", with_dw=False)
    import_noldo("osm", [right], tmp_path / "right.zarr")
    assert open_store(tmp_path / "right.zarr", "train").valid.values.all()
    wrong = osm_archive(tmp_path / "wrong.zip", "paper", with_dw=False)
    with pytest.raises(PipelineError, match="forests and water"):
        import_noldo("osm", [wrong], tmp_path / "wrong.zarr")


def test_expert_tiles_import_and_odd_ones_are_refused_by_name(tmp_path):
    _, labels = osm_and_dw(510, "released")
    large = np.zeros((512, 512), np.uint8)
    files = noldo_files("dw_train", TILE, 510, {"dw": labels})
    files |= noldo_files("dw_train", OTHER, 510, {"dw": labels + 50})
    files |= noldo_files("dw_test", OTHER.replace(".", "p"), 512, {"dw": large})
    files["data/dw_train/label_dw/../../../dw_1.0_1.0-20190101.tif"] = b"out"
    archive = write_zip(tmp_path / "dw.zip", files)
    import_noldo("dw", [archive], tmp_path / "dw.zarr")
    train, test = (open_store(tmp_path / "dw.zarr", name) for name in ("train", "test"))
    assert train.valid.to_series().tolist() == [True, False]
    np.testing.assert_array_equal(train.label[0], translate_dynamic_world(labels))
    np.testing.assert_array_equal(train.s2[0], cube(510))
    np.testing.assert_allclose(train.s1[0, :, 0, 0], [-10.25, -17.5])
    assert str(train.reason[1].values) == "label refused"
    assert test.valid.values.all()
    assert test.sizes["y"] == 512
    report = (tmp_path / "dw.zarr.import/report.csv").read_text()
    assert "expected 0 to 10" in report
    assert "path leads out of the archive" in report


def test_an_import_of_tiles_again_changes_nothing(tmp_path):
    archive = osm_archive(tmp_path / "osm.zip", "released")
    import_noldo("osm", [archive], tmp_path / "osm.zarr")
    before = tree_digest(tmp_path / "osm.zarr")
    import_noldo("osm", [archive], tmp_path / "osm.zarr")
    assert tree_digest(tmp_path / "osm.zarr") == before
    (tmp_path / "osm.zarr/train/s2/c/0/0/0/0").unlink()
    import_noldo("osm", [archive], tmp_path / "osm.zarr")
    assert tree_digest(tmp_path / "osm.zarr") == before


def test_dfc2020_labels_are_those_of_the_released_code():
    released = np.array([[[1, 2, 4, 5, 6, 7, 9, 10, 3, 8, 0, 77]]], np.uint16)
    expected = [[1, 5, 2, 3, 4, 6, 7, 0, 255, 255, 255, 255]]
    assert translate_labels(released).tolist() == expected


def test_dfc2020_patches_import(tmp_path):
    files = {}
    for split, folder in (("validation", "ROIs0000_validation"), ("test", "ROIs0000_test")):
        for patch in (0, 3):
            labels = np.full((1, 256, 256), 10 if split == "test" else 6, np.uint16)
            pictures = {"s1": backscatter(256).astype("f8"), "s2": cube(256), "dfc": labels}
            for kind, values in pictures.items():
                name = f"{folder}/{kind}_0/ROIs0000_{split}_{kind}_0_p{patch}.tif"
                files[name] = geotiff(values, 32632, (5e5, 5e6), 10.0)
    files["ROIs0000_test/s2_0/ROIs0000_test_s2_0_p3.tif"] = b"II*\x00 truncated"
    archive = write_zip(tmp_path / "dfc.zip", files)
    import_tiles([archive], tmp_path / "dfc2020.zarr", dfc2020_release(True), 2)
    train, test = (open_store(tmp_path / "dfc2020.zarr", name) for name in ("train", "test"))
    assert train.valid.values.all()
    assert train.split.values.tolist() == ["validation", "validation"]
    assert (train.label == 4).all()
    assert (test.label[0] == 0).all()
    assert test.valid.values.tolist() == [True, False]
    assert "s2 refused" in (tmp_path / "dfc2020.zarr.import/report.csv").read_text()
    assert train.label.attrs["flag_meanings"].split()[6] == "urban_and_built_up"


def test_real_eurosat_patches_import_value_for_value_with_b8a_in_its_place(real_samples, tmp_path):
    source = real_samples / "eurosat"
    if not source.is_dir():
        pytest.skip(f"{source.name} is not among the sample data")
    import_tiles([source], tmp_path / "eurosat.zarr", eurosat_release(True), 64)
    names = [band.name for band in cube_bands("sentinel-2")]
    count = 0
    for group in ("train", "test"):
        store = open_store(tmp_path / "eurosat.zarr", group)
        assert store.valid.values.all()
        assert store.band_s2.values.tolist() == names
        classes = store.scene_class.attrs["flag_meanings"].split()
        for sample, name in enumerate(store.id.values.tolist()):
            folder = name.rsplit("_", 1)[0]
            with rasterio.open(source / folder / f"{name}.tif") as file:
                released = {
                    band.replace("B0", "B"): file.read(number + 1)
                    for number, band in enumerate(file.descriptions)
                }
                left, x_step = file.transform.c, file.transform.a
            expected = np.stack([released[band] for band in names])
            np.testing.assert_array_equal(store.s2[sample], expected)
            assert (float(store.left[sample]), float(store.x_step[sample])) == (left, x_step)
            assert classes[int(store.scene_class[sample])] == folder.lower()
            count += 1
    assert count == 120


def dfc_archive(path: Path, **changed: bytes) -> Path:
    """One patch of DFC2020, some of its files replaced."""
    labels = np.full((1, 256, 256), 6, np.uint16)
    pictures = {"s1": backscatter(256), "s2": cube(256), "dfc": labels}
    files = {
        f"{kind}/ROIs0000_test_{kind}_0_p1.tif": changed.get(kind)
        or geotiff(values, 32632, (5e5, 5e6), 10.0)
        for kind, values in pictures.items()
    }
    return write_zip(path, files)


def import_patch(tmp_path: Path, harmonise: bool = True, **changed: bytes):
    """The one sample of such an archive, and the report."""
    archive = dfc_archive(tmp_path / "dfc.zip", **changed)
    import_tiles([archive], tmp_path / "dfc.zarr", dfc2020_release(harmonise), 4)
    report = (tmp_path / "dfc.zarr.import/report.csv").read_text()
    return open_store(tmp_path / "dfc.zarr", "test").isel(sample=0), report


def test_an_unknown_offset_matters_only_where_offsets_are_removed(tmp_path):
    overcast = geotiff(cube(256, 6000), 32632, (5e5, 5e6), 10.0)
    (tmp_path / "published").mkdir()
    strict, _ = import_patch(tmp_path, s2=overcast)
    loose, _ = import_patch(tmp_path / "published", harmonise=False, s2=overcast)
    assert (bool(strict.valid), str(strict.reason.values)) == (False, "radiometric offset unknown")
    assert bool(loose.valid) and int(loose.s2_offset) == -1
    assert loose.s2.attrs["comment"].startswith("as published")
    assert (strict.attrs["s2_values"], loose.attrs["s2_values"]) == (
        "harmonised to processing baseline 02",
        "as published",
    )


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("s1", geotiff(backscatter(256) * -0.01, 32632, (5e5, 5e6), 10.0), "is not in dB"),
        ("s2", geotiff(np.full((13, 256, 256), 80, "u1"), 32632, (5e5, 5e6), 10.0), "8-bit"),
        ("s2", geotiff(cube(256), 32632, (5e5, 5e6), 10.0, down=0.87), "not north-up"),
    ],
)
def test_other_units_and_upended_pictures_are_refused(tmp_path, kind, content, reason):
    sample, report = import_patch(tmp_path, **{kind: content})
    assert str(sample.reason.values) == f"{kind} refused"
    assert reason in report


def test_parts_that_lie_elsewhere_are_told(tmp_path):
    (tmp_path / "far").mkdir()
    near = geotiff(backscatter(256), 32632, (5e5 + 12, 5e6), 10.0)
    sample, report = import_patch(tmp_path, s1=near)
    assert bool(sample.valid) and "s1 is recorded 1.2 pixels from s2" in report
    far = geotiff(backscatter(256), 32633, (5e5, 5e6), 10.0)
    sample, report = import_patch(tmp_path / "far", s1=far)
    assert str(sample.reason.values) == "its parts lie in different places"
    assert "s1 is recorded in another CRS than s2" in report


def test_a_tile_without_a_place_of_its_own_takes_that_of_its_label(tmp_path):
    sample, _ = import_patch(tmp_path, s2=geotiff(cube(256), 0))
    assert (int(sample.epsg), float(sample.left)) == (32632, 5e5)
    assert float(sample.lon) == pytest.approx(9.0163, abs=1e-3)


def test_a_shard_of_nothing_is_one_line(tmp_path):
    with pytest.raises(PipelineError, match="--shard-size 0"):
        import_tiles([tmp_path], tmp_path / "e.zarr", eurosat_release(True), 0)


def test_a_picture_that_claims_a_huge_size_is_refused(tmp_path):
    content = io.BytesIO()
    with rasterio.MemoryFile() as memory:
        options = {"count": 13, "dtype": "uint16", "tiled": True, "sparse_ok": True}
        options |= {"transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
        with memory.open(driver="GTiff", height=30_000, width=30_000, **options):
            pass
        content.write(bytes(memory.getbuffer()))
    archive = write_zip(tmp_path / "e.zip", {"Forest/Forest_1.tif": content.getvalue()})
    import_tiles([archive], tmp_path / "e.zarr", eurosat_release(True), 64)
    report = (tmp_path / "e.zarr.import/report.csv").read_text()
    assert "bytes decoded, more than the" in report


def test_the_wrong_archive_is_one_line(tmp_path):
    archive = osm_archive(tmp_path / "osm.zip", "released")
    with pytest.raises(PipelineError, match="holds no file of EuroSAT"):
        import_tiles([archive], tmp_path / "e.zarr", eurosat_release(True), 64)
