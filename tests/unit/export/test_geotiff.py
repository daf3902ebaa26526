"""A GeoTIFF is the sample: its pixels, its place, its meaning; and it is a cloud-optimised one."""

import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import zarr
from rasterio.enums import ColorInterp

from pipeline.errors import PipelineError
from pipeline.export.choice import Choice, choose
from pipeline.export.cog import BLOCK_PIXELS, Raster, write_cog
from pipeline.export.geotiff import GeotiffExport, export_geotiffs
from pipeline.export.store_group import open_groups
from pipeline.importers.eurosat import eurosat_release
from pipeline.importers.tile_import import import_tiles
from pipeline.legend import load_legend
from pipeline.sensors import cube_bands
from tests.placed_store import grid_of, pixels_of
from tests.unit.importers.releases import geotiff


@pytest.fixture
def export(nol, groups, tmp_path):
    """A function that exports ids and returns the folder."""

    def run(*ids, s2="cube", workers=1):
        order = GeotiffExport(nol, tmp_path / s2, s2)
        export_geotiffs(order, groups, choose(groups, Choice(ids)), workers)
        return tmp_path / s2

    return run


def test_the_cube_holds_every_band_where_it_belongs(export):
    pixels = pixels_of(3, 2)
    with rasterio.open(export("0003") / "0003" / "0003_t2_s2.tif") as file:
        cube = file.read()
        assert file.descriptions == tuple(band.name for band in cube_bands("sentinel-2"))
        assert file.nodata == 0 and set(file.scales) == {1e-4} and set(file.offsets) == {0.0}
        colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        shown = [file.descriptions[file.colorinterp.index(colour)] for colour in colours]
        assert shown == ["B4", "B3", "B2"]
        assert file.tags(8, ns="IMAGERY")["CENTRAL_WAVELENGTH_UM"] == "0.8328"
    np.testing.assert_array_equal(cube[[1, 2, 3, 7]], pixels.s2_10m)
    np.testing.assert_array_equal(cube[[4, 5, 6, 8, 11, 12]][:, ::2, ::2], pixels.s2_20m)
    np.testing.assert_array_equal(cube[[0, 9, 10]][:, 5::6, 5::6], pixels.s2_60m)


def test_native_files_lie_on_the_same_ground(export):
    folder = export("0002", s2="native") / "0002"
    pixels, grid = pixels_of(2, 0), grid_of(2)
    for array, step in (("s2_10m", 10), ("s2_20m", 20), ("s2_60m", 60)):
        with rasterio.open(folder / f"0002_t0_{array}.tif") as file:
            np.testing.assert_array_equal(file.read(), getattr(pixels, array))
            assert file.crs.to_epsg() == grid.epsg and file.res == (step, step)
            assert tuple(file.bounds) == grid.bounds
    assert not list(folder.glob("*_s2.tif"))


def test_backscatter_is_in_db_with_nan_where_there_is_none(export):
    with rasterio.open(export("0000") / "0000" / "0000_t1_s1.tif") as file:
        in_db = file.read()
        assert file.descriptions == ("VV", "VH") and file.units == ("dB", "dB")
        assert np.isnan(file.nodata) and np.isnan(in_db[:, 0, 0]).all()
        assert not np.isfinite(file.read(1, masked=True)[0, 0])
        assert file.transform == grid_of(0).transform
    np.testing.assert_allclose(in_db[:, 1:], pixels_of(0, 1).s1[:, 1:] / 100, rtol=1e-6)


def test_a_map_has_its_colours_and_names(export, tmp_path):
    path = export("0000") / "0000" / "0000_t3_label.tif"
    legend = load_legend("dynamic_world")
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), pixels_of(0, 3).label)
        colours, names = file.colormap(1), file.tags(1)
        assert file.nodata == 255
    assert {k: colours[k][:3] for k in range(9)} == {row.id: row.rgb for row in legend}
    assert names["CLASS_6"] == "Built"
    # GDAL's own view of the class names, which rasterio does not show
    rasterio.shutil.copy(path, tmp_path / "map.vrt", driver="VRT")
    categories = ElementTree.parse(tmp_path / "map.vrt").findall(".//Category")
    assert [category.text for category in categories] == [row.name for row in legend]
    entries = ElementTree.parse(path.with_suffix(".qml")).findall(".//paletteEntry")
    drawn = [(int(e.get("value")), e.get("color"), e.get("label")) for e in entries]
    assert drawn == [(row.id, row.color.lower(), row.name) for row in legend]


def test_ids_that_differ_in_case_alone_have_files_of_their_own(nol, tmp_path):
    store = shutil.copytree(nol, tmp_path / "nol.zarr")
    ids = zarr.open_array(store / "id", mode="r+")
    ids[0], ids[2] = "Ab", "aB"
    groups = open_groups(store)
    order = GeotiffExport(store, tmp_path / "files", "cube")
    export_geotiffs(order, groups, choose(groups, Choice(("Ab", "aB"))), 1)
    named = {}
    for folder in (path for path in order.output.iterdir() if path.is_dir()):
        with rasterio.open(folder / f"{folder.name}_t0_s2.tif") as file:
            named[file.tags()["SAMPLE"]] = folder.name.casefold()
            assert file.transform == grid_of(0 if file.tags()["SAMPLE"] == "Ab" else 2).transform
    assert named["Ab"] == "ab" and named["aB"].startswith("ab_")


