"""Queries for scenes through the real client: ours, and those of the published scripts."""

import ee
import numpy as np
import pytest

from pipeline.grid import patch_grid
from tests.services.coordinate_images import PRAGUE, coordinates

S2 = "COPERNICUS/S2_HARMONIZED"
S1 = "COPERNICUS/S1_GRD"
SUMMER = ("2020-06-01", "2020-08-01")
pytestmark = pytest.mark.usefixtures("ee_client")


def rectangle(grid):
    return ee.Geometry.Rectangle(list(grid.bounds), proj=grid.crs, geodesic=False, evenOdd=False)


def near(collection, place=None, dates=SUMMER):
    place = place or rectangle(PRAGUE)
    return ee.ImageCollection(collection).filterBounds(place).filterDate(*dates)


def column(collection, name):
    return collection.aggregate_array(name).getInfo()


def table(*rows):
    return ee.FeatureCollection([ee.Feature(None, row) for row in rows])


class TestFilters:
    def test_dates_are_half_open(self):
        times = column(near(S2), "system:time_start")
        first, last = (ee.Date(day).millis().getInfo() for day in SUMMER)
        assert times
        assert all(first <= time < last for time in times)
        exactly = near(S2).filterDate(ee.Date(times[0]), ee.Date(times[1]))
        assert column(exactly, "system:time_start") == [
            time for time in times if times[0] <= time < times[1]
        ]

    def test_scenes_come_in_the_order_of_their_index(self):
        indices = column(near(S2), "system:index")
        assert indices == sorted(indices)

    def test_contains_keeps_the_scenes_that_hold_the_whole_patch(self):
        edge = patch_grid(14.99, 50.08, 264)
        inside = ee.Filter.contains(leftField=".geo", rightValue=rectangle(edge))
        touching = column(near(S1, rectangle(edge)), "system:index")
        holding = column(near(S1, rectangle(edge)).filter(inside), "system:index")
        expected = [
            index
            for index in touching
            if ee.Image(f"{S1}/{index}").geometry().contains(rectangle(edge)).getInfo()
        ]
        assert holding == expected

    def test_comparisons_and_lists(self):
        clouds = column(near(S2), "CLOUDY_PIXEL_PERCENTAGE")
        clear = near(S2).filter(ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 20))
        assert column(clear, "CLOUDY_PIXEL_PERCENTAGE") == [c for c in clouds if c < 20]
        both = near(S1).filter(ee.Filter.listContains("transmitterReceiverPolarisation", "VH"))
        assert all("VH" in pair for pair in column(both, "transmitterReceiverPolarisation"))

    def test_one_of_two_windows(self):
        windows = [("2020-06-01", "2020-06-16"), ("2019-06-01", "2019-06-16")]
        either = ee.Filter.Or(*(ee.Filter.date(*window) for window in windows))
        found = ee.ImageCollection(S2).filterBounds(rectangle(PRAGUE)).filter(either)
        separately = [column(near(S2, dates=window), "system:index") for window in windows]
        assert column(found, "system:index") == sorted(sum(separately, []))

    def test_by_index_no_place_is_needed(self):
        index = column(near(S2), "system:index")[0]
        named = ee.ImageCollection(S2).filter(ee.Filter.inList("system:index", [index, "none"]))
        assert column(named, "system:index") == [index]

    def test_not_and_not_null(self):
        rows = table({"a": 1}, {"a": 2, "b": 1}, {"b": 3})
        assert column(rows.filter(ee.Filter.notNull(["a"])), "a") == [1, 2]
        assert column(rows.filter(ee.Filter.eq("a", 1).Not()), "b") == [1, 3]

    def test_a_patch_across_the_antimeridian_stays_in_one_piece(self):
        fiji = patch_grid(179.9995, -16.8, 264)
        inside = ee.Filter.contains(leftField=".geo", rightValue=rectangle(fiji))
        tiles = column(near(S2, rectangle(fiji)).filter(inside), "MGRS_TILE")
        assert tiles
        assert {tile[:2] for tile in tiles} == {"60", "01"}

    def test_a_region_without_end_is_refused_in_one_line(self):
        europe = ee.Geometry.Rectangle([-10, 35, 40, 70])
        with pytest.raises(ee.EEException, match="too large") as refused:
            near(S2, europe).size().getInfo()
        assert "internal error" not in str(refused.value)


