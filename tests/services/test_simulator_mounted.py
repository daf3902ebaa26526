"""Real scenes, mounted into the simulated archive, arrive value for value on their own grids."""

import json
import os
from pathlib import Path

import ee
import numpy as np
import pytest
import rasterio

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.mounted import CombinedArchive, MountedArchive
from pipeline.simulator.mounted_manifest import earth_engine_band
from pipeline.simulator.server import SimulatedEarthEngine

SAMPLES = Path(os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real"))
S2 = "COPERNICUS/S2_HARMONIZED"
S1 = "COPERNICUS/S1_GRD"
DW = "GOOGLE/DYNAMICWORLD/V1"
SSL4EO = "ssl4eo_0000200"
OPTICAL = {"CLOUDY_PIXEL_PERCENTAGE": 1.0, "MGRS_TILE": "36MXB"}
RADAR = {"instrumentMode": "IW", "transmitterReceiverPolarisation": ["VV", "VH"]}

SINGLE_FILES = [
    (S2, "terramind_38D_378R_2_3/S2L1C.tif", "2023-06-10T08:00:00Z"),
    (S1, "terramind_38D_378R_2_3/S1RTC.tif", "2023-06-10T15:00:00Z"),
    (DW, "terramind_38D_378R_2_3/LULC.tif", "2023-06-10T08:00:00Z"),
    (S2, "terramind_433D_629L_3_1/S2L1C.tif", "2020-04-08T14:00:00Z"),
    (S2, "terramind_609U_541L_3_0/S2L1C.tif", "2020-01-11T16:00:00Z"),
    (S1, "terramind_609U_541L_3_0/S1RTC.tif", "2020-01-11T23:00:00Z"),
    (S2, "eurosat/River/River_2.tif", "2017-07-01T10:00:00Z"),
    (S2, "eolearn_slovenia/S2L1C_2015-07-11.tif", "2015-07-11T10:00:00Z"),
    (S2, "eolearn_slovenia/S2L1C_2016-12-12.tif", "2016-12-12T10:00:00Z"),
    (DW, "eolearn_slovenia/LULC.tif", "2015-07-11T10:00:00Z"),
    (S2, "sen1floods11_Spain_7370579/S2L1C.tif", "2019-09-17T10:00:00Z"),
    (S1, "sen1floods11_Spain_7370579/S1GRD.tif", "2019-09-17T18:00:00Z"),
    (DW, "sen1floods11_Spain_7370579/LabelHand.tif", "2019-09-17T10:00:00Z"),
    (S2, "sen12ms/ROIs2017_winter_s2_27_p36.tif", "2017-12-01T17:00:00Z"),
]
FOLDERS = [
    (S2, f"{SSL4EO}/s2c/20200604T054639_20200604T054831_T43RCP", "2020-06-04T05:46:39Z"),
    (
        S1,
        f"{SSL4EO}/s1/S1A_IW_GRDH_1SDV_20200607T010800_20200607T010825_032904_03CFBA_D457",
        "2020-06-07T01:08:00Z",
    ),
]

pytestmark = [
    pytest.mark.skipif(
        not (SAMPLES / "MANIFEST.csv").is_file(),
        reason="needs the folder of real samples; set NOLDO_SAMPLE_DATA",
    ),
    pytest.mark.usefixtures("client"),
]


def index_of(file):
    return file.removesuffix(".tif").replace("/", "_").replace("-", "_")


def entry(collection, file, time):
    properties = {S2: OPTICAL, S1: RADAR}.get(collection, {})
    return {
        "collection": collection,
        "index": index_of(file),
        "file": f"real/{file}",
        "time": time,
        "properties": properties,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "real").symlink_to(SAMPLES.resolve())
    manifest = {"scenes": [entry(*scene) for scene in SINGLE_FILES + FOLDERS]}
    (folder / "scenes.json").write_text(json.dumps(manifest))
    archive = CombinedArchive(ProceduralArchive(7), MountedArchive(folder))
    with SimulatedEarthEngine(archive) as running:
        yield running


@pytest.fixture
def client(server, client_of):
    with client_of(server) as module:
        yield module


def own_grid(raster):
    transform = raster.transform
    return {
        "dimensions": {"width": raster.width, "height": raster.height},
        "crsCode": raster.crs.to_string(),
        "affineTransform": {
            "scaleX": transform.a,
            "translateX": transform.c,
            "scaleY": transform.e,
            "translateY": transform.f,
        },
    }


def fetch(image, raster):
    return ee.data.computePixels(
        {"expression": image, "fileFormat": "NUMPY_NDARRAY", "grid": own_grid(raster)}
    )


def with_zeros(values, nodata):
    """Pixels without data as the service encodes them."""
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    if nodata is not None and not np.isnan(nodata):
        missing |= values == nodata
    return np.where(missing, 0, values)


@pytest.mark.parametrize(("collection", "file", "time"), SINGLE_FILES)
def test_every_value_arrives_on_the_files_own_grid(collection, file, time):
    with rasterio.open(SAMPLES / file) as raster:
        pixels = fetch(ee.Image(f"{collection}/{index_of(file)}"), raster)
        assert pixels.dtype.names == tuple(map(earth_engine_band, raster.descriptions))
        for number, band in enumerate(pixels.dtype.names, start=1):
            stored = raster.read(number)
            assert pixels[band].dtype == stored.dtype
            assert np.array_equal(pixels[band], with_zeros(stored, raster.nodata))
        assert pixels[band].any()


@pytest.mark.parametrize(("collection", "folder", "time"), FOLDERS)
def test_a_folder_of_bands_keeps_the_grid_of_each(collection, folder, time):
    image = ee.Image(f"{collection}/{index_of(folder)}")
    names = image.bandNames().getInfo()
    assert len(names) == (13 if collection == S2 else 2)
    for name in names:
        with rasterio.open(SAMPLES / folder / f"{name}.tif") as raster:
            assert np.array_equal(fetch(image.select(name), raster)[name], raster.read(1))


def test_pixels_of_a_window_lie_where_they_lie_in_the_file():
    file = "terramind_38D_378R_2_3/S2L1C.tif"
    with rasterio.open(SAMPLES / file) as raster:
        grid = own_grid(raster)
        grid["dimensions"] = {"width": 20, "height": 10}
        grid["affineTransform"]["translateX"] += 30 * 10
        grid["affineTransform"]["translateY"] -= 50 * 10
        image = ee.Image(f"{S2}/{index_of(file)}").select("B8")
        request = {"expression": image, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
        window = raster.read(8)[50:60, 30:50]
    assert np.array_equal(ee.data.computePixels(request)["B8"], window)


class TestSelection:
    def scenes(self, collection, file, margin):
        """Scenes that contain the file's rectangle, made smaller by a margin in metres."""
        with rasterio.open(SAMPLES / file) as raster:
            left, bottom, right, top = raster.bounds
            crs = raster.crs.to_string()
        corners = [left + margin, bottom + margin, right - margin, top - margin]
        box = ee.Geometry.Rectangle(corners, proj=crs, geodesic=False, evenOdd=False)
        inside = ee.Filter.contains(leftField=".geo", rightValue=box)
        return ee.ImageCollection(collection).filterBounds(box).filter(inside)

    @pytest.mark.parametrize("margin", [0, 300])
    def test_a_mounted_scene_is_found_by_place_and_contains_its_own_rectangle(self, margin):
        file = "terramind_38D_378R_2_3/S2L1C.tif"
        found = self.scenes(S2, file, margin).filterDate("2023-06-01", "2023-07-01")
        assert found.aggregate_array("system:index").getInfo() == [index_of(file)]
        assert found.aggregate_array("MGRS_TILE").getInfo() == ["36MXB"]

    def test_mounted_scenes_win_at_their_place_at_all_times(self):
        file = "terramind_38D_378R_2_3/S2L1C.tif"
        later = self.scenes(S2, file, 300).filterDate("2022-01-01", "2022-02-01")
        assert later.size().getInfo() == 0

    def test_several_dates_at_one_place(self):
        times = self.scenes(S2, "eolearn_slovenia/LULC.tif", 300).aggregate_array(
            "system:time_start"
        )
        assert len(times.getInfo()) == 2

    def test_elsewhere_the_simulated_archive_goes_on(self):
        point = ee.Geometry.Point([2.0, 48.0])
        scenes = ee.ImageCollection(S2).filterBounds(point).filterDate("2020-06-01", "2020-07-01")
        assert scenes.size().getInfo() > 0
        assert ee.Image("SIMULATED/COORDINATES/32631").bandNames().getInfo()[0] == "x"