def test_a_file_says_what_it_is(export):
    with rasterio.open(export("0002") / "0002" / "0002_t1_s2.tif") as file:
        tags = file.tags()
    assert tags["SAMPLE"] == "0002" and tags["S2_ID"] == "s2_2_1"
    assert tags["SIMULATED"] == "yes, no observation"
    assert tags["TIFFTAG_DATETIME"] == "2021:01:10 00:00:00"
    assert "CC-BY-4.0" in tags["LICENCES"]


def test_the_layout_is_cloud_optimised(tmp_path, export):
    with rasterio.open(export("0000") / "0000" / "0000_t0_label.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    values = np.arange(264 * 264, dtype=np.uint16).reshape(1, 264, 264)
    write_cog(
        tmp_path / "patch.tif", Raster(values, ("B8",), "EPSG:32633", grid_of(0).transform, 0)
    )
    with rasterio.open(tmp_path / "patch.tif") as file:
        assert file.block_shapes == [(BLOCK_PIXELS, BLOCK_PIXELS)]
        assert file.overviews(1) == [2, 4]
        np.testing.assert_array_equal(file.read(), values)
        half = file.read(1, out_shape=(132, 132))
    # The pixel without data counts for nothing in the mean.
    assert half[0, 0] == round((1 + 264 + 265) / 3)
    assert (tmp_path / "patch.tif").read_bytes()[:400].find(b"LAYOUT=IFDS_BEFORE_DATA") > 0


def test_an_interrupted_export_writes_only_what_is_missing(export):
    folder = export("0000", "0001")
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.tif")}
    assert len(files) == 2 * 4 * 3
    lost = folder / "0001" / "0001_t2_label.tif"
    content = lost.read_bytes()
    lost.unlink()
    (folder / "0001" / ".x.tif.partial").write_bytes(b"half")
    export("0000", "0001", workers=2)
    changed = [path for path, time in files.items() if path.stat().st_mtime_ns != time]
    assert changed == [lost] and lost.read_bytes() == content
    assert not list(folder.rglob("*.partial"))


def test_a_folder_takes_one_dataset_in_one_form(export, nol, groups, tmp_path):
    folder = export("0000")
    with pytest.raises(PipelineError, match=r"another export \(s2 'cube', not 'native'\)"):
        export_geotiffs(GeotiffExport(nol, folder, "native"), groups, choose(groups, Choice()))


def test_tiles_of_each_group_go_into_its_folder(tiles, tmp_path):
    groups = open_groups(tiles)
    chosen = choose(groups, Choice(("train1", "test1")))
    assert export_geotiffs(GeotiffExport(tiles, tmp_path), groups, chosen) == 6
    with rasterio.open(tmp_path / "test" / "test1" / "test1_s1.tif") as file:
        assert file.bounds.left == 501_000 and file.crs.to_epsg() == 32632


def test_a_scene_with_a_class_names_it_and_lies_where_its_source_did(tmp_path):
    patch = tmp_path / "EuroSAT" / "SeaLake" / "SeaLake_7.tif"
    patch.parent.mkdir(parents=True)
    values = np.arange(13 * 64 * 64, dtype=np.uint16).reshape(13, 64, 64)
    patch.write_bytes(geotiff(values, 32633, (412_345.6, 5_312_345.6), 10.02, down=-0.99))
    store = tmp_path / "eurosat.zarr"
    import_tiles([tmp_path / "EuroSAT"], store, eurosat_release(harmonise=False), 4)
    groups = open_groups(store)
    export_geotiffs(GeotiffExport(store, tmp_path / "out"), groups, choose(groups, Choice()))
    (path,) = (tmp_path / "out").rglob("SeaLake_7_s2.tif")
    with rasterio.open(path) as mine, rasterio.open(patch) as source:
        assert mine.tags()["SCENE_CLASS"] == "SeaLake"
        assert (mine.crs, mine.transform) == (source.crs, source.transform)
        np.testing.assert_array_equal(mine.read()[8], source.read()[12])  # B8A comes last there


def test_a_sample_without_a_place_is_refused(tiles, tmp_path):
    lost = shutil.copytree(tiles, tmp_path / "lost.zarr")
    zarr.open_array(lost / "train" / "epsg", mode="r+")[1] = 0
    groups = open_groups(lost)
    with pytest.raises(PipelineError, match="train1 .* has no place on Earth"):
        export_geotiffs(
            GeotiffExport(lost, tmp_path / "out"), groups, choose(groups, Choice(("train1",)))
        )
