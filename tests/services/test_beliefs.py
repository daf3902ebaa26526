"""What the code believes of Earth Engine: asked of the simulated one in every run of the tests, and
of the real one, in some twenty requests, by whoever has an account::

    NOLDO_EARTH_ENGINE_PROJECT=your-cloud-project pytest -m online tests/services/test_beliefs.py
"""

import datetime as dt
import itertools
import os
import re
from dataclasses import replace

import ee
import numpy as np
import pytest

from pipeline.candidates import SeasonCandidates
from pipeline.earthengine.errors import Fatal, Missing, TooBig
from pipeline.earthengine.pixels import fetch_season, read_npy, request_grid
from pipeline.earthengine.queries import S2_COLLECTION, select_candidates
from pipeline.earthengine.session import earth_engine
from pipeline.grid import PatchGrid, mgrs_epsg, patch_grid
from pipeline.ledger import Status
from pipeline.locations.location import Location
from pipeline.quality import nodata_share
from pipeline.selection import choose_scenes
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
def pixels_client(settings, answers, rows):
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


def test_whole_seasons_arrive_native_and_plausible(pixels_client, rows, caplog):
    for sample, row in rows.items():
        season = fetch_season(pixels_client, row, LOCATIONS[sample].grid)
        assert nodata_share(season) == 0.0
        assert set(np.unique(season.label)) <= {*range(9), 255}
        assert -3500 < np.median(season.s1[0]) < 1000
        assert np.median(season.s1[1]) < np.median(season.s1[0])
    assert "varies within its own pixels" not in caplog.text


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
