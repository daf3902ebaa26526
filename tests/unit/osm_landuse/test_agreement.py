import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.agreement import (
    Agreement,
    Verdict,
    check_numbering,
    judge_tile,
    load_crosswalk,
    measure_agreement,
)
from pipeline.osm_landuse.decode import TileStatus
from pipeline.settings.osm_landuse import OsmLanduseSettings

SETTINGS = OsmLanduseSettings(min_agreement=0.5, min_joint_share=0.1)
CLASSES = load_legend("osm_landuse")


def labels(*values):
    return np.array([values], np.uint8)


@pytest.fixture
def osm():
    """Class frequencies as different as in the released labels: forest 44 %, water 17 %."""
    share = np.array([8, 2, 12, 2, 44, 1, 17, 2, 6, 2, 1, 2, 1], float)
    random = np.random.default_rng(0)
    drawn = random.choice(13, (200, 200), p=share / share.sum()).astype(np.uint8)
    drawn[random.random(drawn.shape) < 0.35] = UNLABELLED
    return drawn


@pytest.fixture
def dw(osm):
    """Dynamic World labels that agree everywhere."""
    random = np.random.default_rng(1)
    consistent = np.full(osm.shape, UNLABELLED, np.uint8)
    for number, admitted in enumerate(load_crosswalk()):
        place = osm == number
        consistent[place] = random.choice(np.flatnonzero(admitted), place.sum())
    return consistent


TABLE_ONE = {
    "Urban fabric": {"Built"},
    "Industrial, commercial and transport units": {"Built"},
    "Arable land": {"Crops"},
    "Artificial, non-agricultural vegetated areas": {"Trees", "Grass"},
    "Forests": {"Trees"},
    "Mine, dump and construction sites": {"Bare"},
    "Water bodies": {"Water"},
    "Open spaces with little or no vegetation": {"Bare", "Snow and ice"},
    "Pastures": {"Grass"},
    "Shrub and/or herbaceous vegetation": {"Grass", "Shrub and scrub"},
    "Permanent crops": {"Trees", "Crops"},
    "Wetlands (inland)": {"Flooded vegetation"},
    "Coastal wetlands": {"Water", "Flooded vegetation"},
}


def test_the_crosswalk_is_table_one_of_the_paper():
    dw_names = np.array([row.name for row in load_legend("dynamic_world")])
    crosswalk = load_crosswalk()
    assert {row.name: set(dw_names[crosswalk[row.id]]) for row in CLASSES} == TABLE_ONE
    assert list(TABLE_ONE) == [row.name for row in CLASSES], "in the paper's order"


def test_only_jointly_labelled_pixels_count():
    osm = labels(0, 1, 2, 3, 3, 4, UNLABELLED, 10)
    dw = labels(6, 6, 4, 1, 2, UNLABELLED, 0, 0)
    assert measure_agreement(osm, dw) == Agreement(pixels=8, osm_labelled=7, joint=6, agreeing=5)


def test_the_papers_numbering_agrees_perfectly(osm, dw):
    assert measure_agreement(osm, dw).share == 1.0


def test_the_released_numbering_is_found_out(osm, dw):
    released = np.full(256, UNLABELLED, np.uint8)
    for row in CLASSES:
        released[row.id] = row.released_id - 1
    mixed_up = measure_agreement(released[osm], dw)
    assert mixed_up.share < 0.3
    with pytest.raises(PipelineError, match="is this the released numbering"):
        check_numbering([mixed_up, mixed_up], SETTINGS.plausible_agreement)


def test_dynamic_world_numbered_from_one_is_found_out(osm, dw):
    shifted = np.where(dw == UNLABELLED, UNLABELLED, np.minimum(dw + 1, 8)).astype(np.uint8)
    from_one = measure_agreement(osm, shifted)
    assert from_one.share < 0.3
    with pytest.raises(PipelineError, match="numbered from 1"):
        check_numbering([from_one], SETTINGS.plausible_agreement)


def test_a_number_outside_the_legend_is_refused():
    with pytest.raises(PipelineError, match="label 9 is not in the legend dynamic_world"):
        measure_agreement(labels(4), labels(9))
    with pytest.raises(PipelineError, match="label 13 is not in the legend osm_landuse"):
        measure_agreement(labels(13), labels(1))


def test_labels_of_different_tiles_are_refused():
    with pytest.raises(ValueError, match="not of one tile"):
        measure_agreement(labels(4, 4), labels(1))


def test_plausible_and_empty_builds_go_on(osm, dw):
    check_numbering([measure_agreement(osm, dw)], SETTINGS.plausible_agreement)
    check_numbering([], SETTINGS.plausible_agreement)
    check_numbering([Agreement(100, 0, 0, 0)], SETTINGS.plausible_agreement)
    check_numbering([Agreement(100, 100, 50, 10), Agreement(100, 100, 50, 15)], 0.25)
    with pytest.raises(PipelineError, match=r"agree on 24.0% of 100 pixels, under 25%"):
        check_numbering([Agreement(100, 100, 50, 10), Agreement(100, 100, 50, 14)], 0.25)


@pytest.mark.parametrize(
    ("status", "counts", "verdict"),
    [
        (TileStatus.LABELLED, (100, 60, 50, 40), Verdict.KEPT),
        (TileStatus.LABELLED, (100, 60, 50, 25), Verdict.KEPT),
        (TileStatus.LABELLED, (100, 60, 50, 24), Verdict.LOW_AGREEMENT),
        (TileStatus.LABELLED, (100, 60, 10, 10), Verdict.KEPT),
        (TileStatus.LABELLED, (100, 60, 9, 9), Verdict.FEW_JOINT_PIXELS),
        (TileStatus.LABELLED, (100, 60, 0, 0), Verdict.FEW_JOINT_PIXELS),
        (TileStatus.EMPTY, (100, 0, 0, 0), Verdict.EMPTY),
        (TileStatus.UNKNOWN_COLOURS, (100, 0, 0, 0), Verdict.UNKNOWN_COLOURS),
    ],
)
def test_verdicts(status, counts, verdict):
    assert judge_tile(status, Agreement(*counts), SETTINGS) is verdict


def test_without_joint_pixels_no_threshold_keeps_a_tile():
    lenient = OsmLanduseSettings(min_agreement=0, min_joint_share=0)
    verdict = judge_tile(TileStatus.LABELLED, Agreement(100, 60, 0, 0), lenient)
    assert verdict is Verdict.FEW_JOINT_PIXELS
