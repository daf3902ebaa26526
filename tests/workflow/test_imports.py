"""Imports as targets of the workflow."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.store.create import read_attributes
from pipeline.store.reader import open_store
from tests.unit.importers.releases import geotiff, location_files

TARGETS = ("import_ssl4eo", "import_noldo", "import_dfc2020", "import_eurosat")


@pytest.fixture
def patches(tmp_path) -> Path:
    """A EuroSAT of two patches, in a folder with a blank in its name."""
    folder = tmp_path / "Euro SAT"
    for number, name in enumerate(("Forest_1", "River_2")):
        path = folder / name.split("_")[0] / f"{name}.tif"
        path.parent.mkdir(parents=True)
        path.write_bytes(geotiff(np.full((13, 64, 64), 500 + number, np.uint16), 32632))
    return folder


def test_eurosat_is_imported_and_then_up_to_date(workflow, patches):
    workflow.configuration["importers"] = {"eurosat": [str(patches)]}
    run = workflow.run("import_eurosat")
    assert run.returncode == 0, run.stderr
    store = workflow.folder / "eurosat.zarr"
    groups = [open_store(store, name) for name in (read_attributes(store) or {})["groups"]]
    assert sorted(name for group in groups for name in group.id.values) == ["Forest_1", "River_2"]
    assert "Nothing to be done" in workflow.run("import_eurosat").stderr


def test_scenes_are_labelled_by_the_service_of_the_settings(workflow, tmp_path):
    for name, content in location_files(7).items():
        path = tmp_path / "ssl4eo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    source = {"ssl4eo": [str(tmp_path / "ssl4eo")], "ssl4eo_labels": "earthengine"}
    workflow.configuration["importers"] = source
    run = workflow.run("import_ssl4eo")
    assert run.returncode == 0, run.stderr
    reason = str(open_store(workflow.folder / "ssl4eo.zarr").reason[0].values)
    assert reason == "labels in 0 of 4 seasons"


def test_targets_without_a_source_say_what_to_set(workflow):
    run = workflow.run(*TARGETS)
    assert run.returncode != 0
    assert "Traceback" not in run.stdout + run.stderr
    for name in ("ssl4eo_images", "noldo_dw", "noldo_osm", "dfc2020", "eurosat"):
        log = (workflow.folder / "logs" / f"{name}.log").read_text()
        assert "set the section `importers`" in log, name
