"""The radiometric offset of the later processing baselines, told from pixels and names."""

import numpy as np
import pytest

from pipeline.importers.offset import detect_offset, remove_offset, split_cube
from pipeline.importers.rasters import decode_geotiff

PLAIN = "20200604T054639_20200604T054831_T43RCP"
BASELINE_02 = "S2A_MSIL1C_20200604T054639_N0209_R048_T43RCP_20200604T083325"
BASELINE_05 = "S2A_MSIL1C_20200604T054639_N0500_R048_T43RCP_20230604T083325"


def scene(ground: int = 800, cirrus: int = 20) -> dict[str, np.ndarray]:
    cube = np.full((13, 10, 10), ground, np.uint16)
    bands = split_cube(cube)
    bands["B10"][:] = cirrus
    return bands


def raised(bands: dict[str, np.ndarray], by: int = 1000) -> dict[str, np.ndarray]:
    return {name: values + np.uint16(by) for name, values in bands.items()}


def test_clear_ground_tells():
    assert detect_offset(scene(), PLAIN) == 0
    assert detect_offset(raised(scene()), PLAIN) == 1000


def test_dark_water_without_offset_is_not_taken_for_no_data():
    assert detect_offset(scene(ground=60, cirrus=0), PLAIN) == 0


def test_a_patch_all_under_high_cloud_does_not_tell():
    assert detect_offset(scene(ground=6000, cirrus=2500), PLAIN) == -1


def test_a_cloud_over_a_part_does_not_hide_the_ground():
    bands = raised(scene())
    bands["B10"][:4] = 3000
    assert detect_offset(bands, PLAIN) == 1000
    bands = scene()
    bands["B10"][:9] = 3000
    assert detect_offset(bands, PLAIN) == 0


@pytest.mark.parametrize(
    ("ground", "cirrus", "expected"),
    [(880, 950, 0), (920, 950, 1000), (5000, 1290, 1000), (5000, 1310, -1)],
)
def test_where_dark_ends_and_cloud_begins(ground, cirrus, expected):
    assert detect_offset(scene(ground, cirrus), PLAIN) == expected


@pytest.mark.parametrize(("dark", "expected"), [(10, 1000), (11, 0)])
def test_a_few_dark_pixels_may_be_an_accident(dark, expected):
    cube = np.full((13, 100, 100), 1020, np.uint16)
    cube[3].ravel()[:dark] = 500
    assert detect_offset(split_cube(cube), PLAIN) == expected


def test_without_data_nothing_is_known():
    assert detect_offset(scene(0, 0), PLAIN) == -1


@pytest.mark.parametrize(
    ("bands", "name", "expected"),
    [
        (scene(), BASELINE_02, 0),
        (scene(), BASELINE_02.replace("N0209", "N0301"), 0),
        (raised(scene()), BASELINE_05.replace("N0500", "N0400"), 1000),
        (raised(scene()), BASELINE_05, 1000),
        (scene(), BASELINE_05, -1),
        (raised(scene()), BASELINE_02, -1),
        (scene(6000, 2500), BASELINE_02, 0),
        (scene(6000, 2500), BASELINE_05, 1000),
    ],
)
def test_the_baseline_in_a_name_helps_and_a_contradiction_is_no_answer(bands, name, expected):
    assert detect_offset(bands, name) == expected


def test_removal_keeps_no_data_apart_from_dark_pixels():
    numbers = np.array([0, 900, 1000, 1001, 1700, 65535], np.uint16)
    assert remove_offset(numbers).tolist() == [0, 1, 1, 1, 700, 64535]


def test_real_sites_of_mixed_baselines_are_told_apart(real_samples):
    files = sorted(real_samples.glob("terramind_*/S2L1C.tif"))
    if not files:
        pytest.skip("the TerraMind sites are not among the sample data")
    found = {}
    for path in files:
        values = decode_geotiff(path.read_bytes()).values
        found[path.parent.name] = (detect_offset(split_cube(values), ""), np.median(values[10]))
    assert {offset for offset, _ in found.values()} == {0, 1000}
    for offset, median_cirrus in found.values():
        assert abs(median_cirrus - offset) < 100
