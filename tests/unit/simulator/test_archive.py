"""Scenes as the real collections have them: ids, properties, footprints, grids, gaps."""

import datetime
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import shapely

from pipeline.grid import PatchGrid, mgrs_epsg, patch_grid
from pipeline.legend import load_legend
from pipeline.sensors import cube_bands
from pipeline.simulator import utm
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.mgrs import tile_from_name
from tests.unit.simulator.viewing import read_on

S2, HARMONIZED, DW, S1 = (
    "COPERNICUS/S2",
    "COPERNICUS/S2_HARMONIZED",
    "GOOGLE/DYNAMICWORLD/V1",
    "COPERNICUS/S1_GRD",
)
TRUTH = "SIMULATED/TRUTH/V1"
ARCHIVE = ProceduralArchive(5)
PLACES = [(13.4, 52.5), (-60.0, -30.0), (36.9, -1.3), (100.5, 14.0), (-99.1, 19.4), (2.4, 48.9)]


def milliseconds(year, month, day=1):
    return int(datetime.datetime(year, month, day, tzinfo=datetime.UTC).timestamp() * 1000)


def around(lon, lat, reach=0.012):
    return lon - reach, lat - reach, lon + reach, lat + reach


def scenes(collection, year=2020, months=(1, 7), places=PLACES):
    start, stop = (milliseconds(year, month) for month in months)
    found = [ARCHIVE.search(collection, around(*place), start, stop) for place in places]
    return list(itertools.chain.from_iterable(found))


@pytest.mark.parametrize("collection", ARCHIVE.collections)
def test_ids_lead_back_to_the_scene(collection):
    fresh = ProceduralArchive(5)
    found = scenes(collection, months=(3, 5))
    assert len(found) > 20
    for scene in found:
        again = fresh.get(scene.asset_id)
        assert again.asset_id == scene.asset_id == f"{collection}/{scene.index}"
        assert again.properties == scene.properties
        assert again.footprint.equals(scene.footprint)


@pytest.mark.parametrize(
    "asset_id",
    [
        "COPERNICUS/S2/20200101T000000_20200101T000000_T33UUP",
        "COPERNICUS/S2/20209901T000000_20209901T000000_T33UUP",
        "COPERNICUS/S2/nonsense",
        "COPERNICUS/S1_GRD/S1A_IW_GRDH_1SDV_20200101T000000_20200101T000025_030000_FFFFFF_0000",
        "COPERNICUS/S1_GRD/S1A_IW_GRDH_1SDV_20209901T000000_20200101T000025_030000_001899_0000",
        "SIMULATED/COORDINATES/4326",
        "SIMULATED/COORDINATES/32661",
        "SIMULATED/COORDINATES/../32633",
        "SIMULATED/OTHER/1",
        "",
    ],
)
def test_ids_of_nothing_lead_nowhere(asset_id):
    assert ARCHIVE.get(asset_id) is None


def test_another_seed_is_another_archive():
    ids = {scene.asset_id: scene for scene in scenes(S2)}
    others = ProceduralArchive(6)
    shared = [(scene, others.get(asset_id)) for asset_id, scene in ids.items()]
    clouds = [
        (one.properties["CLOUDY_PIXEL_PERCENTAGE"], two.properties["CLOUDY_PIXEL_PERCENTAGE"])
        for one, two in shared
        if two is not None
    ]
    assert len(clouds) > 20
    assert sum(one == two for one, two in clouds) < 3


def test_search_keeps_time_bounds_and_order():
    start, stop = milliseconds(2020, 4, 10), milliseconds(2020, 5, 10)
    found = ARCHIVE.search(S2, around(*PLACES[0]), start, stop)
    times = [scene.properties["system:time_start"] for scene in found]
    assert times
    assert all(start <= time < stop for time in times)
    assert [scene.index for scene in found] == sorted(scene.index for scene in found)
    first = min(times)
    at_first = ARCHIVE.search(S2, around(*PLACES[0]), first, first + 1)
    assert {scene.properties["system:time_start"] for scene in at_first} == {first}
    assert not [
        scene
        for scene in ARCHIVE.search(S2, around(*PLACES[0]), first + 1, stop)
        if scene.properties["system:time_start"] == first
    ]


