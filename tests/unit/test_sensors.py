import pytest

from pipeline.sensors import all_bands, bands_of, cube_bands


def test_arrays_hold_the_bands_in_the_order_of_the_contract():
    names = {array: [b.name for b in bands_of(array)] for array in ("s2_10m", "s2_20m", "s2_60m")}
    assert names == {
        "s2_10m": ["B2", "B3", "B4", "B8"],
        "s2_20m": ["B5", "B6", "B7", "B8A", "B11", "B12"],
        "s2_60m": ["B1", "B9", "B10"],
    }
    assert [band.name for band in bands_of("s1")] == ["VV", "VH"]


def test_the_cube_has_thirteen_bands_in_the_order_of_wavelength_numbers():
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
    assert [band.name for band in cube_bands("sentinel-2")] == names
    assert [band.cube_position for band in cube_bands("sentinel-2")] == list(range(13))


def test_every_band_has_a_source_and_an_array_of_its_resolution():
    for band in all_bands():
        assert band.source
        assert band.array == "s1" or band.array == f"s2_{band.resolution_m}m"


def test_s1_wavelength_is_that_of_5_405_ghz():
    assert bands_of("s1")[0].wavelength_nm == pytest.approx(299_792_458 / 5.405e9 * 1e9, rel=1e-4)


def test_unknown_names_are_refused():
    with pytest.raises(KeyError, match="s2_15m"):
        bands_of("s2_15m")
    with pytest.raises(KeyError, match="landsat"):
        cube_bands("landsat")
