"""Manifests of real scenes: what is read, and what is refused in one clear line."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from pipeline.errors import PipelineError
from pipeline.simulator.mounted import CombinedArchive, MountedArchive

LABELS = "GOOGLE/DYNAMICWORLD/V1"
GOOD = {
    "collection": LABELS,
    "index": "one",
    "file": "label.tif",
    "time": "2020-06-01T10:00:00Z",
}


def write_tiff(
    path, values, left=500_003.5, top=5_500_001.25, epsg=32633, names=("label",), **options
):
    values = np.atleast_3d(np.asarray(values).T).T
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": values.shape[0],
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype,
        "crs": f"EPSG:{epsg}" if epsg else None,
        "transform": from_origin(left, top, 10, 10),
        **options,
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)
        for number, name in enumerate(names, start=1):
            raster.set_band_description(number, name)


@pytest.fixture
def folder(tmp_path):
    write_tiff(tmp_path / "label.tif", np.arange(30, dtype=np.uint8).reshape(5, 6))
    return tmp_path


def mount(folder, *entries):
    (folder / "scenes.json").write_text(json.dumps({"scenes": entries}))
    return MountedArchive(folder)


class TestScenes:
    def test_pixels_and_grid_are_those_of_the_file(self, folder):
        scene = mount(folder, GOOD).get(f"{LABELS}/one")
        assert scene.epsg == 32633
        assert scene.properties["system:time_start"] == 1_591_005_600_000
        band = scene.bands["label"]
        assert (band.transform.c, band.transform.f) == (500_003.5, 5_500_001.25)
        values, valid = scene.read("label", 0, 5, 0, 6)
        assert np.array_equal(values, np.arange(30).reshape(5, 6))
        assert valid.all()

    def test_beyond_the_file_nothing_is_valid(self, folder):
        scene = mount(folder, GOOD).get(f"{LABELS}/one")
        values, valid = scene.read("label", -2, 2, 4, 9)
        assert values.shape == valid.shape == (4, 5)
        assert np.array_equal(np.argwhere(valid), [[2, 0], [2, 1], [3, 0], [3, 1]])
        assert values[3].tolist() == [10, 11, 0, 0, 0]
        assert not scene.read("label", 50, 52, 50, 52)[1].any()

    @pytest.mark.parametrize("declared_in", ["file", "manifest"])
    def test_nodata_is_invalid(self, folder, declared_in):
        in_file = {"nodata": 7} if declared_in == "file" else {}
        write_tiff(folder / "label.tif", np.full((2, 2), 7, np.uint8), **in_file)
        entry = GOOD if declared_in == "file" else {**GOOD, "nodata": 7}
        assert not mount(folder, entry).get(f"{LABELS}/one").read("label", 0, 2, 0, 2)[1].any()

    def test_nan_is_invalid(self, folder):
        write_tiff(folder / "vv.tif", np.array([[np.nan, -9.5]], np.float32), names=["VV"])
        archive = mount(folder, {**GOOD, "file": "vv.tif"})
        assert archive.get(f"{LABELS}/one").read("VV", 0, 1, 0, 2)[1].tolist() == [[False, True]]

    def test_bands_by_folder_by_object_and_by_name(self, folder):
        for name in ("B02", "B8A"):
            write_tiff(folder / "s2" / f"{name}.tif", np.ones((3, 3), np.uint16))
        write_tiff(folder / "two.tif", np.ones((2, 3, 3), np.uint16), names=())
        archive = mount(
            folder,
            {**GOOD, "index": "a", "file": "s2"},
            {**GOOD, "index": "b", "file": {"B2": "s2/B02.tif", "B8A": "s2/B8A.tif"}},
            {**GOOD, "index": "c", "file": "two.tif", "bands": ["B2", "B8A"]},
        )
        for index in "abc":
            assert list(archive.get(f"{LABELS}/{index}").bands) == ["B2", "B8A"]

    def test_a_csv_says_the_same(self, folder):
        (folder / "scenes.csv").write_text(
            "collection,index,file,bands,time,nodata,tile,polarisations\n"
            f'{LABELS},one,label.tif,label,2020-06-01T10:00:00Z,,33UVR,"[""VV"", ""VH""]"\n'
        )
        scene = MountedArchive(folder).get(f"{LABELS}/one")
        assert scene.properties["tile"] == "33UVR"
        assert scene.properties["polarisations"] == ["VV", "VH"]
        assert scene.read("label", 0, 5, 0, 6)[0].max() == 29


class TestSearch:
    place = (15.0, 49.5, 15.1, 49.8)

    def test_by_place_and_half_open_time(self, folder):
        archive = mount(folder, GOOD, {**GOOD, "index": "two", "time": "2020-07-01T00:00:00Z"})
        times = [scene.properties["system:time_start"] for scene in archive.scenes.values()]

        def found(start, end, place=self.place):
            return [scene.index for scene in archive.search(LABELS, place, start, end)]

        assert found(times[0], times[1]) == ["one"]
        assert found(times[0], times[1] + 1) == ["one", "two"]
        assert found(times[0], times[1] + 1, (20.0, 40.0, 21.0, 41.0)) == []

    def test_in_a_combined_archive_the_mounted_scenes_win_where_they_are(self, folder):
        mounted = mount(folder, GOOD)
        (folder / "other").mkdir()
        write_tiff(folder / "other" / "label.tif", np.ones((5, 6), np.uint8), left=600_000)
        write_tiff(folder / "other" / "here.tif", np.ones((5, 6), np.uint8))
        primary = mount(
            folder / "other",
            {**GOOD, "index": "elsewhere", "file": "label.tif"},
            {**GOOD, "index": "hidden", "file": "here.tif"},
        )
        combined = CombinedArchive(primary, mounted)
        assert combined.collections == (LABELS,)

        def found(place):
            return [scene.index for scene in combined.search(LABELS, place, 0, 2**60)]

        assert found(self.place) == ["one"]
        assert found((16.3, 49.5, 16.5, 49.8)) == ["elsewhere"]
        assert combined.get(f"{LABELS}/hidden").index == "hidden"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown key ['colour']"),
        ({"time": None}, "no time"),
        ({"time": "yesterday"}, "time 'yesterday'; write it like"),
        ({"index": "../../etc"}, "is no asset id"),
        ({"collection": "a//b"}, "is no asset id"),
        ({"file": "../label.tif"}, "lies outside the folder"),
        ({"file": "/etc/passwd"}, "lies outside the folder"),
        ({"file": "none.tif"}, "there is no file"),
        ({"file": 7}, "neither a path nor an object"),
        ({"file": "empty"}, "has no GeoTIFF"),
        ({"file": "text.tif"}, "is no raster"),
        ({"file": "rotated.tif"}, "rotated or not georeferenced"),
        ({"file": "no_crs.tif"}, "no CRS with an EPSG code"),
        ({"file": "unnamed.tif"}, "have no descriptions; name them in 'bands'"),
        ({"file": "complex.tif", "bands": ["a"]}, "pixels of type ['complex64']"),
        ({"file": {"a": "label.tif", "b": "zone_34.tif"}}, "in 2 CRS"),
        ({"file": {"a": "label.tif", "b": "far.tif"}}, "do not lie over each other"),
        ({"bands": ["a", "b"]}, "2 names for the 1 bands"),
        ({"bands": ["a", "a"]}, "named twice"),
        ({"bands": "label"}, "is no list of names"),
        ({"nodata": "none"}, "nodata 'none' is no number"),
        ({"properties": [1]}, "is no object"),
        ({"collection": "COPERNICUS/S2_HARMONIZED"}, "needs the properties CLOUDY_PIXEL"),
        ({"collection": "COPERNICUS/S1_GRD"}, "needs the properties instrumentMode"),
    ],
)
def test_a_bad_entry_is_refused_in_one_line(folder, change, message):
    pixels = np.ones((3, 3), np.uint8)
    (folder / "empty").mkdir()
    (folder / "text.tif").write_text("no raster")
    write_tiff(folder / "no_crs.tif", pixels, epsg=None)
    write_tiff(folder / "unnamed.tif", pixels, names=())
    write_tiff(folder / "zone_34.tif", pixels, epsg=32634)
    write_tiff(folder / "far.tif", pixels, left=700_000)
    write_tiff(folder / "complex.tif", pixels.astype(np.complex64))
    write_tiff(
        folder / "rotated.tif",
        pixels,
        transform=rasterio.Affine(10, 1, 5e5, 1, -10, 5e6),
    )
    with pytest.raises(PipelineError) as refused:
        mount(folder, GOOD | {"index": "good"}, {**GOOD, **change})
    assert message in str(refused.value)
    assert "scene 2" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[]", 'must be an object with a list "scenes"'),
        ('{"scenes": []}', "describes no scene"),
        ('{"scenes": [7]}', "is no description"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path, text, message):
    (tmp_path / "scenes.json").write_text(text)
    with pytest.raises(PipelineError, match=message):
        MountedArchive(tmp_path)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="no manifest; describe its scenes in scenes.json"):
        MountedArchive(tmp_path)


def test_the_same_id_twice_is_refused(folder):
    with pytest.raises(PipelineError, match="is there twice"):
        mount(folder, GOOD, GOOD)
