"""Counting and comparing, on values small enough to check by hand."""

import numpy as np
import pytest

from pipeline.label_classes import label_classes
from pipeline.report.acquisitions import acquisitions
from pipeline.report.agreement import Persistence, class_persistence, osm_agreement, season_pairs
from pipeline.report.bands import compare_bands, offset_warning
from pipeline.report.counts import count_outcomes, outcome_names, tile_distributions
from pipeline.report.effort import read_effort
from pipeline.verify.figures import load_published

NAT = "NaT"


def statistics(shift=0.0, factor=1.0):
    return {
        row.band: {"mean": row.mean + shift, "std": factor * row.std, "count": 1000}
        for row in load_published()
    }


def test_outcomes_are_sorted_by_number():
    names = outcome_names([True, False, False, True, False], ["", "cloud", "nodata", "", "nodata"])
    counted = count_outcomes("nol", "locations", names, ["train", "train", "", "test", ""])
    assert (counted.total, counted.kept) == (5, 2)
    assert list(counted.rejected.items()) == [("nodata", 2), ("cloud", 1)]
    assert list(counted.splits.items()) == [("train", 1), ("test", 1)]
    assert counted.share(2) == pytest.approx(0.4)


def test_shares_are_of_labelled_pixels():
    sums = {"test": {"1": 30, "255": 60}, "train": {"0": 10, "8": 10}}
    train, test = tile_distributions("dw", sums, label_classes({}))
    assert train.split == "train"
    assert train.share(8) == 0.5
    assert test.share(1) == 1.0
    assert test.unlabelled_share == pytest.approx(2 / 3)


def test_published_bands_raise_no_warning():
    bands = compare_bands(statistics())
    assert [band.band for band in bands][:2] == ["B1", "B2"]
    assert len(bands) == 15
    assert not any(band.warning for band in bands)
    assert offset_warning(bands) == ""


def test_an_offset_and_a_wrong_spread_are_told():
    bands = compare_bands(statistics(shift=1000.0))
    assert "+1000" in offset_warning(bands)
    assert "std away" in next(band for band in bands if band.band == "B10").warning
    narrow = compare_bands(statistics(factor=0.4))
    assert all("0.40 times" in band.warning for band in narrow)
    assert offset_warning(narrow) == ""


def test_gaps_have_a_sign_and_missing_scenes_do_not_count():
    s2 = np.array([["2020-01-10", "2020-04-10"], [NAT, "2021-04-01"]], "datetime64[ms]")
    s1 = np.array([["2020-01-12", "2020-04-05"], [NAT, "2021-04-01"]], "datetime64[ms]")
    found = acquisitions("nol", s2, s1, np.array([[5.0, 15.0], [np.nan, 1.0]]))
    assert found.scenes == 3
    assert (found.months[0][0], found.months[1][3]) == (1, 2)
    assert (found.first, found.last) == ("2020-01-10", "2021-04-01")
    assert found.gap_days.edges[0] == -5.0
    assert sum(found.gap_days.counts) == 3
    assert (found.gap_median, found.gap_longest) == (2.0, 5.0)
    assert found.within_three_days == pytest.approx(2 / 3)
    assert found.cloud_mean == 7.0
    assert acquisitions("nol", s2[1:, :1], s1[1:, :1], np.zeros((1, 1))) is None


def test_seasons_and_classes_that_stay():
    table = np.zeros((13, 13), int)
    table[1, 1], table[1, 2], table[2, 1] = 6, 2, 2
    (pair,) = season_pairs({"0-3": table.tolist()})
    assert (pair.seasons, pair.joint, pair.same) == ((0, 3), 10, 6)
    assert class_persistence({"0-3": table.tolist()}) == {
        1: Persistence(0.75, 16),
        2: Persistence(0.0, 4),
    }
    assert class_persistence({}) == {}


def test_osm_agreement_counts_admitted_pairs():
    table = np.zeros((13, 13), int)
    table[0, 6], table[0, 1] = 30, 10  # urban fabric on built, on trees
    found = osm_agreement(np.array([0.75, np.nan, 1.0]), 0.5, {"train": table.tolist()})
    assert (found.joint, found.agreeing, found.tiles) == (40, 30, 2)
    assert (found.histogram.counts[15], found.histogram.counts[19]) == (1, 1)


def test_effort_of_a_folder_without_records(tmp_path):
    effort = read_effort(tmp_path, {})
    assert (effort.requests, effort.bytes_received, effort.steps) == ({}, 0, ())


def test_jobs_too_short_to_measure_count_as_nothing(tmp_path):
    folder = tmp_path / "benchmarks" / "dw" / "shards" / "train"
    folder.mkdir(parents=True)
    (folder / "0.tsv").write_text("s\tmax_rss\n1.5\t-\n")
    (folder / "1.tsv").write_text("s\tmax_rss\n2.5\t80\n")
    (step,) = read_effort(tmp_path, {}).steps
    assert (step.name, step.jobs, step.seconds, step.memory_mb) == ("dw/shards", 2, 4.0, 80.0)
