"""What is made of the archive's answer about one tile."""

import datetime as dt

import pytest

from pipeline.dynamic_world.queries import read_scenes

WINDOW = (dt.date(2018, 6, 1), dt.date(2018, 7, 1))
OPTICAL, RADAR = "20180605T101021_20180605T101020_T33UUP", "S1A_IW_GRDH_1SDV_20180605"
ANSWER = {
    "optical_count": 3,
    "clear_count": 1,
    "optical": [[OPTICAL, 1528193421000, 4.5, "33UUP"]],
    "baselines": [[OPTICAL, "02.06"]],
    "radar_count": 1,
    "radar": [[RADAR, 1528200000000, "EPSG:32633"]],
    "passes": [[RADAR, "ASCENDING"]],
    "orbits": [[RADAR, 44]],
    "covering_optical": [OPTICAL],
    "covering_radar": [],
}


def test_scenes_with_what_describes_them():
    found = read_scenes(ANSWER, WINDOW)
    assert (found.optical_count, found.optical[0].processing_baseline) == (3, "02.06")
    assert (found.radar[0].relative_orbit, found.radar_epsg) == (44, {RADAR: 32633})
    assert found.covering == {OPTICAL}


@pytest.mark.parametrize("nothing", [None, []])
def test_no_scenes_are_an_answer_whether_told_as_null_or_as_an_empty_list(nothing):
    empty = {key: 0 if isinstance(value, int) else nothing for key, value in ANSWER.items()}
    found = read_scenes(empty, WINDOW)
    assert (found.optical_count, found.optical, found.radar, found.covering) == (0, (), (), set())


@pytest.mark.parametrize("lost", ["optical", "radar"])
def test_a_scene_without_its_row_is_not_taken_for_no_scene(lost):
    with pytest.raises(ValueError, match="1 scenes, but metadata of 0"):
        read_scenes(ANSWER | {lost: None}, WINDOW)
