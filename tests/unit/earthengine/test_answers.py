"""What is read from the answers of the service, in forms that the simulated Earth does not give."""

import datetime as dt
import io

import numpy as np
import pytest

from pipeline.earthengine.errors import Transient
from pipeline.earthengine.pixels import read_npy, to_hundredths
from pipeline.earthengine.queries import read_season

WINDOW = (dt.date(2021, 1, 1), dt.date(2021, 1, 31))
NOTHING = {
    "optical_count": 0,
    "clear_count": 0,
    "radar_count": 0,
    "optical": None,
    "baselines": None,
    "radar": None,
    "passes": None,
    "orbits": None,
    "labels": [],
}


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pixels_of_either_version_and_byte_order(version, order):
    pixels = np.zeros((2, 3), [("B1", f"{order}u2"), ("VV", f"{order}f4")])
    pixels["B1"] = [[1, 2, 3], [4, 5, 65535]]
    file = io.BytesIO()
    np.lib.format.write_array(file, pixels, version=version)
    read = read_npy(file.getvalue(), (2, 3), ("B1", "VV"))
    assert read["B1"].tolist() == pixels["B1"].tolist()
    with pytest.raises(Transient, match="bytes for"):
        read_npy(file.getvalue()[:-1], (2, 3), ("B1", "VV"))


def test_a_version_that_is_not_known_is_garbage():
    with pytest.raises(Transient, match="garbled pixels"):
        read_npy(b"\x93NUMPY\x09\x00" + b"\x00" * 64, (2, 3), ("B1",))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_backscatter_is_rounded_limited_and_never_taken_for_masked(dtype):
    decibels = [-12.346, 0.006, -0.006, 0.004, -9999.0, np.nan, -np.inf, np.inf, -400.0, 400.0]
    stored = to_hundredths(np.array(decibels, dtype))
    assert stored.dtype == np.int16
    assert stored.tolist() == [-1235, 1, -1, 0, *[-32768] * 4, -32767, 32767]


def test_null_instead_of_an_empty_list_is_no_scene():
    season = read_season(NOTHING, WINDOW)
    assert season.optical == season.radar == ()
    assert season.labels == frozenset()


def test_null_instead_of_scenes_that_are_counted_is_no_answer():
    for lost in ({"clear_count": 1, "optical_count": 1}, {"radar_count": 2}):
        with pytest.raises(ValueError, match="scenes, but metadata of 0"):
            read_season(NOTHING | lost, WINDOW)
    with pytest.raises(TypeError):
        read_season(NOTHING | {"labels": None}, WINDOW)
