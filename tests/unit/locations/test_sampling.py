"""From settings to locations: reproducible, free of overlap, refused in one line."""

from itertools import combinations

import numpy as np
import pytest
from pyproj import Geod

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid, is_snapped, utm_epsg
from pipeline.locations.land import is_land
from pipeline.locations.overlap import patches_overlap
from pipeline.locations.sampling import draw_locations
from pipeline.locations.table import write_locations

BAVARIA = "POLYGON ((11.2 47.6, 12.8 47.6, 12.8 48.6, 11.2 48.6, 11.2 47.6))"
SMALL = "POLYGON ((11.9 48.0, 12.1 48.0, 12.1 48.15, 11.9 48.15, 11.9 48.0))"
SAMPLERS = [
    {"sampler": "cities"},
    {"sampler": "cities", "city_count": 1, "city_spread_km": 8.0},
    {"sampler": "land"},
    {"sampler": "area", "area": BAVARIA},
]


def drawn(settings):
    return list(draw_locations(settings))


@pytest.mark.parametrize("options", SAMPLERS)
def test_more_locations_leave_the_earlier_ones_as_they_are(location_settings, options):
    few = drawn(location_settings({**options, "count": 40}))
    many = drawn(location_settings({**options, "count": 120}))
    assert many[:40] == few
    assert drawn(location_settings({**options, "count": 120})) == many


@pytest.mark.parametrize("options", SAMPLERS)
def test_patches_are_free_on_land_in_their_own_zone(location_settings, options):
    locations = drawn(location_settings({**options, "count": 120}))
    assert [each.sample for each in locations] == list(range(120))
    assert [each.location_id for each in locations] == [f"{k:07d}" for k in range(120)]
    for each in locations:
        assert is_land(each.lon, each.lat)
        assert each.grid.epsg == utm_epsg(each.lon, each.lat)
        assert is_snapped(each.grid)
        assert each.grid.shape == (264, 264)
    pairs = combinations([each.grid for each in locations], 2)
    assert not any(patches_overlap(*pair) for pair in pairs)


def test_areas_across_zones_are_drawn_in_both(location_settings):
    locations = drawn(location_settings({"sampler": "area", "area": BAVARIA, "count": 300}))
    assert {each.grid.epsg for each in locations} == {32632, 32633}


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("cities", (72.728262, 21.956399, 32643, 264060.0, 2431080.0)),
        ("land", (53.988766, 23.388437, 32639, 804180.0, 2590980.0)),
    ],
)
def test_every_machine_and_version_draws_the_same(location_settings, sampler, expected):
    """A dataset that was begun with one version of NumPy and PROJ is made larger with another."""
    *_, last = drawn(location_settings({"sampler": sampler, "count": 3}))
    grid = last.grid
    assert (last.lon, last.lat, grid.epsg, grid.left, grid.top) == expected
    assert [str(date) for date in last.dates][::3] == ["2020-01-03", "2020-10-04"]


def test_another_seed_draws_other_places(location_settings):
    options = {"sampler": "land", "count": 20}
    first = drawn(location_settings(options))
    second = drawn(location_settings(options, seed=1))
    assert {each.lon for each in first}.isdisjoint(each.lon for each in second)


