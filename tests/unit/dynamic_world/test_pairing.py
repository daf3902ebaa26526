"""Which scenes belong to an expert tile: windows, order, CRS and what masked pixels change."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from pipeline.candidates import OpticalScene, RadarScene
from pipeline.dynamic_world.pairing import Pair, TileCandidates, choose_pair, flat_sensor
from pipeline.ledger import Reason

DATE = dt.date(2018, 6, 15)
EPSG = 32633


def milliseconds(day, hour=10):
    moment = dt.datetime(DATE.year, DATE.month, DATE.day, hour, tzinfo=dt.UTC)
    return int((moment + dt.timedelta(days=day)).timestamp() * 1000)


def optical(day, tile="33UUP", name=None, hour=10):
    date = DATE + dt.timedelta(days=day)
    return OpticalScene(
        name or f"{date:%Y%m%d}T100000_T{tile}", milliseconds(day, hour), 5.0, tile, "02.06"
    )


def radar(day, name=None, hour=17):
    date = DATE + dt.timedelta(days=day)
    return RadarScene(name or f"S1A_{date:%Y%m%d}", milliseconds(day, hour), "ASCENDING", 44)


def candidates(optical_scenes, radar_scenes, partial=(), radar_epsg=None, count=None):
    """All scenes hold the whole tile but those named as partial; radar is in the tile's CRS."""
    every = [*optical_scenes, *radar_scenes]
    return TileCandidates(
        DATE - dt.timedelta(days=15),
        DATE + dt.timedelta(days=15),
        len(optical_scenes) if count is None else count,
        tuple(optical_scenes),
        tuple(radar_scenes),
        {scene.index: EPSG for scene in radar_scenes} | (radar_epsg or {}),
        frozenset(scene.index for scene in every if scene not in partial),
    )


def chosen(found, rule="released", masked=frozenset()):
    pair = choose_pair(DATE, EPSG, found, rule, masked)
    return (pair.optical.index, pair.radar.index) if isinstance(pair, Pair) else pair


@pytest.mark.parametrize("rule", ["released", "covering"])
@pytest.mark.parametrize(
    ("days", "expected"),
    [([9, 2, 5], 2), ([0, 3], 0), ([-1, 14], 14), ([-3, -8, -1], -8)],
)
def test_first_scene_from_the_date_on_else_the_first_before_it(rule, days, expected):
    found = candidates([optical(day) for day in days], [radar(1)])
    assert chosen(found, rule)[0] == optical(expected).index


@pytest.mark.parametrize("rule", ["released", "covering"])
def test_the_date_begins_at_midnight_utc(rule):
    found = candidates([optical(-1, hour=23), optical(0, hour=0)], [radar(1)])
    assert chosen(found, rule)[0] == optical(0).index


@pytest.mark.parametrize("rule", ["released", "covering"])
def test_the_first_in_the_crs_of_the_tile_is_taken(rule):
    found = candidates([optical(1, "32UQV"), optical(2, "33UUP"), optical(3)], [radar(1)])
    assert chosen(found, rule)[0] == optical(2).index


def test_after_without_the_crs_falls_back_to_before():
    found = candidates([optical(1, "32UQV"), optical(-4)], [radar(1)])
    assert chosen(found)[0] == optical(-4).index


def test_a_zone_of_the_south_is_another_crs():
    found = candidates([optical(1, "33HUP")], [radar(1)])
    assert chosen(found) is Reason.OTHER_CRS


def test_released_gives_the_window_up_when_its_first_scene_has_masked_pixels():
    found = candidates([optical(1), optical(3), optical(-4)], [radar(1)])
    masked = frozenset({optical(1).index})
    assert chosen(found, "released", masked)[0] == optical(-4).index
    assert chosen(found, "covering", masked)[0] == optical(3).index