def test_search_finds_what_a_finer_search_finds():
    west, south = 12.6, 51.9
    start, stop = milliseconds(2020, 4, 1), milliseconds(2020, 4, 11)
    for collection in (S2, S1):
        wide = ARCHIVE.search(collection, (west, south, west + 1.2, south + 1.2), start, stop)
        narrow = {
            scene.asset_id
            for lon in np.arange(west + 0.05, west + 1.2, 0.1)
            for lat in np.arange(south + 0.05, south + 1.2, 0.1)
            for scene in ARCHIVE.search(collection, around(lon, lat, 0.01), start, stop)
        }
        assert narrow
        assert narrow <= {scene.asset_id for scene in wide}


def test_search_refuses_a_continent_and_an_unknown_collection():
    with pytest.raises(ValueError, match="too large"):
        ARCHIVE.search(S2, (-20.0, 30.0, 40.0, 70.0), 0, 1)
    with pytest.raises(KeyError, match="LANDSAT"):
        ARCHIVE.search("LANDSAT", around(0.0, 10.0), 0, 1)


def test_level_1c_properties_agree_with_each_other():
    found = scenes(S2, months=(3, 5))
    assert len(found) > 10
    for scene in found:
        facts = scene.properties
        assert facts["system:index"] == scene.index
        assert scene.index.endswith(f"_T{facts['MGRS_TILE']}")
        assert mgrs_epsg(facts["MGRS_TILE"]) == scene.epsg
        assert facts["SPACECRAFT_NAME"] in ("Sentinel-2A", "Sentinel-2B")
        assert facts["PROCESSING_BASELINE"] == "02.09"
        assert facts["PRODUCT_ID"].startswith(f"S2{facts['SPACECRAFT_NAME'][-1]}_MSIL1C_2020")
        assert 0.0 <= facts["CLOUDY_PIXEL_PERCENTAGE"] <= 100.0
        sensed = datetime.datetime.fromtimestamp(facts["system:time_start"] / 1000, datetime.UTC)
        assert scene.index.split("_")[1] == f"{sensed:%Y%m%dT%H%M%S}"


def test_bands_lie_on_the_native_grids_of_the_tile():
    scene = scenes(S2, months=(6, 7))[0]
    names = [*(band.name for band in cube_bands("sentinel-2")), "QA60"]
    assert list(scene.bands) == names
    origin = tile_from_name(scene.properties["MGRS_TILE"]).origin
    sizes = {10: 10980, 20: 5490, 60: 1830}
    for name, band in scene.bands.items():
        step = {"B1": 60, "B9": 60, "B10": 60, "QA60": 60}.get(name)
        step = step or (10 if name in ("B2", "B3", "B4", "B8") else 20)
        assert band.transform[:6] == (step, 0.0, origin[0], 0.0, -step, origin[1])
        assert (band.height, band.width) == (sizes[step], sizes[step])
        assert band.dtype == np.uint16


def test_dynamic_world_twins_exist_for_clear_scenes_but_not_for_all():
    level_1c = {scene.index: scene for scene in scenes(S2, months=(1, 12))}
    twins = {scene.index: scene for scene in scenes(DW, months=(1, 12))}
    assert set(twins) <= set(level_1c)
    cloud = {k: scene.properties["CLOUDY_PIXEL_PERCENTAGE"] for k, scene in level_1c.items()}
    assert max(cloud[index] for index in twins) <= 35.0
    eligible = [index for index in level_1c if cloud[index] <= 35.0]
    assert 0.14 < 1.0 - len(twins) / len(eligible) < 0.26
    twin = next(iter(twins.values()))
    classes = [row.flag_meaning for row in load_legend("dynamic_world")]
    assert list(twin.bands) == [*classes, "label"]
    assert twin.bands["label"].dtype == np.uint8


def test_truth_lies_beside_every_level_1c_scene():
    indices = [{scene.index for scene in scenes(name, months=(3, 4))} for name in (S2, TRUTH)]
    assert indices[0] == indices[1]


def test_half_of_the_scenes_are_fit_for_use():
    cloud = [s.properties["CLOUDY_PIXEL_PERCENTAGE"] for s in scenes(S2, months=(1, 12))]
    assert 0.3 < np.mean(np.array(cloud) < 20.0) < 0.55


def test_partial_footprints_and_split_granules_occur():
    found = scenes(S2, months=(1, 12))
    full = 109_800.0**2
    shares = np.array([scene.outline.area / full for scene in found])
    assert 0.1 < np.mean(shares < 0.95) < 0.9
    same_pass = {}
    for scene in found:
        same_pass.setdefault((scene.index[:15], scene.index[-6:]), set()).add(scene.index)
    assert any(len(parts) == 2 for parts in same_pass.values())


