import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.candidates import OpticalScene, RadarScene, SeasonCandidates
from pipeline.grid import patch_grid
from pipeline.ledger import Reason, Status
from pipeline.locations.location import Location
from pipeline.selection import choose_scenes

DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22))
BERLIN = Location(
    5, "0000005", 13.4, 52.5, patch_grid(13.4, 52.5, 264), DATES, "train", 0
)  # zone 33


def optical(index, time, tile="33UUU", cloud=10.0):
    return OpticalScene(index, time, cloud, tile, "02.09")


def radar(index, time=1):
    return RadarScene(index, time, "DESCENDING", 66)


RADAR = radar("r")


def season(scenes=(), labels=(), radars=(RADAR,), count=None):
    return SeasonCandidates(
        DATES[0] - dt.timedelta(15),
        DATES[0] + dt.timedelta(15),
        len(scenes) if count is None else count,
        tuple(scenes),
        tuple(radars),
        frozenset(labels),
    )


FINE = season([optical("a", 1)], {"a"})


def choose(found, rule="dw_first"):
    """The record of a season whose three neighbours are fine."""
    return choose_scenes(BERLIN, [FINE, found, FINE, FINE], rule)[1]


def test_a_kept_place_has_everything_written_down():
    found = season(
        [optical("a", 3), optical("b", 2)], {"a", "b"}, [radar("old", 1), radar("new", 9)]
    )
    records = choose_scenes(BERLIN, [FINE, found, FINE, FINE], "paper")
    assert [row.status for row in records] == [Status.SELECTED] * 4
    assert [row.season for row in records] == [0, 1, 2, 3]
    row = records[1]
    assert (row.sample, row.location_id) == (5, "0000005")
    assert (row.window_start, row.window_end) == (found.window_start, found.window_end)
    assert (row.s2_id, row.dw_id, row.s1_id) == ("a", "a", "new")
    assert (row.s2_time, row.s1_time, row.cloud_cover) == (3, 9, 10.0)
    assert (row.mgrs_tile, row.processing_baseline) == ("33UUU", "02.09")
    assert (row.s1_orbit_pass, row.s1_relative_orbit) == ("DESCENDING", 66)


def test_paper_takes_the_newest_and_then_looks_for_its_label():
    found = season([optical("new", 2), optical("old", 1)], {"old"})
    row = choose(found, "paper")
    assert (row.status, row.reason) == (Status.REJECTED, Reason.NO_DW)
    assert (row.s2_id, row.dw_id) == ("new", "")


def test_dw_first_takes_the_newest_that_has_a_label():
    row = choose(season([optical("new", 2), optical("old", 1)], {"old"}), "dw_first")
    assert (row.status, row.s2_id, row.dw_id) == (Status.SELECTED, "old", "old")


@pytest.mark.parametrize("rule", ["paper", "dw_first"])
def test_scenes_of_the_own_zone_come_before_newer_ones(rule):
    found = season([optical("new", 2, "32UQD"), optical("old", 1, "33UUU")], {"new", "old"})
    assert choose(found, rule).s2_id == "old"


def test_another_zone_is_better_than_none():
    found = season([optical("new", 2, "32UQD"), optical("own", 1)], {"new"})
    assert choose(found, "dw_first").s2_id == "new"
    assert choose(season([optical("new", 2, "32UQD")], {"new"}), "paper").s2_id == "new"


@pytest.mark.parametrize("rule", ["paper", "dw_first"])
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (season(), Reason.NO_S2),
        (season(radars=()), Reason.NO_S2),
        (season(count=6), Reason.CLOUD),
        (season([optical("a", 1)]), Reason.NO_DW),
        (season([optical("a", 1)], {"b"}), Reason.NO_DW),
        (season([optical("a", 1)], {"a"}, radars=()), Reason.NO_S1),
    ],
)
def test_every_lack_has_its_reason_and_costs_the_other_seasons(rule, found, reason):
    records = choose_scenes(BERLIN, [FINE, FINE, found, FINE], rule)
    others = Reason.OTHER_SEASON
    assert [row.reason for row in records] == [others, others, reason, others]
    assert {row.status for row in records} == {Status.REJECTED}
    assert records[0].s2_id == "a"


@given(st.permutations([optical(name, 7) for name in "dacb"]), st.permutations("zyx"))
def test_ties_do_not_depend_on_the_order_of_the_answer(scenes, radars):
    row = choose(season(scenes, "abcd", [radar(name, 7) for name in radars]))
    assert (row.s2_id, row.s1_id) == ("d", "z")
