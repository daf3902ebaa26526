"""Expert tiles as published: grid of any origin, codes to ids, and files that are no tile."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.dynamic_world.expert_tile import (
    UnusableTile,
    codes_from_label,
    label_from_codes,
    read_codes,
    read_tile_grid,
)
from pipeline.legend import load_legend

SIZE = 40


def write_tile(path, codes=None, crs="EPSG:32633", transform=None, dtype="uint8", bands=1):
    codes = np.ones((SIZE, SIZE)) if codes is None else codes
    transform = transform or Affine(10, 0, 500_003.5, 0, -10, 5_300_007.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=codes.shape[0],
        width=codes.shape[1],
        count=bands,
        dtype=dtype,
        crs=crs,
        transform=transform,
    ) as file:
        for band in range(1, bands + 1):
            file.write(codes.astype(dtype), band)
    return path


def test_codes_become_ids_from_zero_and_255():
    codes = np.arange(11, dtype=np.uint8)
    assert label_from_codes(codes).tolist() == [255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 255]


def test_first_code_is_water_and_last_is_snow():
    names = [row.flag_meaning for row in load_legend("dynamic_world")]
    assert names[label_from_codes(np.array([1], np.uint8))[0]] == "water"
    assert names[label_from_codes(np.array([9], np.uint8))[0]] == "snow_and_ice"


def test_ids_and_codes_are_inverse():
    label = np.array([[0, 8, 255, 4]], np.uint8)
    cloud = np.array([[False, False, False, True]])
    codes = codes_from_label(label, cloud)
    assert codes.tolist() == [[1, 9, 0, 10]]
    assert label_from_codes(codes).tolist() == [[0, 8, 255, 255]]


def test_the_grid_is_that_of_the_file_off_any_lattice(tmp_path):
    grid = read_tile_grid(write_tile(tmp_path / "a.tif"), SIZE)
    assert (grid.epsg, grid.left, grid.top) == (32633, 500_003.5, 5_300_007.25)
    assert grid.shape == (SIZE, SIZE)


@pytest.mark.parametrize("epsg", [32601, 32660, 32701, 32760])
def test_the_first_and_last_zones_are_zones(tmp_path, epsg):
    assert read_tile_grid(write_tile(tmp_path / "a.tif", crs=f"EPSG:{epsg}"), SIZE).epsg == epsg


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crs": "EPSG:4326"}, "EPSG:4326, not in a UTM zone"),
        ({"crs": "EPSG:32661"}, "EPSG:32661, not in a UTM zone"),  # the poles' own projection
        ({"crs": "EPSG:32761"}, "EPSG:32761, not in a UTM zone"),
        ({"crs": None}, "no CRS"),
        ({"transform": Affine(20, 0, 0, 0, -20, 0)}, "20.0 x 20.0 m"),
        ({"transform": Affine(10, 0, 0, 0, 10, 0)}, "north-up"),
        ({"codes": np.ones((SIZE, SIZE + 1))}, f"{SIZE} x {SIZE + 1} pixels"),
        ({"dtype": "float32"}, "float32"),
    ],
)
def test_files_with_another_grid_say_what_they_have(tmp_path, change, words):
    path = write_tile(tmp_path / "a.tif", **change)
    with pytest.raises(UnusableTile, match=words):
        read_tile_grid(path, SIZE)


def test_of_several_bands_the_second_holds_the_codes(tmp_path):
    path = write_tile(tmp_path / "a.tif", bands=3)
    with rasterio.open(path, "r+") as file:
        file.write(np.full((SIZE, SIZE), 5, np.uint8), 2)
    assert read_tile_grid(path, SIZE).shape == (SIZE, SIZE)
    assert (read_codes(path) == 5).all()


def test_foreign_codes_are_refused(tmp_path):
    codes = np.ones((SIZE, SIZE))
    codes[3, 4] = 11
    with pytest.raises(UnusableTile, match="code 11"):
        read_codes(write_tile(tmp_path / "a.tif", codes))


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    path = write_tile(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 9, (SIZE, SIZE)))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(UnusableTile, match="cannot be read"):
        read_codes(path)