def test_sentinel_2b_starts_in_2017_and_no_scene_is_before_the_epoch():
    before = {s.properties["SPACECRAFT_NAME"] for s in scenes(S2, 2016)}
    after = {s.properties["SPACECRAFT_NAME"] for s in scenes(S2, 2018)}
    assert (before, after) == ({"Sentinel-2A"}, {"Sentinel-2A", "Sentinel-2B"})
    assert not scenes(S2, 2014)


def test_winter_nights_have_no_scenes():
    place = [(25.0, 70.5)]
    assert scenes(S2, 2020, (6, 7), place)
    assert not scenes(S2, 2020, (12, 12), place)


def test_radar_scenes_vary_as_the_real_ones():
    found = scenes(S1, months=(1, 12))
    facts = [scene.properties for scene in found]
    assert {f["orbitProperties_pass"] for f in facts} == {"ASCENDING", "DESCENDING"}
    assert {f["instrumentMode"] for f in facts} == {"IW"}
    single = np.mean([f["transmitterReceiverPolarisation"] == ["VV"] for f in facts])
    assert 0.0 < single < 0.1
    for scene in found:
        polarisations = scene.properties["transmitterReceiverPolarisation"]
        assert list(scene.bands) == [*polarisations, "angle"]
        assert scene.bands["VV"].dtype == np.float64
        left, top = scene.bands["VV"].transform.c, scene.bands["VV"].transform.f
        assert (left % 10.0, top % 10.0) == (3.75, 8.75)


def test_radar_orbit_numbers_follow_the_published_rule():
    """Relative orbit = (absolute - 73) mod 175 + 1 for S1A, (absolute - 27) mod 175 + 1 for S1B."""
    found = scenes(S1, months=(3, 5))
    assert {scene.properties["platform_number"] for scene in found} == {"A", "B"}
    for scene in found:
        facts = scene.properties
        shift = {"A": 73, "B": 27}[facts["platform_number"]]
        expected = (facts["orbitNumber_start"] - shift) % 175 + 1
        assert facts["relativeOrbitNumber_start"] == expected


def test_polar_radar_scenes_are_wide_and_horizontally_polarised():
    facts = [scene.properties for scene in scenes(S1, places=[(25.0, 71.5), (20.0, 78.0)])]
    assert {f["transmitterReceiverPolarisation"][0] for f in facts} == {"HH"}
    assert "EW" in {f["instrumentMode"] for f in facts}


def test_sentinel_1b_ended_on_the_23rd_of_december_2021():
    def platforms(year, months):
        return {scene.properties["platform_number"] for scene in scenes(S1, year, months)}

    assert platforms(2021, (6, 12)) == {"A", "B"}
    assert platforms(2022, (1, 7)) == {"A"}


def test_places_at_the_antimeridian_are_found_on_both_sides():
    start, stop = milliseconds(2020, 6), milliseconds(2020, 7)
    for lon in (179.98, -179.98):
        found = ARCHIVE.search(S2, around(lon, -16.5), start, stop)
        assert {scene.epsg for scene in found} == {32701, 32760}
        for scene in found:
            west, _, east, _ = scene.footprint.bounds
            assert west >= -180.0
            assert east <= 180.0


def test_footprints_hold_the_valid_pixels():
    scene = next(s for s in scenes(S2, months=(1, 12)) if s.outline.area < 0.7 * 109_800.0**2)
    transform = scene.bands["B1"].transform
    tile = tile_from_name(scene.properties["MGRS_TILE"])
    inside_tile = shapely.box(*tile.bounds).buffer(-3_000.0)
    border = scene.outline.exterior.intersection(inside_tile)
    tile_grid = PatchGrid(scene.epsg, transform.c, transform.f, 10, 10, 60.0)
    agreement, shares = [], []
    for share in (0.1, 0.4, 0.7, 0.9):
        place = border.interpolate(share, normalized=True)
        pixel = (place.x - transform.c) / 60.0, (transform.f - place.y) / 60.0
        col, row = (int(position) - 5 for position in pixel)
        _, valid = scene.read("B1", row, row + 10, col, col + 10)
        window = replace(
            tile_grid, left=tile_grid.left + 60.0 * col, top=tile_grid.top - 60.0 * row
        )
        lonlat = utm.to_lonlat(scene.epsg, *np.meshgrid(*window.pixel_centres()))
        agreement.append(shapely.contains_xy(scene.footprint, *lonlat) == valid)
        shares.append(valid.mean())
    assert np.mean(agreement) > 0.97
    assert 0.2 < np.mean(shares) < 0.8


