"""What the code believes of Earth Engine: asked of the simulated one in every run of the tests, and
of the real one, in some twenty requests, by whoever has an account::

    NOLDO_EARTH_ENGINE_PROJECT=your-cloud-project pytest -m online tests/services/test_beliefs.py
"""

import datetime as dt
import itertools
import os
import re
from dataclasses import replace
from pathlib import Path

import ee
import numpy as np
import pytest

from pipeline.candidates import SeasonCandidates
from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.pixels import fetch_images
from pipeline.dynamic_world.queries import ask_candidates
from pipeline.earthengine.errors import Fatal, Missing, TooBig
from pipeline.earthengine.pixels import fetch_label, fetch_season, read_npy, request_grid
from pipeline.earthengine.queries import S2_COLLECTION, select_candidates
from pipeline.earthengine.session import earth_engine
from pipeline.grid import PatchGrid, mgrs_epsg, patch_grid
from pipeline.ledger import Status
from pipeline.locations.location import Location
from pipeline.quality import nodata_share
from pipeline.selection import choose_scenes
from pipeline.sensors import cube_bands
from pipeline.settings.dataset import LARGEST_PATCH_PIXELS
from pipeline.settings.tree import validate_settings

PROJECT = os.environ.get("NOLDO_EARTH_ENGINE_PROJECT")
DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2022, 6, 22))
PLACES = {
    "Munich": (11.58, 48.14),
    "Cape Town": (18.75, -33.75),
    "Nakuru, at the equator": (36.1, -0.02),
    "Zaragoza, between two zones": (0.01, 41.65),
    "Taveuni, at the antimeridian": (179.98, -16.85),
    "Svalbard": (15.6, 78.2),
}
PIXELS = 48


def place(sample, lon, lat):
    grid = patch_grid(lon, lat, PIXELS)
    return Location(sample, f"{sample:07d}", lon, lat, grid, DATES, "train", 0)


LOCATIONS = [place(sample, *lonlat) for sample, lonlat in enumerate(PLACES.values())]

SERVICES = ["simulated"]
if PROJECT:
    SERVICES.append(pytest.param("google", marks=pytest.mark.online))


@pytest.fixture(scope="module", params=SERVICES)
def settings(request, tmp_path_factory):
    """Of the simulated service, and of the real one."""
    service = {"service": request.param, "project": PROJECT, "attempts": 3}
    folder = str(tmp_path_factory.mktemp("beliefs"))
    return validate_settings({"results": folder, "earthengine": service})


@pytest.fixture(scope="module")
def answers(settings):
    """What the archive says of every place, by sample: one request."""
    with earth_engine(settings, "standard", 2) as client:
        found = select_candidates(client, LOCATIONS, settings)
        return {location.sample: answer for location, answer in found}


@pytest.fixture(scope="module")
def rows(answers):
    """One season to fetch of every place that has one in its own zone, by sample."""
    chosen = {}
    for location in LOCATIONS:
        for row in choose_scenes(location, answers[location.sample], "dw_first"):
            found = answers[location.sample][row.season]
            complete = row.s2_id and row.s1_id and row.s2_id in found.labels
            if complete and mgrs_epsg(row.mgrs_tile) == location.grid.epsg:
                chosen[location.sample] = replace(row, dw_id=row.s2_id, status=Status.SELECTED)
    assert len(chosen) >= 3
    return chosen


@pytest.fixture(scope="module")
def around_a_tile(settings, answers):
    """What the archive says of an expert tile over the first place: one request."""
    tile = ExpertTile(0, "munich", "test", DATES[2], LOCATIONS[0].grid, Path("munich.tif"), "")
    with earth_engine(settings, "standard", 2) as client:
        ((_, found),) = ask_candidates(client, [tile], settings.dynamic_world)
    return found


@pytest.fixture(scope="module")
def pixels_client(settings, answers, around_a_tile, rows):
    """An open session on the endpoint for pixels."""
    with earth_engine(settings, "high_volume", 4) as client:
        yield client


def test_every_place_is_answered_in_one_request(answers):
    assert answers.keys() == {location.sample for location in LOCATIONS}
    assert all(isinstance(season, SeasonCandidates) for a in answers.values() for season in a)


def test_the_polar_night_has_no_scene_and_that_is_an_answer(answers):
    svalbard = answers[list(PLACES).index("Svalbard")]
    assert (svalbard[0].optical_count, svalbard[0].optical) == (0, ())


def test_scenes_come_with_their_metadata_newest_first(answers):
    seasons = list(itertools.chain(*answers.values()))
    optical = [scene for season in seasons for scene in season.optical]
    radar = [scene for season in seasons for scene in season.radar]
    assert len(optical) > 10 and len(radar) > 10
    for scene in optical:
        assert re.fullmatch(r"\d\d[C-X][A-Z]{2}", scene.mgrs_tile)
        assert re.fullmatch(r"\d\d\.\d\d", scene.processing_baseline)
        assert 0 <= scene.cloud_cover < 20
    for scene in radar:
        assert scene.orbit_pass in ("ASCENDING", "DESCENDING")
        assert 1 <= scene.relative_orbit <= 175
    for season in seasons:
        times = [scene.time for scene in season.optical]
        days = [dt.datetime.fromtimestamp(time / 1000, dt.UTC).date() for time in times]
        assert times == sorted(times, reverse=True)
        assert all(season.window_start <= day < season.window_end for day in days)


def test_most_clear_scenes_have_a_dynamic_world_twin_of_the_same_index(answers):
    twins = [
        s.index in season.labels for a in answers.values() for season in a for s in season.optical
    ]
    assert np.mean(twins) > 0.5


