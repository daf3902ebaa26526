"""Labels of imported scenes by their ids, through the real client, from the simulated Earth."""

import io

import ee
import numpy as np
import pytest
import yaml
from pyproj import Transformer

from pipeline.earthengine.pixels import request_grid
from pipeline.earthengine.session import earth_engine
from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.importers.ssl4eo import import_ssl4eo, work_folder
from pipeline.importers.ssl4eo_labels import label_from_earth_engine, main
from pipeline.settings.tree import validate_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.faults import FaultPlan, FaultRule
from pipeline.simulator.server import SimulatedEarthEngine
from pipeline.store.reader import open_store
from tests.unit.importers.releases import S2_SCENES, location_files, tree_digest

LABELS = "GOOGLE/DYNAMICWORLD/V1"
CENTRE = (11.0 + 132e-4, 48.0 - 132 * 0.87e-4)
"""Of the made locations, as their files record it."""


@pytest.fixture(scope="module")
def server():
    with SimulatedEarthEngine(ProceduralArchive(7)) as running:
        yield running


@pytest.fixture
def settings(server, tmp_path):
    service = {"service": server.url, "attempts": 2}
    return validate_settings({"results": str(tmp_path / "results"), "earthengine": service})


@pytest.fixture
def scenes(settings):
    """Four scenes with labels at the place, one in each season of a year."""
    with earth_engine(settings, "standard", 1):
        near = ee.ImageCollection(LABELS).filterBounds(ee.Geometry.Point(CENTRE))
        found = near.filterDate("2020-01-01", "2021-01-01").aggregate_array("system:index")
        names = sorted(name for name in found.getInfo() if "_T32" in name)
    return [names[number * (len(names) - 1) // 3] for number in range(4)]


@pytest.fixture
def store(scenes, tmp_path):
    """Two imported locations: one of scenes with labels, one with a scene that has none."""
    source = tmp_path / "ssl4eo"
    for location, names in ((1, scenes), (2, [S2_SCENES[0], *scenes[1:]])):
        for name, content in location_files(location, names).items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    import_ssl4eo([source], tmp_path / "ssl4eo.zarr")
    return tmp_path / "ssl4eo.zarr"


def expected_label(scene: str) -> np.ndarray:
    """The label on the scene's own UTM pixels around the recorded centre, asked for directly."""
    easting, northing = Transformer.from_crs(4326, 32632, always_xy=True).transform(*CENTRE)
    left, top = (round(value / 10) * 10 for value in (easting - 1320, northing + 1320))
    image = ee.Image(f"{LABELS}/{scene}").select("label").unmask(255, False).toUint8()
    grid = request_grid(PatchGrid(32632, left, top, 264, 264))
    answer = ee.data.computePixels({"expression": image, "fileFormat": "NPY", "grid": grid})
    return np.load(io.BytesIO(answer))["label"]


def test_labels_lie_on_the_pixels_of_their_scene(store, settings, scenes):
    assert open_store(store).valid.values.all()
    with earth_engine(settings, "high_volume", 2) as client:
        summary = label_from_earth_engine(store, client)
        expected = [expected_label(scene) for scene in scenes]
    labelled = open_store(store)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(labelled.label[0], expected)
    assert labelled.dw_id[0].values.tolist() == scenes
    assert labelled.valid.values.tolist() == [True, False]
    assert str(labelled.reason[1].values) == "labels in 3 of 4 seasons"
    assert "labels in 3 of 4 seasons" in summary


def test_a_run_that_fails_keeps_what_it_has_and_the_next_one_completes_it(
    store, settings, server, tmp_path
):
    settings_file = tmp_path / "settings.yaml"
    settings_file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    command = ["--settings", str(settings_file), "--store", str(store), "--slots", "1"]
    server.faults = FaultPlan((FaultRule("error_500", share=1.0, requests=frozenset({"pixels"})),))
    with pytest.raises(PipelineError, match="run the same command again"):
        main(command)
    assert not (work_folder(store) / "commits" / "_" / "label").exists()
    assert (open_store(store).label.values == 255).all()
    server.faults = FaultPlan()
    main(command)
    before = tree_digest(store)
    assert open_store(store).valid.values.tolist() == [True, False]
    main(command)
    assert tree_digest(store) == before


def test_a_store_from_elsewhere_is_one_line(settings, tmp_path):
    with (
        earth_engine(settings, "high_volume", 1) as client,
        pytest.raises(PipelineError, match="was not imported here"),
    ):
        label_from_earth_engine(tmp_path / "other.zarr", client)