def test_shards_sizes_and_dates_follow_the_settings(location_settings):
    settings = location_settings(
        {"sampler": "land", "count": 50},
        grid={"pixels": 60},
        store={"shard_size": 8},
        seasons={"shift_days": 30},
    )
    locations = drawn(settings)
    assert [each.shard for each in locations] == [k // 8 for k in range(50)]
    assert {each.grid.shape for each in locations} == {(60, 60)}
    shifts = set()
    for each in locations:
        steps = zip(settings.seasons.reference_dates, each.dates, strict=True)
        (shift,) = {(reference - date).days for reference, date in steps}
        shifts.add(shift)
    assert shifts <= set(range(30))
    assert len(shifts) > 15


def test_the_split_is_drawn_apart_from_place_and_dates(location_settings):
    options = {"sampler": "cities", "count": 2000}
    few = drawn(location_settings({**options, "validation_share": 0.05}))
    settings = location_settings({**options, "validation_share": 0.2})
    more = drawn(settings)
    assert [each.grid for each in few] == [each.grid for each in more]
    assert [each.dates for each in few] == [each.dates for each in more]
    validation = {each.sample for each in few if each.split == "validation"}
    assert len(validation) / 2000 == pytest.approx(0.05, abs=0.015)
    assert validation < {each.sample for each in more if each.split == "validation"}
    shifts = {"train": [], "validation": []}
    for each in more:
        shifts[each.split].append((settings.seasons.reference_dates[0] - each.dates[0]).days)
    # Each mean is that of 0 to 364 days, with a standard error of 5 days at most.
    assert np.mean(shifts["validation"]) == pytest.approx(np.mean(shifts["train"]), abs=25)
    none = drawn(location_settings({**options, "count": 50, "validation_share": 0.0}))
    assert {each.split for each in none} == {"train"}


def test_places_at_the_antimeridian(location_settings):
    taveuni = "POLYGON ((179.8 -17.1, 180.2 -17.1, 180.2 -16.6, 179.8 -16.6, 179.8 -17.1))"
    locations = drawn(location_settings({"sampler": "area", "area": taveuni, "count": 12}))
    assert {each.grid.epsg for each in locations} == {32701, 32760}
    assert all(-180.0 <= each.lon <= 180.0 for each in locations)


@pytest.mark.parametrize("count", [1, 5000])
def test_an_area_in_the_sea_is_refused(location_settings, count):
    atlantic = "POLYGON ((-30 -1, -28 -1, -28 1, -30 1, -30 -1))"
    with pytest.raises(PipelineError, match="no land was found"):
        drawn(location_settings({"sampler": "area", "area": atlantic, "count": count}))


def test_small_islands_hold_a_patch_each_and_more(location_settings):
    # The Maldives: hardly any land, but a patch needs no more than its centre on it.
    maldives = "POLYGON ((72 -1, 74 -1, 74 7.5, 72 7.5, 72 -1))"
    locations = drawn(location_settings({"sampler": "area", "area": maldives, "count": 60}))
    assert len(locations) == 60


def test_an_area_at_the_pole_is_refused(location_settings):
    pole = "POLYGON ((0 -89, 10 -89, 10 -81, 0 -81, 0 -89))"
    with pytest.raises(PipelineError, match=r"beyond -80\.\.84"):
        drawn(location_settings({"sampler": "area", "area": pole, "count": 1}))


@pytest.mark.parametrize("count", [40, 5_000_000])
def test_an_area_too_small_says_what_it_holds(location_settings, count):
    settings = location_settings({"sampler": "area", "area": SMALL, "count": count})
    with pytest.raises(PipelineError) as error:
        drawn(settings)
    message = str(error.value)
    assert f"asked for {count}" in message
    assert "patches of 2.64 km" in message
    held = int(message.split("about ")[1].split()[0])
    # The ground within reach of the patches, covered to the last metre, holds no more.
    reach_m2 = (15_000 + 2640) * (16_700 + 2640)
    assert 0.4 * reach_m2 / 2640**2 < held < reach_m2 / 2640**2
    settings = location_settings({"sampler": "area", "area": SMALL, "count": int(0.8 * held)})
    assert len(drawn(settings)) == int(0.8 * held)


def test_a_city_that_is_full_says_what_to_change(location_settings):
    options = {"sampler": "cities", "city_count": 1, "city_spread_km": 0.5, "count": 100}
    with pytest.raises(PipelineError, match=r"raise locations\.city_count"):
        drawn(location_settings(options))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sampler": "area"}, "locations.area must be given"),
        ({"sampler": "points"}, "locations.table must be given"),
        ({"sampler": "land", "count": None}, "locations.count must be given"),
    ],
)
def test_settings_that_do_not_fit_the_sampler(location_settings, options, expected):
    with pytest.raises(PipelineError, match=expected):
        drawn(location_settings(options))


