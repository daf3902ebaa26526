"""Stores and inputs in object storage: a real S3 protocol, a server on this machine."""

import hashlib

import numpy as np
import obstore
import pytest
import xarray as xr
from obstore.store import from_url

from pipeline.fingerprints import file_sha256
from pipeline.importers.eurosat import main as import_eurosat
from pipeline.locations.sampling import draw_locations
from pipeline.locations.table import read_locations
from pipeline.settings.tree import validate_settings
from pipeline.store.object_path import store_path, zarr_source
from tests.unit.importers.releases import geotiff
from tests.workflow.conftest import Workflow, error_lines, executed_rules
from tests.workflow.killed_builds import copy_of
from tests.workflow.s3_server import BUCKET, s3_server, server_command

PLACES = "location_id,lon,lat\n" + "".join(f"p{k},{11.6 + 0.1 * k:.2f},48.0\n" for k in range(6))


@pytest.fixture(scope="module")
def server():
    """The server, found through the environment as on any other day."""
    command = server_command()
    if command is None:
        pytest.skip("no S3 server: `pip install 'moto[server]'` gives one")
    with s3_server(command) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture(scope="module")
def bucket(server):
    return from_url(f"s3://{BUCKET}", client_options={"allow_http": True})


@pytest.fixture(scope="module")
def published(server, finished, tmp_path_factory):
    """A finished build that is asked for a copy; and what was executed for it."""
    count = finished.configuration["locations"]["count"]
    workflow = copy_of(finished, tmp_path_factory.mktemp("published"), count)
    workflow.configuration["publish"] = f"s3://{BUCKET}/copies"
    return workflow, executed_rules(workflow.build())


def objects(bucket, prefix) -> dict[str, str]:
    """SHA-256 of every object below a prefix, read back."""
    found = [entry["path"] for page in obstore.list(bucket, f"{prefix}/") for entry in page]
    return {
        path.removeprefix(f"{prefix}/"): hashlib.sha256(
            bytes(obstore.get(bucket, path).bytes())
        ).hexdigest()
        for path in found
    }


def on_disk(workflow: Workflow) -> dict[str, str]:
    return workflow.digests("nol.zarr/**/*", "nol.index.parquet", "nol.s*")


def test_same_bytes_as_on_disk_and_nothing_is_built_again(published, bucket):
    workflow, jobs = published
    assert jobs == {"publish_shard": 3, "publish_nol": 1, "build_nol": 1}
    assert objects(bucket, "copies/tiny") == on_disk(workflow)


def test_no_secret_is_written_down(published, server):
    workflow, _ = published
    secret = server["AWS_SECRET_ACCESS_KEY"].encode()
    files = [file for file in workflow.directory.rglob("*") if file.is_file()]
    assert len(files) > 50
    assert [file for file in files if secret in file.read_bytes()] == []


def test_more_locations_send_the_new_shards_and_end_in_the_same_bytes(published, bucket):
    workflow, _ = published
    workflow.configuration["locations"] = workflow.configuration["locations"] | {"count": 14}
    jobs = executed_rules(workflow.build())
    assert jobs["publish_shard"] == jobs["fetch_pixels"] == 2
    assert objects(bucket, "copies/tiny") == on_disk(workflow)
    copy = store_path(f"{workflow.configuration['publish']}/tiny/nol.zarr")
    xr.testing.assert_identical(
        xr.open_zarr(zarr_source(copy)).load(), xr.open_zarr(workflow.store).load()
    )


def test_a_bucket_that_is_not_there_is_one_line(server, finished, tmp_path):
    count = finished.configuration["locations"]["count"]
    workflow = copy_of(finished, tmp_path / "nowhere", count)
    workflow.configuration["publish"] = "s3://no-such-bucket/somewhere"
    run = workflow.run("build_nol")
    assert run.returncode == 1
    assert any("check that the bucket exists" in line for line in error_lines(run))
    assert "Traceback" not in run.stdout + run.stderr


def test_a_table_of_places_in_a_bucket_gives_the_same_locations(bucket, workflow, tmp_path):
    obstore.put(bucket, "in/places.csv", PLACES.encode())
    (tmp_path / "places.csv").write_text(PLACES)
    points = {"sampler": "points", "count": None}
    workflow.configuration["locations"] = points | {"table": f"s3://{BUCKET}/in/places.csv"}
    workflow.build("results/tiny/locations/6.parquet")
    places = {"locations": points | {"table": str(tmp_path / "places.csv")}}
    on_disk = draw_locations(validate_settings(workflow.configuration | places))
    in_a_bucket = read_locations(workflow.folder / "locations" / "6.parquet")
    assert list(in_a_bucket) == list(on_disk)


def test_an_archive_in_a_bucket_gives_the_same_store(bucket, workflow, tmp_path):
    for number, name in enumerate(("Forest/Forest_1.tif", "River/River_2.tif")):
        content = geotiff(np.full((13, 64, 64), 500 + number, np.uint16), 32632)
        (tmp_path / "EuroSAT" / name).parent.mkdir(parents=True)
        (tmp_path / "EuroSAT" / name).write_bytes(content)
        obstore.put(bucket, f"in/EuroSAT/{name}", content)
    workflow.configuration["importers"] = {"eurosat": [f"s3://{BUCKET}/in/EuroSAT/"]}
    assert executed_rules(workflow.build("import_eurosat"))["bring_input"] == 1
    import_eurosat(
        ["--source", str(tmp_path / "EuroSAT"), "--store", str(tmp_path / "eurosat.zarr")]
    )
    chunks = workflow.digests("eurosat.zarr/**/c/**/*")  # all but attributes, which name the source
    assert len(chunks) > 10
    for name, digest in chunks.items():
        assert file_sha256(tmp_path / name) == digest
