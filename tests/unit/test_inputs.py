"""Inputs brought from a place that is read object by object; here a folder, elsewhere S3."""

import json
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.inputs import bring, in_object_storage, local_path, main
from pipeline.locations.table import location_count
from pipeline.settings.tree import validate_settings


@pytest.fixture
def bucket(tmp_path):
    folder = tmp_path / "bucket"
    for name, text in {"places.csv": "lon,lat\n15,47\n16,48\n", "tiles/a/1.tif": "one"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def files(folder):
    return {file.name for file in folder.rglob("*") if file.is_file()}


def test_a_path_on_disk_stays_what_it_is(tmp_path):
    assert not in_object_storage("data/places.csv")
    assert bring("data/places.csv", tmp_path / "inputs").as_posix() == "data/places.csv"
    assert not (tmp_path / "inputs").exists()


def test_an_object_becomes_a_file(bucket, tmp_path):
    url, inputs = f"file://{bucket}/places.csv", tmp_path / "inputs"
    path = bring(url, inputs)
    assert path == local_path(url, inputs)
    assert path.read_bytes() == (bucket / "places.csv").read_bytes()
    assert files(inputs) == {"places.csv"}


def test_a_prefix_becomes_a_folder(bucket, tmp_path):
    folder = bring(f"file://{bucket}/tiles/", tmp_path / "inputs")
    assert (folder / "a" / "1.tif").read_text() == "one"
    assert files(folder) == {"1.tif"}


def test_it_is_fetched_once(bucket, tmp_path):
    url = f"file://{bucket}/places.csv"
    path = bring(url, tmp_path / "inputs")
    (bucket / "places.csv").unlink()
    assert bring(url, tmp_path / "inputs") == path


def test_nothing_there_is_one_line(bucket, tmp_path):
    with pytest.raises(PipelineError, match="there is nothing at .*absent"):
        bring(f"file://{bucket}/absent", tmp_path / "inputs")


def test_a_folder_that_cannot_be_made_is_not_taken_for_an_absent_object(bucket):
    with pytest.raises(OSError, match="/proc/nowhere"):
        bring(f"file://{bucket}/places.csv", Path("/proc/nowhere"))


@pytest.mark.parametrize("url", ["s3://bucket/../../etc/passwd", "s3://", "s3://b/a\nb"])
def test_names_that_lead_elsewhere_are_refused(url, tmp_path):
    with pytest.raises(PipelineError, match="cannot be kept as a file"):
        bring(url, tmp_path / "inputs")


def test_a_table_of_places_may_be_a_url(bucket, tmp_path):
    locations = {"sampler": "points", "table": f"file://{bucket}/places.csv", "count": None}
    settings = validate_settings({"results": str(tmp_path), "locations": locations})
    assert location_count(settings) == 2


def test_credentials_in_a_url_are_refused():
    with pytest.raises(PipelineError, match="credentials do not belong into settings"):
        validate_settings({"importers": {"eurosat": ["s3://key:secret@bucket/EuroSAT.zip"]}})


def test_command_line(bucket, tmp_path):
    record = tmp_path / "record.json"
    url = f"file://{bucket}/tiles"
    main(["--url", url, "--folder", str(tmp_path / "inputs"), "--record", str(record)])
    assert json.loads(record.read_text())["url"] == url