def test_rows_that_overlap_an_earlier_one_leave_a_gap(location_settings, write_csv, caplog):
    path = write_csv("location_id,lon,lat", "a,11.0,48", "b,11.01,48", "c,11.04,48", "d,11.05,48")
    settings = location_settings({"sampler": "points", "table": str(path), "count": None})
    locations = drawn(settings)
    assert [(each.sample, each.location_id) for each in locations] == [(0, "a"), (2, "c")]
    assert "row 2 (b, 11.01, 48) overlaps row 1 (a, 11, 48)" in caplog.text
    assert "2 of 4 places overlap an earlier one: dropped" in caplog.text


def test_a_dropped_row_blocks_nobody(location_settings, write_csv):
    # b overlaps a and c; without b there is room for c.
    path = write_csv("lon,lat", "11.0,48", "11.03,48", "11.06,48")
    settings = location_settings({"sampler": "points", "table": str(path), "count": None})
    assert [each.sample for each in drawn(settings)] == [0, 2]


def test_zones_splits_and_dates_of_a_table_are_kept(location_settings, write_csv, caplog):
    caplog.set_level("INFO")
    path = write_csv(
        "location_id,lon,lat,epsg,split,date_0,date_1,date_2,date_3",
        "a,12.05,48,32632,validation,2020-01-01,2020-04-01,2020-07-01,2020-10-01",
        "b,13.00,48,32633,train,2020-01-01,2020-04-01,2020-07-01,2020-10-01",
    )
    settings = location_settings({"sampler": "points", "table": str(path), "count": None})
    first, second = drawn(settings)
    assert (first.grid.epsg, second.grid.epsg) == (32632, 32633)
    assert (first.split, second.split) == ("validation", "train")
    assert [date.month for date in first.dates] == [1, 4, 7, 10]
    assert "1 of 2 places (50.0 %) lie in the UTM zone given" in caplog.text


def test_a_table_of_locations_can_be_given_again(location_settings, tmp_path):
    path = tmp_path / "locations.parquet"
    locations = drawn(location_settings({"sampler": "cities", "count": 30}))
    write_locations(path, locations)
    options = {"sampler": "points", "table": str(path), "count": None}
    assert drawn(location_settings(options, seed=5)) == locations


def test_more_rows_leave_the_earlier_ones_as_they_are(location_settings, write_csv):
    stream = np.random.default_rng(0)
    lines = [f"{lon:.4f},{lat:.4f}" for lon, lat in stream.uniform((10, 45), (11, 46), (80, 2))]
    few, many = (
        drawn(
            location_settings(
                {"sampler": "points", "table": str(write_csv("lon,lat", *rows)), "count": None}
            )
        )
        for rows in (lines[:50], lines)
    )
    assert many[: len(few)] == few
    assert len(few) < 50


def test_the_real_list_is_kept_as_published(location_settings, ssl4eo_list, caplog):
    caplog.set_level("INFO")
    options = {"sampler": "ssl4eo", "table": str(ssl4eo_list), "count": None}
    locations = drawn(location_settings(options))
    assert [each.sample for each in locations] == list(range(2176))
    assert all(is_snapped(each.grid) for each in locations)
    assert "of 2176 places (96.2 %) lie in the UTM zone given for them" in caplog.text
    assert "413 of 2176 places overlap an earlier one: kept, as published" in caplog.text
    distances = [
        Geod(ellps="WGS84").inv(each.lon, each.lat, *each.grid.centre_lonlat)[2]
        for each in locations
    ]
    assert max(distances) < 30.0 * np.sqrt(2.0) * 1.001
    assert drawn(location_settings({**options, "count": 100})) == locations[:100]


def test_a_given_corner_is_taken_as_it_is(location_settings, write_csv):
    path = write_csv("lon,lat,epsg,left,top", "34.06,-3.4,32736,617301.8198784497,9625098.22745184")
    options = {"sampler": "points", "table": str(path), "count": None}
    (location,) = drawn(location_settings(options))
    assert location.grid == PatchGrid(32736, 617301.8198784497, 9625098.22745184, 264, 264)


def test_a_corner_elsewhere_is_refused(location_settings, write_csv):
    path = write_csv("lon,lat,epsg,left,top", "34.06,-3.4,32736,9625098,617301.8")
    options = {"sampler": "points", "table": str(path), "count": None}
    with pytest.raises(PipelineError, match=r"row 1 .* outside of the patch"):
        drawn(location_settings(options))
