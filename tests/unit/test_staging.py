import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from pipeline.grid import PatchGrid
from pipeline.ledger import SeasonRecord, Status
from pipeline.staging import LazyPixels, Staging

GRID = PatchGrid(32633, 500_040.0, 5_300_040.0, 12, 12)
RECORD = SeasonRecord(
    sample=3,
    location_id="../../etc/passwd",
    season=1,
    window_start=dt.date(2021, 1, 1),
    window_end=dt.date(2021, 2, 1),
    status=Status.SELECTED,
    s2_id="20210101T000000_20210101T000000_T33UUP",
    s1_id="S1A_x",
    dw_id="20210101T000000_20210101T000000_T33UUP",
)


@pytest.fixture
def staging(tmp_path):
    return Staging(tmp_path / "staging" / "0")


def test_what_was_saved_is_found_again(staging, random_pixels):
    assert staging.find(RECORD, GRID) is None
    pixels = random_pixels(3, 1)
    staging.save(RECORD, GRID, pixels)
    found = staging.find(RECORD, GRID)
    for name, array in vars(pixels).items():
        np.testing.assert_array_equal(getattr(found, name), array)
        assert getattr(found, name).dtype == array.dtype


@pytest.mark.parametrize("field", ["s2_id", "s1_id", "dw_id"])
def test_another_scene_is_another_file(staging, random_pixels, field):
    staging.save(RECORD, GRID, random_pixels(3, 1))
    assert staging.find(replace(RECORD, **{field: "other"}), GRID) is None


def test_another_grid_is_another_file(staging, random_pixels):
    staging.save(RECORD, GRID, random_pixels(3, 1))
    assert staging.find(RECORD, replace(GRID, left=GRID.left + 60)) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_file_counts_as_none(staging, random_pixels, tmp_path, damage, caplog):
    staging.save(RECORD, GRID, random_pixels(3, 1))
    (file,) = (tmp_path / "staging" / "0").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    contents = {
        "cut": content[: len(content) // 2],
        "flipped": content,
        "empty": b"",
        "foreign": b"\x80\x04N.",
    }
    file.write_bytes(contents[damage])
    assert staging.find(RECORD, GRID) is None
    assert "damaged" in caplog.text
    with pytest.raises(OSError, match="damaged"):
        staging.load(RECORD, GRID)


def test_pickled_objects_are_never_loaded(staging, random_pixels, tmp_path):
    staging.save(RECORD, GRID, random_pixels(3, 1))
    (file,) = (tmp_path / "staging" / "0").iterdir()
    np.savez(file, s2_10m=np.array([{"a": 1}], dtype=object))
    assert staging.find(RECORD, GRID) is None


def test_pixels_of_another_shape_do_not_count(staging, random_pixels):
    staging.save(RECORD, GRID, random_pixels(3, 1, size=24))
    assert staging.find(RECORD, GRID) is None


def test_ids_never_become_paths_and_the_folder_goes(staging, random_pixels, tmp_path):
    staging.save(RECORD, GRID, random_pixels(3, 1))
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file.parent == tmp_path / "staging" / "0" and file.name.startswith("00000003-1-")
    staging.remove()
    assert not (tmp_path / "staging" / "0").exists()
    staging.remove()


def test_lazy_pixels_read_each_time_they_are_asked():
    reads = []
    pixels = LazyPixels({(0, 0): lambda: reads.append(1) or "pixels"})
    assert list(pixels) == [(0, 0)] and (0, 0) in pixels and len(pixels) == 1 and not reads
    assert pixels[0, 0] == "pixels" and pixels[0, 0] == "pixels" and len(reads) == 2
