import datetime as dt
import itertools
from dataclasses import replace

import pytest

from pipeline.ledger import Reason, SeasonRecord, Status
from pipeline.outcomes import Outcomes


def selected(sample, season, scene="a"):
    return SeasonRecord(
        sample=sample,
        location_id=f"{sample:03d}",
        season=season,
        window_start=dt.date(2021, 1, 1),
        window_end=dt.date(2021, 2, 1),
        status=Status.SELECTED,
        s2_id=f"s2_{scene}",
        s1_id=f"s1_{scene}",
        dw_id=f"dw_{scene}",
    )


def location(sample, scene="a"):
    return [selected(sample, season, scene) for season in range(4)]


def judge(outcomes, record, reason):
    outcomes.judge(record, Status.REJECTED if reason else Status.DONE, Reason(reason))


def reasons(outcomes, sample):
    return [row.reason.value for row in outcomes.of(sample)]


def test_four_good_seasons_are_kept():
    outcomes = Outcomes(location(7))
    assert outcomes.wanted(7) == location(7)
    for record in location(7):
        judge(outcomes, record, "")
    assert outcomes.kept(7) and outcomes.settled(7) and outcomes.wanted(7) == []
    assert {row.status for row in outcomes.of(7)} == {Status.DONE}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_earliest_bad_season_gives_the_reason_in_whatever_order_they_come(order):
    verdict = ["", "nodata", "", "implausible_s1"]
    outcomes = Outcomes(location(0))
    for season in order:
        if any(record.season == season for record in outcomes.wanted(0)):
            judge(outcomes, selected(0, season), verdict[season])
    assert outcomes.settled(0) and not outcomes.kept(0)
    assert reasons(outcomes, 0) == ["other_season", "nodata", "other_season", "other_season"]
    assert outcomes.reason(0) is Reason.NODATA
    assert {row.status for row in outcomes.records()} == {Status.REJECTED}


def test_seasons_after_a_bad_one_are_not_wanted_and_earlier_ones_are():
    outcomes = Outcomes(location(0))
    judge(outcomes, selected(0, 2), "nodata")
    assert [record.season for record in outcomes.wanted(0)] == [0, 1]
    assert not outcomes.settled(0)


def test_a_failed_season_leaves_the_location_open():
    outcomes = Outcomes(location(0))
    judge(outcomes, selected(0, 3), "nodata")
    judge(outcomes, selected(0, 0), "")
    outcomes.judge(selected(0, 1), Status.FAILED, Reason.QUOTA)
    judge(outcomes, selected(0, 2), "")
    assert not outcomes.settled(0) and outcomes.wanted(0) == []
    assert outcomes.reason(0) is Reason.QUOTA


def test_a_failure_after_a_bad_season_does_not_matter():
    outcomes = Outcomes(location(0))
    outcomes.judge(selected(0, 3), Status.FAILED, Reason.TIMEOUT)
    judge(outcomes, selected(0, 0), "nodata")
    assert outcomes.settled(0)
    assert reasons(outcomes, 0) == ["nodata", "other_season", "other_season", "other_season"]


def test_what_the_selection_rejected_stays_as_it_is():
    verdicts = ["other_season", "cloud", "no_dw", "other_season"]
    rows = [
        replace(selected(0, season), status=Status.REJECTED, reason=Reason(verdict))
        for season, verdict in enumerate(verdicts)
    ]
    outcomes = Outcomes(rows)
    assert outcomes.wanted(0) == [] and outcomes.settled(0)
    assert outcomes.of(0) == rows


def test_earlier_results_are_taken_over_for_the_same_scenes_only():
    before = Outcomes(location(0) + location(1) + location(2))
    for sample in (0, 1):
        for record in location(sample):
            judge(before, record, "")
    judge(before, selected(2, 0), "nodata")
    after = Outcomes(location(0) + location(1, scene="b") + location(2) + location(3))
    assert after.adopt(before.records()) == [0, 2]
    assert after.kept(0) and after.settled(2) and not after.kept(2)
    assert [bool(after.wanted(sample)) for sample in range(4)] == [False, True, False, True]


@pytest.mark.parametrize("name", ["location_id", "s2_id", "s1_id", "dw_id"])
def test_one_other_scene_in_one_season_is_another_location(name):
    before = Outcomes(location(0))
    for record in location(0):
        judge(before, record, "")
    rows = location(0)
    rows[2] = replace(rows[2], **{name: "another"})
    assert Outcomes(rows).adopt(before.records()) == []
    assert Outcomes(location(0)).adopt(before.records()) == [0]
