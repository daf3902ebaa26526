"""Maps lie where the pixels lie, whatever the windows; no data stays no data."""

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from pipeline.errors import PipelineError
from tests.training.learnable_tiles import EMPTY, SIZE, TEST, small_plan, tile
from training import predict
from training.downstream.tile_batch import TileInputs
from training.downstream.trained_network import read_network, write_network
from training.evaluate import evaluate

CRS = "EPSG:32632"
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_400_000)


@pytest.fixture(scope="module")
def networks(tile_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for encoder in ("random_s1", "random_s2"):
        evaluate(small_plan(tile_store, encoder, epochs=1), folder / f"{encoder[-2:]}.safetensors")
    return folder


def write_scene(path, bands, names, transform=TRANSFORM, crs=CRS):
    profile = {
        "driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2],
        "dtype": bands.dtype.name, "crs": crs, "transform": transform,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(bands)
        file.descriptions = names
    return path


S2_NAMES = [
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
]  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene of several tiles, larger than a window, without data in one corner."""
    folder = tmp_path_factory.mktemp("scene")
    parts = [[tile("train", 3 * row + column) for column in range(3)] for row in range(3)]
    s1, s2 = (
        np.concatenate([np.concatenate([part[name] for part in row], 2) for row in parts], 1)
        for name in ("s1", "s2")
    )
    s2[:, :5, :7] = 0
    decibel = s1.astype(np.float32) / 100
    return (
        write_scene(folder / "s1.tif", decibel, ["VV", "VH"]),
        write_scene(folder / "s2.tif", s2, S2_NAMES),
        s2,
    )


def run(*arguments):
    predict.main([*map(str, arguments), "--device", "cpu"])


def read(path):
    with rasterio.open(path) as file:
        return file.read(1), file.profile, file.tags(), file.colormap(1)


def test_a_tile_is_mapped_where_it_lies(tile_store, networks, tmp_path):
    output = tmp_path / "map.tif"
    run(
        "--network",
        networks / "s2.safetensors",
        "--store",
        tile_store,
        "--sample",
        3,
        "--output",
        output,
    )
    found, profile, tags, colors = read(output)
    assert profile["crs"].to_epsg() == 32632
    assert profile["transform"] == Affine(10, 0, 503_000, 0, -10, 5_400_000)
    network, description = read_network(networks / "s2.safetensors")
    image = TileInputs(description.contract)(
        {"s2": torch.from_numpy(tile("test", 3)["s2"][None])}, (SIZE, SIZE)
    )
    with torch.no_grad():
        expected = network(image).argmax(1)[0].numpy()
    np.testing.assert_array_equal(found, expected)
    assert tags["classes"].startswith("0:water 1:trees") and colors[0] == (0x41, 0x9B, 0xDF, 255)
    assert tags["trained_on_simulated_data"] == "True"
    with rasterio.open(output) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_all_tiles_of_a_group_have_a_map_each(tile_store, networks, tmp_path):
    network = ("--network", networks / "s1.safetensors")
    run(*network, "--store", tile_store, "--output", tmp_path / "maps")
    files = sorted((tmp_path / "maps").iterdir())
    kept = [sample for sample in range(TEST) if sample != EMPTY]
    assert [file.name for file in files] == [f"test_{sample:06d}.tif" for sample in kept]
    run(*network, "--store", tile_store, "--sample", kept[-1], "--output", tmp_path / "one.tif")
    for alone, among in zip(read(tmp_path / "one.tif"), read(files[-1]), strict=True):
        assert np.array_equal(alone, among)


def test_a_pair_of_scenes_is_mapped_on_the_grid_of_sentinel_2(networks, scene, tmp_path):
    s1, s2, cube = scene
    output = tmp_path / "map.tif"
    run(
        *("--network", networks / "s1.safetensors", "--network", networks / "s2.safetensors"),
        *("--s1", s1, "--s2", s2, "--window", 64, "--overlap", 16, "--output", output),
    )
    found, profile, _, _ = read(output)
    assert found.shape == cube.shape[1:] and profile["transform"] == TRANSFORM
    np.testing.assert_array_equal(found == 255, (cube == 0).any(0))


def test_one_file_a_band_is_the_same_scene(networks, scene, tmp_path):
    _, s2, cube = scene
    files = [
        write_scene(tmp_path / f"T32_{name}_10m.tif", cube[[band]], [None])
        for band, name in enumerate(S2_NAMES)
    ]
    network = ("--network", networks / "s2.safetensors", "--window", 64, "--overlap", 8)
    run(*network, "--s2", s2, "--output", tmp_path / "together.tif")
    run(*network, "--s2", *files, "--output", tmp_path / "apart.tif")
    np.testing.assert_array_equal(
        read(tmp_path / "together.tif")[0], read(tmp_path / "apart.tif")[0]
    )


def test_a_coarser_band_is_warped_onto_the_grid(networks, scene, tmp_path):
    _, _, cube = scene
    coarse = write_scene(
        tmp_path / "x_B01.tif", cube[:1, ::2, ::2], ["B01"], TRANSFORM @ Affine.scale(2)
    )
    fine = write_scene(tmp_path / "rest.tif", cube[1:], S2_NAMES[1:])
    output = tmp_path / "map.tif"
    run("--network", networks / "s2.safetensors", "--s2", coarse, fine, "--output", output)
    assert read(output)[0].shape == cube.shape[1:]


def test_mistakes_end_in_one_line(tile_store, networks, scene, tmp_path):
    s1, s2, cube = scene
    network, output = ("--network", networks / "s2.safetensors"), ("--output", tmp_path / "m.tif")
    with pytest.raises(PipelineError, match="give either --store"):
        run(*network, *output)
    with pytest.raises(PipelineError, match="no valid tile 2"):
        run(*network, "--store", tile_store, "--sample", EMPTY, *output)
    with pytest.raises(PipelineError, match="takes s2; give its scene"):
        run(*network, "--s1", s1, *output)
    with pytest.raises(PipelineError, match="the scene lacks B1, B9"):
        few = [n for n in S2_NAMES if n not in ("B01", "B09")]
        run(*network, "--s2", write_scene(tmp_path / "few.tif", cube[: len(few)], few), *output)
    broken = tmp_path / "broken.tif"
    broken.write_bytes(s2.read_bytes()[:100])
    with pytest.raises(PipelineError, match="cannot be read"):
        run(*network, "--s2", broken, *output)
    (tmp_path / "foreign.safetensors").write_bytes(b"no weights")
    with pytest.raises(PipelineError, match="is damaged"):
        run("--network", tmp_path / "foreign.safetensors", "--s2", s2, *output)
    assert not (tmp_path / "m.tif").exists() and not list(tmp_path.glob(".m.tif*"))


def test_a_network_that_gives_no_numbers_maps_nothing(tile_store, networks, tmp_path):
    network, description = read_network(networks / "s2.safetensors")
    network.segmentation_head[0].bias.data[:] = float("nan")
    write_network(tmp_path / "broken.safetensors", network, description)
    output = ("--output", tmp_path / "m.tif")
    with pytest.raises(PipelineError, match="no numbers from row 0, column 0 on; check the unit"):
        run(
            "--network",
            tmp_path / "broken.safetensors",
            "--store",
            tile_store,
            "--sample",
            3,
            *output,
        )
    assert [file.name for file in tmp_path.iterdir()] == ["broken.safetensors"]