def test_nothing_is_valid_beyond_a_scene():
    scene = scenes(S2, months=(3, 4))[0]
    values, valid = scene.read("B2", -30, 6, -30, 6)
    assert values.shape == valid.shape == (36, 36)
    assert not valid[:30].any()
    assert not valid[:, :30].any()
    assert not values[~valid].any()


def clear_pair(year):
    """A clear scene of COPERNICUS/S2, its harmonised twin, and a grid well inside both."""
    for scene in scenes(S2, year, (5, 9)):
        if scene.properties["CLOUDY_PIXEL_PERCENTAGE"] < 1.0:
            tile = tile_from_name(scene.properties["MGRS_TILE"])
            left, top = tile.origin
            grid = PatchGrid(scene.epsg, left + 54_000.0, top - 54_000.0, 24, 24)
            if scene.footprint.contains(grid.footprint):
                return scene, ARCHIVE.get(f"{HARMONIZED}/{scene.index}"), grid
    raise AssertionError("no clear scene")


def test_baseline_4_adds_1000_in_the_unharmonised_collection_only():
    for year, baseline, difference in ((2021, "03.01", 0), (2023, "05.09", 1000)):
        scene, harmonized, grid = clear_pair(year)
        found = scene.properties["PROCESSING_BASELINE"]
        assert found == harmonized.properties["PROCESSING_BASELINE"]
        assert (found >= "04.00") == (baseline >= "04.00")
        for band in ("B2", "B5", "B10"):
            plain, shifted = (read_on(image, band, grid)[0] for image in (harmonized, scene))
            np.testing.assert_array_equal(shifted.astype(int) - plain, difference)


def test_overlapping_tiles_of_two_zones_show_the_same_land():
    """At 12 degrees east, tiles of zones 32 and 33 overlap; their truth agrees place by place."""
    start, stop = milliseconds(2020, 6), milliseconds(2020, 6, 20)
    found = ARCHIVE.search(TRUTH, around(12.0, 48.3, 0.001), start, stop)
    by_zone = {scene.epsg: scene for scene in found}
    assert set(by_zone) == {32632, 32633}
    labels = {}
    for epsg, scene in by_zone.items():
        transform = scene.bands["label"].transform
        x, y = map(float, utm.from_lonlat(epsg, 12.0, 48.3))
        row, col = int((transform.f - y) / 10), int((x - transform.c) / 10)
        label, valid = scene.read("label", row - 24, row + 24, col - 24, col + 24)
        assert valid.all()
        labels[epsg] = np.bincount(label.ravel(), minlength=9) / label.size
    assert np.abs(labels[32632] - labels[32633]).sum() < 0.1


def test_threads_and_repetition_change_nothing():
    scene, _, grid = clear_pair(2021)
    expected = read_on(scene, "B8", grid)[0]
    with ThreadPoolExecutor(8) as pool:
        grids = [replace(grid, left=grid.left + 240.0 * (k % 5)) for k in range(40)]
        answers = list(pool.map(lambda one: read_on(scene, "B8", one)[0], grids))
    for answer in answers[::5]:
        np.testing.assert_array_equal(answer, expected)


def test_a_window_larger_than_a_piece_equals_its_parts():
    scene, _, grid = clear_pair(2021)
    row, col = 3000, 4000
    whole = scene.read("B11", row, row + 280, col, col + 12)[0]
    part = scene.read("B11", row + 250, row + 270, col, col + 12)[0]
    np.testing.assert_array_equal(whole[250:270], part)


def test_coordinate_images_hold_their_own_pixel_centres():
    for epsg, northing_modulo in ((32633, 0.0), (32733, 40.0)):
        image = ARCHIVE.get(f"SIMULATED/COORDINATES/{epsg}")
        transform = image.bands["x"].transform
        assert (transform.c % 60.0, transform.f % 60.0) == (0.0, northing_modulo)
        grid = patch_grid(14.0, 30.0 if epsg < 32700 else -30.0, 12, epsg=epsg)
        row, col = round((transform.f - grid.top) / 10), round((grid.left - transform.c) / 10)
        window = (row, row + 12, col, col + 12)
        x, y = grid.pixel_centres()
        expected = {
            "x": np.broadcast_to(x, (12, 12)),
            "y": np.broadcast_to(y[:, None], (12, 12)),
            "col": np.broadcast_to(np.arange(col, col + 12), (12, 12)),
            "row": np.broadcast_to(np.arange(row, row + 12)[:, None], (12, 12)),
        }
        for name, values in expected.items():
            found, valid = image.read(name, *window)
            assert valid.all()
            assert found.dtype == np.float64
            np.testing.assert_array_equal(found, values)