def test_covering_begins_with_scenes_whose_footprint_holds_the_tile():
    scenes = [optical(1), optical(3), optical(-4)]
    found = candidates(scenes, [radar(1)], partial=scenes[:2])
    assert chosen(found, "released")[0] == optical(1).index
    assert chosen(found, "covering")[0] == optical(-4).index
    masked = frozenset({optical(-4).index})
    assert chosen(found, "covering", masked)[0] == optical(1).index


def test_both_windows_masked():
    found = candidates([optical(1), optical(-4), optical(-2)], [radar(1)])
    masked = frozenset({optical(1).index, optical(-4).index})
    assert chosen(found, "released", masked) is Reason.NODATA
    assert chosen(found, "covering", masked)[0] == optical(-2).index
    assert chosen(found, "covering", masked | {optical(-2).index}) is Reason.NODATA


@pytest.mark.parametrize("rule", ["released", "covering"])
def test_newest_radar_from_the_optical_moment_on(rule):
    found = candidates([optical(3)], [radar(2), radar(3), radar(9), radar(6)])
    assert chosen(found, rule)[1] == radar(9).index


@pytest.mark.parametrize("rule", ["released", "covering"])
def test_radar_of_the_same_day_but_earlier_counts_as_before(rule):
    found = candidates([optical(3, hour=10)], [radar(3, hour=5), radar(1)])
    assert chosen(found, rule)[1] == radar(1).index


@pytest.mark.parametrize("rule", ["released", "covering"])
def test_radar_of_the_very_moment_counts_as_after(rule):
    found = candidates([optical(3, hour=10)], [radar(3, hour=10), radar(1)])
    assert chosen(found, rule)[1] == radar(3).index


def test_radar_before_prefers_the_crs_of_the_tile_else_the_first():
    scenes = [radar(-9), radar(-5), radar(-2)]
    foreign = {radar(-9).index: 32632}
    found = candidates([optical(3)], scenes, radar_epsg=foreign)
    assert chosen(found)[1] == radar(-5).index
    everywhere = {scene.index: 32632 for scene in scenes}
    assert chosen(replace(found, radar_epsg=everywhere))[1] == radar(-9).index


def test_newest_radar_is_taken_in_whatever_crs():
    found = candidates([optical(3)], [radar(4), radar(8)], radar_epsg={radar(8).index: 32632})
    assert chosen(found)[1] == radar(8).index


def test_masked_newest_radar_falls_back_to_before_when_released():
    found = candidates([optical(3)], [radar(-2), radar(5), radar(8)])
    masked = frozenset({radar(8).index})
    assert chosen(found, "released", masked)[1] == radar(-2).index
    assert chosen(found, "covering", masked)[1] == radar(5).index


@pytest.mark.parametrize(
    ("optical_scenes", "radar_scenes", "count", "reason"),
    [
        ([], [radar(1)], 0, Reason.NO_S2),
        ([], [radar(1)], 3, Reason.CLOUD),
        ([optical(1, "32UQV")], [radar(1)], 1, Reason.OTHER_CRS),
        ([optical(1)], [], 1, Reason.NO_S1),
    ],
)
@pytest.mark.parametrize("rule", ["released", "covering"])
def test_reasons(rule, optical_scenes, radar_scenes, count, reason):
    assert chosen(candidates(optical_scenes, radar_scenes, count=count), rule) is reason


@pytest.mark.parametrize("rule", ["released", "covering"])
def test_masked_radar_only(rule):
    found = candidates([optical(1)], [radar(2)])
    assert chosen(found, rule, frozenset({radar(2).index})) is Reason.NODATA


@pytest.mark.parametrize(
    ("s2_values", "s1_values", "reason"),
    [(117, 18, Reason.NONE), (116, 18, Reason.FLAT_S2), (117, 17, Reason.FLAT_S1)],
)
def test_tiles_with_few_values_are_rejected_at_117_and_18(s2_values, s1_values, reason):
    s2 = np.resize(np.arange(s2_values, dtype=np.float32), (13, 16, 16))
    s1 = np.resize(np.arange(s1_values, dtype=np.float32), (2, 16, 16))
    assert flat_sensor(s2, s1) is reason