class TestTables:
    def test_reduce_columns_drops_rows_with_a_null_in_any_column(self):
        rows = table({"a": 1, "b": 10}, {"a": 2}, {"a": 3, "b": 30})
        pairs = rows.reduceColumns(ee.Reducer.toList(2), ["a", "b"]).get("list")
        assert pairs.getInfo() == [[1, 10], [3, 30]]
        assert rows.aggregate_array("b").getInfo() == [10, 30]
        assert rows.reduceColumns(ee.Reducer.mean(), ["b"]).getInfo() == {"mean": 20}

    def test_reduce_columns_of_nothing_is_an_empty_list(self):
        nothing = table({"a": 1}).filter(ee.Filter.eq("a", 2))
        reduced = nothing.reduceColumns(ee.Reducer.toList(1), ["a"])
        assert reduced.get("list").getInfo() == []

    def test_the_newest_first(self):
        newest = near(S2).limit(3, "system:time_start", False)
        times = column(near(S2), "system:time_start")
        assert column(newest, "system:time_start") == sorted(times, reverse=True)[:3]

    def test_many_places_in_one_request_get_what_each_gets_alone(self):
        grids = [patch_grid(lon, 50.08, 66) for lon in (14.42, 16.1, 17.98)]

        def newest(box):
            scenes = near(S2, box).limit(2, "system:time_start", False)
            columns = ["system:index", "MGRS_TILE"]
            return scenes.reduceColumns(ee.Reducer.toList(2), columns).get("list")

        places = ee.FeatureCollection([ee.Feature(rectangle(grid)) for grid in grids])
        answered = places.map(lambda place: ee.Feature(None, {"found": newest(place.geometry())}))
        together = [feature["properties"]["found"] for feature in answered.getInfo()["features"]]
        assert together == [newest(rectangle(grid)).getInfo() for grid in grids]
        assert all(together)

    def test_joins_match_labels_to_scenes(self):
        labels = near("GOOGLE/DYNAMICWORLD/V1")
        same = ee.Filter.equals(leftField="system:index", rightField="system:index")
        with_label = ee.Join.simple().apply(near(S2), labels, same)
        without = ee.Join.inverted().apply(near(S2), labels, same)
        scenes, twins = column(near(S2), "system:index"), column(labels, "system:index")
        assert column(with_label, "system:index") == [i for i in scenes if i in twins]
        assert column(without, "system:index") == [i for i in scenes if i not in twins]
        first = ee.Join.saveFirst("label").apply(near(S2), labels, same).first()
        label = ee.Image(first.get("label"))
        assert label.id().getInfo() == ee.Image(first).id().getInfo()

    def test_dates_advance_by_calendar(self):
        leap = ee.Date("2020-01-31")
        assert leap.advance(1, "month").format("YYYY-MM-dd").getInfo() == "2020-02-29"
        assert leap.advance(-1, "year").format("YYYY-MM-dd").getInfo() == "2019-01-31"
        assert leap.advance(2, "days").difference(leap, "hour").getInfo() == 48


class TestReferenceScripts:
    """The graphs of the published downloaders, restated.

    Sources: zhu-xlab/SSL4EO-S12, src/download_data/ssl4eo_s12_downloader.py (`get_patch_s1`,
    `filter_collection_s1`); zhu-xlab/CromSS, data_prepare/data_check_SSL4EO/get_dw_data/
    get_sentinel12_ee_accord_xlsx_parallel_30d_bbox_train.py (`clip_img_with_bbox_s2`).
    """

    def test_ssl4eo_finds_the_newest_radar_scene_and_its_properties(self):
        point = ee.Geometry.Point([14.42, 50.08])
        scenes = ee.ImageCollection(S1).filterDate("2020-06-01", "2020-07-01").filterBounds(point)
        for polarisation in ("VV", "VH"):
            held = ee.Filter.listContains("transmitterReceiverPolarisation", polarisation)
            scenes = scenes.filter(held)
        scenes = scenes.filter(ee.Filter.eq("instrumentMode", "IW"))
        image = scenes.sort("system:time_start", False).first()
        properties = {name: image.get(name) for name in image.propertyNames().getInfo()}
        found = ee.Dictionary(properties).getInfo()
        assert found["system:time_start"] == max(column(scenes, "system:time_start"))
        assert found["instrumentMode"] == "IW"

    def test_ssl4eo_samples_the_box_around_a_point(self):
        region = ee.Geometry.Point([14.42, 50.08]).buffer(1320).bounds()
        patch = coordinates(32633).sampleRectangle(region).getInfo()
        x = np.array(patch["properties"]["x"])
        assert x.shape[0] >= 264
        assert x.shape[1] >= 264
        assert np.all(np.diff(x, axis=1) == 10)
        ring = np.array(patch["geometry"]["coordinates"][0])
        assert ring.min(axis=0) == pytest.approx([14.42 - 0.0184, 50.08 - 0.0119], abs=5e-4)

    def test_cromss_samples_all_bands_on_the_grid_of_one(self):
        image = coordinates(32633)
        box = ee.Geometry.Rectangle(list(PRAGUE.bounds), proj=PRAGUE.crs, evenOdd=False)
        resampled = image.toFloat().resample("bilinear").reproject(image.select("x").projection())
        sample = resampled.toArray().sampleRectangle(box).getInfo()["properties"]["array"]
        x, y = PRAGUE.pixel_centres()
        assert np.shape(sample) == (48, 48, 2)
        assert np.array_equal(np.array(sample)[0, :, 0], x.astype(np.float32))
        assert np.array_equal(np.array(sample)[:, 0, 1], y.astype(np.float32))

    def test_cromss_walks_through_the_scenes_and_asks_for_their_crs(self):
        scenes = near(S2).toList(near(S2).size())
        count = scenes.length().getInfo()
        projection = ee.Image(scenes.get(count - 1)).select("B2").projection().getInfo()
        assert projection["crs"] == "EPSG:32633"
        assert projection["transform"][0] == 10

    def test_a_sample_beyond_the_image_needs_a_default(self):
        west = ee.Geometry.Rectangle([99_900, 5_500_000, 100_020, 5_500_060], "EPSG:32633", False)
        with pytest.raises(ee.EEException, match="no default value set"):
            coordinates(32633).sampleRectangle(west).getInfo()
        filled = coordinates(32633).sampleRectangle(west, defaultValue=-5).getInfo()
        x = np.array(filled["properties"]["x"])
        assert x[0, 0] == -5
        assert x[0, -1] > 0
