"""Where expert tiles come from: drawn, in folders, or unpacked from archives."""

import zipfile

import pytest

from pipeline.dynamic_world.acquire import acquire_tiles, unpack_tiles
from pipeline.dynamic_world.catalogue import find_tiles
from pipeline.errors import PipelineError
from pipeline.settings.tree import validate_settings
from tests.unit.dynamic_world.test_expert_tile import SIZE, write_tile

NAME = "dw_12.5_48.1-20180625.tif"


def test_folders_are_used_where_they_are(tmp_path):
    section = {"tiles": "published", "train": "a/train", "test": "b/test"}
    folders = acquire_tiles(validate_settings({"dynamic_world": section}), tmp_path)
    assert {split: path.as_posix() for split, path in folders.items()} == {
        "train": "a/train",
        "test": "b/test",
    }


def test_simulated_tiles_are_drawn_in_the_published_form(tmp_path):
    section = {"simulated_train": 2, "simulated_test": 1, "train_pixels": 40, "test_pixels": 42}
    folders = acquire_tiles(validate_settings({"dynamic_world": section}), tmp_path)
    train, refused = find_tiles(folders["train"], "train", 40)
    test, refused_test = find_tiles(folders["test"], "test", 42)
    assert (len(train), len(test), refused + refused_test) == (2, 1, [])


def test_fewer_simulated_tiles_leave_none_of_the_earlier_ones(tmp_path):
    section = {"simulated_train": 3, "simulated_test": 1, "train_pixels": 40, "test_pixels": 40}
    for count in (3, 1):
        drawn = validate_settings({"dynamic_world": section | {"simulated_train": count}})
        folders = acquire_tiles(drawn, tmp_path)
    assert len(find_tiles(folders["train"], "train", 40)[0]) == 1


def test_simulated_tiles_do_not_go_with_the_real_archive(tmp_path):
    settings = validate_settings({"earthengine": {"service": "google", "project": "p"}})
    with pytest.raises(PipelineError, match="does not go with earthengine.service = google"):
        acquire_tiles(settings, tmp_path)


@pytest.fixture
def archive(tmp_path):
    tile = write_tile(tmp_path / "made" / NAME)
    path = tmp_path / "tiles.zip"
    with zipfile.ZipFile(path, "w") as members:
        members.write(tile, f"Experts/EH/4/{NAME}")
        members.write(tile, f"../{NAME}")
        members.writestr("Experts/readme.pdf", b"%PDF")
    return path


def test_an_archive_is_unpacked_but_for_what_is_unsafe(archive, tmp_path):
    refused = unpack_tiles(archive, tmp_path / "out")
    files = [file.relative_to(tmp_path / "out") for file in (tmp_path / "out").rglob("*.*")]
    assert [file.as_posix() for file in files] == [f"Experts/EH/4/{NAME}"]
    assert len(refused) == 1 and ".." in str(refused[0])
    assert len(find_tiles(tmp_path / "out", "train", SIZE)[0]) == 1


def test_an_archive_on_this_machine_is_unpacked_beside_the_dataset(archive, tmp_path):
    section = {"tiles": "published", "train": str(archive), "test": "b/test"}
    folders = acquire_tiles(validate_settings({"dynamic_world": section}), tmp_path / "tiles")
    assert folders["train"] == tmp_path / "tiles/train"
    assert len(find_tiles(folders["train"], "train", SIZE)[0]) == 1
    wrong = section | {"train_checksum": "md5:" + "0" * 32}
    with pytest.raises(PipelineError, match="has the checksum"):
        acquire_tiles(validate_settings({"dynamic_world": wrong}), tmp_path / "tiles")


def test_another_archive_leaves_nothing_of_the_earlier_one(archive, tmp_path):
    write_tile(tmp_path / "out" / "Experts/WH/4/dw_1.0_2.0-20180101.tif")
    unpack_tiles(archive, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.tif"))) == 1


def test_an_archive_without_rasters_is_refused(tmp_path):
    path = tmp_path / "empty.zip"
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("readme.txt", b"nothing here")
    with pytest.raises(PipelineError, match="holds no .tif"):
        unpack_tiles(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"tiles": "published"}, "needs train and test"),
        ({"tiles": "published", "train": "a", "test": "https://x/y.zip"}, "test_checksum"),
        ({"train_checksum": "sha1:00"}, "train_checksum"),
        ({"simulated_area": [1, 2, 0, 3]}, "west < east"),
    ],
)
def test_settings_that_cannot_be(section, words):
    with pytest.raises(PipelineError, match=words):
        validate_settings({"dynamic_world": section})


def test_the_stores_have_hashes_of_their_own():
    plain = validate_settings({})
    paired = validate_settings({"dynamic_world": {"rule": "released"}})
    labelled = validate_settings({"osm_landuse": {"min_agreement": 0.7}})
    polite = validate_settings({"osm_landuse": {"requests_per_second": 3}})
    assert plain.dataset_hash() == paired.dataset_hash() == labelled.dataset_hash()
    assert plain.dw_defining() == labelled.dw_defining() != paired.dw_defining()
    assert plain.osm_defining() == polite.osm_defining() != labelled.osm_defining()
