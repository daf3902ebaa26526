"""The land mask, bit for bit the one of the package it is read from."""

import importlib.util
import zipfile

import numpy as np
import pytest

from pipeline.locations.land import CELLS_PER_DEGREE, is_land


@pytest.mark.parametrize(
    ("place", "lon", "lat", "expected"),
    [
        ("Munich", 11.58, 48.14, True),
        ("Cape Town", 18.45, -33.95, True),
        ("South Pole", 0.0, -90.0, True),
        ("North Pole", 0.0, 90.0, False),
        ("Gulf of Guinea", 0.0, 0.0, False),
        ("Fiji, Taveuni at the antimeridian", 180.0, -16.82, True),
        ("Lake Victoria counts as land", 33.0, -1.0, True),
    ],
)
def test_known_places(place, lon, lat, expected):
    assert bool(is_land(lon, lat)) is expected, place


def test_both_names_of_the_antimeridian_are_one_place():
    lat = np.linspace(-89.9, 89.9, 500)
    np.testing.assert_array_equal(is_land(-180.0, lat), is_land(180.0, lat))


def test_the_mask_is_the_published_one():
    origin = importlib.util.find_spec("global_land_mask").origin
    archive = origin.replace("__init__.py", "globe_combined_mask_compressed.npz")
    width, rows = 360 * CELLS_PER_DEGREE, 4800
    with zipfile.ZipFile(archive).open("mask.npy") as file:
        sea = np.frombuffer(file.read(128 + rows * width)[128:], bool).reshape(rows, width)
    row, column = np.mgrid[0:rows:37, 0:width:41]
    lon = (column + 0.5) / CELLS_PER_DEGREE - 180.0
    lat = 90.0 - (row + 0.5) / CELLS_PER_DEGREE
    np.testing.assert_array_equal(is_land(lon, lat), ~sea[row, column])


def test_about_29_percent_of_the_earth_is_land():
    stream = np.random.default_rng(0)
    lat = np.degrees(np.arcsin(stream.uniform(-1, 1, 200_000)))
    assert is_land(stream.uniform(-180, 180, 200_000), lat).mean() == pytest.approx(0.293, abs=0.01)
