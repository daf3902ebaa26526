import datetime

import pytest

from pipeline.simulator.orbits import solar_position
from pipeline.simulator.sentinel1 import ORBIT as SENTINEL_1
from pipeline.simulator.sentinel2 import ORBIT as SENTINEL_2


@pytest.mark.parametrize(("lon", "lat"), [(13.0, 52.0), (-60.0, -30.0), (100.0, 1.0)])
def test_every_place_is_seen_and_at_the_right_local_time(lon, lat):
    tracks = SENTINEL_2.tracks_near(lon, lat, descending=True, reach_m=145_000.0)
    assert tracks
    for track in tracks:
        time = SENTINEL_2.sensing_time(track, 0, lat, descending=True)
        local = (time.hour + time.minute / 60.0 + lon / 15.0) % 24.0
        assert 9.5 < local < 12.0


def test_one_revolution_moves_the_track_west_by_the_published_step():
    by_revolution = {SENTINEL_1.revolution(track): track for track in range(175)}
    assert len(by_revolution) == 175
    lons = [SENTINEL_1.track_longitude(by_revolution[r], 0.0, False) for r in (0, 1)]
    assert (lons[0] - lons[1]) % 360.0 == pytest.approx(360.0 * 12 / 175, abs=1e-6)


def test_descending_tracks_run_south_west_and_ascending_ones_north_west():
    for orbit in (SENTINEL_1, SENTINEL_2):
        descending = [orbit.track_longitude(20, lat, True) for lat in (40.0, 30.0)]
        ascending = [orbit.track_longitude(20, lat, False) for lat in (30.0, 40.0)]
        assert -180.0 < (descending[1] - descending[0]) < 0.0
        assert -180.0 < (ascending[1] - ascending[0]) < 0.0
        times = [orbit.sensing_time(20, 0, lat, True) for lat in (40.0, 30.0)]
        assert 0 < (times[1] - times[0]).total_seconds() < 300


def test_swath_is_as_wide_as_it_says():
    lon = SENTINEL_2.track_longitude(75, 50.0, True)
    epsg = 32600 + int((lon + 180) // 6) + 1
    strip = SENTINEL_2.swath(75, (51.0, 49.0), True, epsg)
    length = strip.length / 2.0 - SENTINEL_2.swath_m
    assert strip.area / length == pytest.approx(SENTINEL_2.swath_m, rel=1e-6)


@pytest.mark.parametrize(
    ("when", "lon", "lat", "zenith", "azimuth"),
    [
        # Noon at an equinox on the equator, midsummer noon at the tropic, midsummer in Berlin.
        (datetime.datetime(2021, 3, 20, 12, 7, tzinfo=datetime.UTC), 0.0, 0.0, 0.0, None),
        (datetime.datetime(2021, 6, 21, 12, 2, tzinfo=datetime.UTC), 0.0, 23.44, 0.0, None),
        (datetime.datetime(2021, 6, 21, 11, 8, tzinfo=datetime.UTC), 13.4, 52.5, 29.1, 180.0),
        (datetime.datetime(2021, 12, 21, 12, 0, tzinfo=datetime.UTC), 0.0, -60.0, 36.6, 0.0),
    ],
)
def test_the_sun_stands_where_almanacs_say(when, lon, lat, zenith, azimuth):
    found = solar_position(when, lon, lat)
    assert found[0] == pytest.approx(zenith, abs=2.5)
    if azimuth is not None:
        assert (found[1] - azimuth + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=5.0)
