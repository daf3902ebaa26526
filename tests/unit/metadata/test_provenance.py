"""Where a sample comes from, as printed: complete, in the terms of the archive, plain JSON."""

import json
import subprocess
import sys

import pytest

from pipeline.errors import PipelineError
from pipeline.provenance import main, sample_provenance


def test_a_seasonal_sample_has_four_dates_with_the_request_of_each(nol):
    found = sample_provenance(nol.store, "0004")
    assert found["sample"]["index"] == 4 and found["sample"]["valid"] is True
    assert [date["season"] for date in found["dates"]] == [0, 1, 2, 3]
    date = found["dates"][2]
    assert date["sentinel_2"] == {
        "asset": "COPERNICUS/S2_HARMONIZED/s2_4_2_a",
        "time": "2021-01-01T00:00:00.004+00:00",
        "cloud_cover_percent": 2.0,
        "mgrs_tile": "33UUP",
        "processing_baseline": "02.09",
    }
    assert date["sentinel_1"]["relative_orbit"] == 95
    assert date["label"] == {"asset": "GOOGLE/DYNAMICWORLD/V1/s2_4_2_a"}
    request = date["request"]
    assert [len(image["bands"]) for image in request["images"]] == [13, 2, 1]
    assert request["resampling"] == "nearest" and request["grid"]["crsCode"] == "EPSG:32633"
    assert request["grid"]["affineTransform"]["translateX"] == found["place"]["left"]
    assert found["store"]["settings"]["grid"] == {"pixels": 12}
    assert len(found["store"]["dataset_hash"]) == 16 and found["sample"]["code_version"]


def test_a_padded_tile_is_asked_for_without_its_border(osm):
    found = sample_provenance(osm.store, "train_1")
    grid = found["dates"][0]["request"]["grid"]
    assert grid["dimensions"] == {"width": 6, "height": 6}
    assert grid["affineTransform"]["translateX"] == found["place"]["left"] + 10.0
    assert grid["affineTransform"]["translateY"] == found["place"]["top"] - 10.0
    assert found["dates"][0]["request"]["resampling"] == "bilinear"
    assert found["sample"]["label_date"].startswith("2021-07-08")
    assert "label" not in found["dates"][0]


def test_a_rejected_sample_has_no_time(nol):
    found = sample_provenance(nol.store, "2")
    assert found["sample"]["valid"] is False
    assert found["dates"][0]["sentinel_2"]["time"] is None
    assert found["dates"][0]["sentinel_2"]["cloud_cover_percent"] is None


@pytest.mark.parametrize(
    ("sample", "group", "message"),
    [
        ("0099", None, "has no sample '0099'; the ids are in the column id of its index"),
        ("0", None, "is in the groups train, test; say which by --group"),
        ("0", "validation", "has no group validation, only train, test"),
        ("2", "train", "has no sample '2'"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(osm, sample, group, message):
    with pytest.raises(PipelineError, match=message):
        sample_provenance(osm.store, sample, group)


def test_the_same_number_in_two_groups_is_told_apart(osm, capsys):
    main([str(osm.store), "--sample", "0", "--group", "test"])
    assert json.loads(capsys.readouterr().out)["sample"]["id"] == "test_0"


def test_it_is_a_command_of_the_module_that_knows_versions(osm):
    words = [sys.executable, "-m", "pipeline.provenance", str(osm.store), "--sample", "none"]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("error: ") and "Trace" not in run.stderr
