"""The released masks of NoLDO-S12, into a store of SSL4EO-S12."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.importers.label_part import add_labels
from pipeline.importers.members import DamagedMember
from pipeline.importers.noldo import import_noldo
from pipeline.importers.noldo_labels import translate_mask
from pipeline.importers.ssl4eo import import_ssl4eo, work_folder
from pipeline.store.reader import open_store
from tests.unit.importers.releases import S2_SCENES, geotiff, tree_digest


def mask(season: int, size: int = 264) -> np.ndarray:
    return ((np.indices((1, size, size)).sum(axis=0) + season) % 9).astype(np.int16)


def write_masks(path: Path, changes: dict[str, np.ndarray | None] | None = None) -> Path:
    """Masks of the three locations and of one that is elsewhere; None leaves one out."""
    masks = {
        f"dw_noisy_labels/{location}/{scene}/label.tif": mask(season)
        for location in ("0000007", "0000012", "0000030", "0099999")
        for season, scene in enumerate(S2_SCENES)
    }
    masks |= changes or {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dw_complete_ids.csv", "ids,sub1,sub2,sub3,sub4\n")
        for name, values in masks.items():
            if values is not None:
                archive.writestr(name, geotiff(values))
    return path


@pytest.fixture
def store(ssl4eo_folder, tmp_path) -> Path:
    import_ssl4eo([ssl4eo_folder], tmp_path / "ssl4eo.zarr", shard_size=2)
    return tmp_path / "ssl4eo.zarr"


def test_masks_go_to_the_season_of_their_scene(store, tmp_path):
    missing = {f"dw_noisy_labels/0000012/{S2_SCENES[2]}/label.tif": None}
    summary = import_noldo("nol", [write_masks(tmp_path / "nol.zip", missing)], store)
    labelled = open_store(store)
    np.testing.assert_array_equal(labelled.label[0], [mask(season)[0] for season in range(4)])
    assert (labelled.label[1, 2] == 255).all()
    assert labelled.valid.values.tolist() == [True, False, True]
    assert str(labelled.reason[1].values) == "labels in 3 of 4 seasons"
    assert "mask of a location that is not in the store" in summary


def test_masks_that_count_from_one_or_of_other_scenes_are_refused_by_name(store, tmp_path):
    odd = {
        f"dw_noisy_labels/0000007/{S2_SCENES[0]}/label.tif": mask(0) + 1,
        "dw_noisy_labels/0000012/20190101T105021_20190101T105023_T32UPU/label.tif": mask(0),
    }
    import_noldo("nol", [write_masks(tmp_path / "nol.zip", odd)], store)
    assert open_store(store).valid.values.tolist() == [False, False, True]
    report = (work_folder(store) / "report.csv").read_text()
    assert "label 9, expected 0 to 8 or 255; counted from 1?" in report
    assert "scene 20190101T105021_20190101T105023_T32UPU is not in the store" in report


def test_masks_again_change_nothing(store, tmp_path):
    archive = write_masks(tmp_path / "nol.zip")
    import_noldo("nol", [archive], store)
    before = tree_digest(store)
    import_noldo("nol", [archive], store)
    assert tree_digest(store) == before


def test_labels_of_two_origins_never_mix(store, tmp_path):
    import_noldo("nol", [write_masks(tmp_path / "nol.zip")], store)
    labelled = tree_digest(store)
    assert open_store(store).attrs["label_source"] == "NoLDO-S12"
    with pytest.raises(PipelineError, match="labels of NoLDO-S12 already, not of another"):
        add_labels(store, "another", ["0000007"], lambda wanted: [])
    assert tree_digest(store) == labelled


def test_a_location_in_two_archives_of_masks_counts_once_and_is_told(store, tmp_path):
    archives = [write_masks(tmp_path / name) for name in ("a.zip", "b.zip")]
    summary = import_noldo("nol", archives, store)
    assert "met again; the first counts" in summary
    assert open_store(store).valid.values.all()


def test_a_mask_a_few_pixels_off_is_stretched_without_new_classes():
    values = np.where(mask(0, 264)[:, :262, :263] % 2, 8, 0).astype(np.int16)
    stretched = translate_mask(values, 264)
    assert stretched.shape == (264, 264)
    assert set(np.unique(stretched)) == {0, 8}
    with pytest.raises(DamagedMember, match=r"mask of \(100, 100\)"):
        translate_mask(mask(0, 100), 264)


def test_masks_of_other_locations_are_one_line(store, tmp_path):
    with zipfile.ZipFile(tmp_path / "nol.zip", "w") as archive:
        archive.writestr(f"x/0099999/{S2_SCENES[0]}/label.tif", geotiff(mask(0)))
    with pytest.raises(PipelineError, match="none of the 1 locations"):
        import_noldo("nol", [tmp_path / "nol.zip"], store)


def test_a_store_without_its_import_is_one_line(store, tmp_path):
    shutil.rmtree(work_folder(store))
    with pytest.raises(PipelineError, match="was not imported here"):
        import_noldo("nol", [write_masks(tmp_path / "nol.zip")], store)
