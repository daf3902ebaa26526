"""The map: every status is seen, whatever the number of places, and nothing comes from outside."""

import numpy as np
import pytest

from pipeline.report.contents import Places
from pipeline.report.location_map import (
    KEPT_COLOR,
    interactive_map,
    land_picture,
    status_colors,
    thin_out,
)


def places(outcomes, ids=None):
    count = len(outcomes)
    names = ids or [f"{number:07d}" for number in range(count)]
    lon, lat = np.linspace(-10, 25, count), np.linspace(40, 60, count)
    return Places("nol", names, lon, lat, outcomes, ["train"] * count)


def test_few_rejected_places_are_kept_among_many():
    outcomes = ["kept"] * 5000 + ["cloud"] * 3 + ["nodata"] * 40
    chosen = thin_out(outcomes, 100)
    assert len(chosen) <= 100
    names = np.array(outcomes)[chosen]
    assert (names == "cloud").sum() == 3
    assert (names == "nodata").sum() >= 30
    assert (names == "kept").sum() >= 40


def test_all_places_are_shown_where_they_fit():
    assert thin_out(["kept", "cloud", "kept"], 10).tolist() == [0, 1, 2]
    assert thin_out([], 10).tolist() == []


def test_colours_belong_to_reasons_by_their_number():
    colors = status_colors(["kept", "nodata", "cloud", "cloud"])
    assert list(colors) == ["kept", "cloud", "nodata"]
    assert colors["kept"] == KEPT_COLOR
    assert len(set(colors.values())) == 3


@pytest.mark.parametrize(
    ("extent", "land"), [((12, 47, 13, 48), True), ((-40, 25, -35, 30), False)]
)
def test_land_is_not_sea(extent, land):
    picture = land_picture(extent)
    assert (picture[0, 0].tolist() == [222, 217, 207]) is land
    assert (picture == picture[0, 0]).all()


def test_map_asks_for_no_script_and_is_the_same_twice():
    one, other = (interactive_map([places(["kept", "cloud", "kept"])]) for _ in range(2))
    assert one == other
    assert "<script" not in one.script
    assert "cdn" not in f"{one.html}{one.script}{one.style}"
    assert one.shown == {"nol": 3}
    assert one.legend[0][0] == "Locations: kept (2)"


def test_ids_from_outside_cannot_leave_the_script():
    hostile = "</script><script>alert(1)</script>"
    script = str(interactive_map([places(["kept"], [hostile])]).script)
    assert "</script>" not in script
    assert "<script>" not in script.encode().decode("unicode_escape")