def test_scenes_around_a_tile_come_with_their_crs_and_what_holds_it_whole(around_a_tile):
    optical = {scene.index for scene in around_a_tile.optical}
    radar = {scene.index for scene in around_a_tile.radar}
    assert optical and radar and around_a_tile.optical_count >= len(optical)
    assert around_a_tile.radar_epsg.keys() == radar
    assert set(around_a_tile.radar_epsg.values()) <= {32631, 32632, 32633}
    assert around_a_tile.covering & optical and around_a_tile.covering & radar
    assert around_a_tile.covering <= optical | radar


def test_whole_seasons_arrive_native_and_plausible(pixels_client, rows, caplog):
    for sample, row in rows.items():
        season = fetch_season(pixels_client, row, LOCATIONS[sample].grid)
        assert nodata_share(season) == 0.0
        assert set(np.unique(season.label)) <= {*range(9), 255}
        assert -3500 < np.median(season.s1[0]) < 1000
        assert np.median(season.s1[1]) < np.median(season.s1[0])
    assert "varies within its own pixels" not in caplog.text


def test_bilinear_leaves_pixels_of_the_own_grid_as_they_are(pixels_client, rows):
    sample, row = next(iter(rows.items()))
    grid = LOCATIONS[sample].grid
    season = fetch_season(pixels_client, row, grid)
    resampled = fetch_images(pixels_client, row.s2_id, row.s1_id, grid)
    assert not resampled.s2_masked and not resampled.s1_masked
    fine = [band.name for band in cube_bands("sentinel-2")].index("B8")
    assert np.array_equal(resampled.stored()["s2"][fine], season.s2_10m[3])


def test_beyond_a_scene_nothing_is_taken_for_data(pixels_client, rows):
    """Masked pixels arrive as 0, which is water, unless they are filled beyond the footprint."""
    sample, row = next(iter(rows.items()))
    grid = LOCATIONS[sample].grid
    beyond = PatchGrid(grid.epsg, grid.left, grid.top - 1_200_000.0, 12, 12)
    images = fetch_images(pixels_client, row.s2_id, row.s1_id, beyond)
    assert (images.s2 == -1.0).all() and (images.s1 == -9999.0).all()
    assert (fetch_label(pixels_client, row.dw_id, beyond) == 255).all()
    assert nodata_share(fetch_season(pixels_client, row, beyond)) == 1.0


def raw(client, image, names, grid):
    request = {"expression": image, "fileFormat": "NPY", "grid": request_grid(grid)}

    def read(answer):
        return read_npy(answer, grid.shape, names)

    return client.call(lambda: ee.data.computePixels(request), read, "pixels")


def scene(row, collection=S2_COLLECTION):
    return ee.Image(f"{collection}/{row.s2_id}").select(["B4"])


def test_bands_keep_their_types_and_a_window_is_a_part_of_the_whole(pixels_client, rows):
    sample, row = next(iter(rows.items()))
    grid = LOCATIONS[sample].grid
    image = scene(row).addBands(ee.Image(f"COPERNICUS/S1_GRD/{row.s1_id}").select(["VV"]).toFloat())
    whole = raw(pixels_client, image, ("B4", "VV"), grid)
    assert [whole.dtype[name] for name in ("B4", "VV")] == [np.dtype("u2"), np.dtype("f4")]
    window = PatchGrid(grid.epsg, grid.left + 100.0, grid.top - 50.0, 12, 18)
    assert np.array_equal(raw(pixels_client, image, ("B4", "VV"), window), whole[5:17, 10:28])


def test_the_offset_of_baseline_four_is_taken_off(pixels_client, answers):
    after = next(
        (location, season.optical[0])
        for location in LOCATIONS
        for season in answers[location.sample][3:]
        if season.optical
    )
    location, newest = after
    assert newest.processing_baseline >= "04.00"
    both = (
        raw(
            pixels_client, ee.Image(f"{name}/{newest.index}").select(["B4"]), ("B4",), location.grid
        )
        for name in (S2_COLLECTION, "COPERNICUS/S2")
    )
    harmonised, as_delivered = (pixels["B4"].astype(int) for pixels in both)
    lit = harmonised > 0
    assert lit.any()
    assert set((as_delivered - harmonised)[lit]) == {1000}


def test_refusals_are_told_apart(pixels_client, rows):
    sample, row = next(iter(rows.items()))
    grid = LOCATIONS[sample].grid
    with pytest.raises(Missing):
        raw(pixels_client, scene(replace(row, s2_id=f"{row.s2_id[:-1]}_")), ("B4",), grid)
    with pytest.raises(Fatal):
        raw(pixels_client, scene(row).select(["B99"]), ("B99",), grid)
    size = LARGEST_PATCH_PIXELS * 4
    large = PatchGrid(grid.epsg, grid.left, grid.top, size, size)
    with pytest.raises(TooBig):
        raw(pixels_client, scene(row).toFloat(), ("B4",), large)


def test_a_byte_of_mask_counts_for_every_band(pixels_client, rows):
    """Without it, 13 bands of two bytes would be two thirds of what one answer may hold."""
    sample, row = next(iter(rows.items()))
    names = tuple(band.name for band in cube_bands("sentinel-2"))
    image = ee.Image(f"{S2_COLLECTION}/{row.s2_id}").select(list(names))
    grid = LOCATIONS[sample].grid
    side = LARGEST_PATCH_PIXELS + 6
    with pytest.raises(TooBig):
        raw(pixels_client, image, names, PatchGrid(grid.epsg, grid.left, grid.top, side, side))
