import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.earthengine.pixels import to_hundredths
from pipeline.ledger import Reason
from pipeline.quality import check_pixels
from pipeline.settings.dataset import QualitySettings

LIMITS = QualitySettings()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pixels(random_pixels):
    return random_pixels(0, 0)


def changed(pixels, name, index, value):
    array = getattr(pixels, name).copy()
    array[index] = value
    return replace(pixels, **{name: array})


def test_plain_pixels_are_fit(pixels):
    assert check_pixels(pixels, LIMITS) is Reason.NONE


@pytest.mark.parametrize("name", ["s2_10m", "s2_20m", "s2_60m"])
def test_one_pixel_without_any_band_is_nodata(pixels, name):
    bad = changed(pixels, name, (slice(None), 0, 0), 0)
    assert check_pixels(bad, LIMITS) is Reason.NODATA


def test_a_dark_band_alone_is_not_nodata(pixels):
    assert check_pixels(changed(pixels, "s2_20m", 5, 0), LIMITS) is Reason.NONE


def test_one_masked_polarisation_is_nodata(pixels):
    bad = changed(pixels, "s1", (1, 3, 3), -32768)
    assert check_pixels(bad, LIMITS) is Reason.NODATA
    tolerant = QualitySettings(nodata_share_max=1 / 144)
    assert check_pixels(bad, tolerant) is Reason.NONE


def test_too_few_labels(pixels):
    strict = LIMITS.model_copy(update={"label_share_min": 0.5})
    half = changed(pixels, "label", np.s_[:6], 255)
    assert check_pixels(half, strict) is Reason.NONE
    less = changed(half, "label", (6, 0), 255)
    assert check_pixels(less, strict) is Reason.NODATA


def test_seasons_under_cloud_are_kept_by_default(pixels):
    assert check_pixels(changed(pixels, "label", np.s_[:], 255), LIMITS) is Reason.NONE


@pytest.mark.parametrize(
    ("decibel", "reason"), [(-35.0, ""), (-35.01, "implausible_s1"), (30.01, "implausible_s1")]
)
def test_backscatter_beyond_the_limits(pixels, decibel, reason):
    bad = changed(pixels, "s1", (0, slice(0, 1)), round(decibel * 100))
    assert check_pixels(bad, LIMITS).value == reason


def test_calm_water_is_dark_in_vh_and_still_plausible(pixels):
    dark = changed(pixels, "s1", (1, slice(0, 6)), -4100)
    assert check_pixels(dark, LIMITS) is Reason.NONE
    bright = changed(pixels, "s1", (1, slice(0, 6)), 3100)
    assert check_pixels(bright, LIMITS) is Reason.IMPLAUSIBLE_S1


def test_a_reservoir_of_the_real_archive_is_plausible(pixels):
    rasterio = pytest.importorskip("rasterio")
    folder = ROOT / os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real")
    file = folder / "sen1floods11_Spain_7370579" / "S1GRD.tif"
    if not file.exists():
        pytest.skip("sample data are not here; set NOLDO_SAMPLE_DATA")
    with rasterio.open(file) as raster:
        decibels = raster.read()[:, :264, -264:]
    assert (decibels < LIMITS.s1_floor_db).any(axis=0).mean() > LIMITS.s1_implausible_share_max
    season = replace(pixels, s1=to_hundredths(decibels))
    assert check_pixels(season, LIMITS) is Reason.NONE


def test_a_few_implausible_pixels_are_tolerated(pixels):
    two_of_144 = changed(pixels, "s1", (0, 0, slice(0, 2)), -4000)
    assert check_pixels(two_of_144, LIMITS) is Reason.NONE
    three_of_144 = changed(pixels, "s1", (0, 0, slice(0, 3)), -4000)
    assert check_pixels(three_of_144, LIMITS) is Reason.IMPLAUSIBLE_S1
    limit = QualitySettings(s1_implausible_share_max=3 / 144)
    assert check_pixels(three_of_144, limit) is Reason.NONE


def test_masked_backscatter_is_not_implausible_as_well(pixels):
    masked = changed(pixels, "s1", (0, slice(0, 2)), -32768)
    tolerant = QualitySettings(nodata_share_max=1.0)
    assert check_pixels(masked, tolerant) is Reason.NONE
