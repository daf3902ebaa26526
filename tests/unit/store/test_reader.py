import numpy as np
import pytest
import xarray as xr
import zarr

from pipeline.errors import PipelineError
from pipeline.store.create import create_store
from pipeline.store.reader import as_cube, open_encoded, open_store, sample_grid
from pipeline.store.shards import write_shard
from tests.small_dataset import make_location


@pytest.fixture
def pixels(shard_pixels):
    return shard_pixels(0, 2)


@pytest.fixture
def dataset(tmp_path, small_settings, pixels):
    create_store(tmp_path / "nol.zarr", small_settings, 4)
    write_shard(tmp_path / "nol.zarr", 0, pixels)
    return open_store(tmp_path / "nol.zarr")


def test_backscatter_is_decoded_and_labels_stay_ids(dataset, pixels):
    assert dataset.s1.dtype == np.float32 and dataset.label.dtype == np.uint8
    np.testing.assert_allclose(dataset.s1[2, 1], pixels[2, 1].s1 * 0.01, rtol=1e-6)
    np.testing.assert_array_equal(dataset.label[2, 1], pixels[2, 1].label)
    assert dataset.s1[1].isnull().all() and (dataset.label[1] == 255).all()


def test_missing_and_foreign_stores_are_refused(tmp_path):
    with pytest.raises(PipelineError, match="no Zarr store"):
        open_store(tmp_path / "nothing.zarr")
    xr.Dataset({"a": ("x", [1])}).to_zarr(tmp_path / "foreign.zarr", consolidated=False)
    with pytest.raises(PipelineError, match="not a store of ours"):
        open_store(tmp_path / "foreign.zarr")


def test_nearest_cube_repeats_native_pixels_exactly(dataset, pixels):
    cube = as_cube(dataset)
    assert cube.shape == (4, 4, 13, 12, 12) and cube.dtype == np.uint16
    native = pixels[2, 3]
    values = cube[2, 3]
    np.testing.assert_array_equal(values.sel(band_s2="B8"), native.s2_10m[3])
    np.testing.assert_array_equal(
        values.sel(band_s2="B8A"), native.s2_20m[3].repeat(2, 0).repeat(2, 1)
    )
    np.testing.assert_array_equal(
        values.sel(band_s2="B10"), native.s2_60m[2].repeat(6, 0).repeat(6, 1)
    )


@pytest.mark.parametrize(
    "key",
    [
        (2, 1, 4, 3, 5),
        (slice(None), 1, slice(2, 9, 3), slice(1, 7), 5),
        ([0, 2], [3, 1], [12, 0], slice(None, None, -2), [4, 4]),
        (np.array([2, 0]), slice(None), -1, -1, slice(0, 0)),
    ],
)
def test_the_lazy_cube_indexes_like_its_values(dataset, key):
    cube = as_cube(dataset)
    loaded = as_cube(dataset).load()
    names = dict(zip(cube.dims, key, strict=True))
    xr.testing.assert_identical(cube.isel(names).load(), loaded.isel(names))


def test_nothing_is_read_before_it_is_asked_for(dataset, tmp_path):
    cube = as_cube(dataset).isel(sample=0, time=0)
    for file in (tmp_path / "nol.zarr" / "s2_20m" / "c").rglob("0"):
        if file.is_file():
            file.unlink()
    assert (cube.sel(band_s2="B2") > 0).all()
    assert (cube.sel(band_s2="B5") == 0).all()


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_interpolated_cubes_keep_10_m_bands_and_nodata(dataset, pixels, method):
    cube = as_cube(dataset, method)
    assert cube.dtype == np.float32
    np.testing.assert_array_equal(cube[0, 0].sel(band_s2="B3"), pixels[0, 0].s2_10m[1])
    assert not np.array_equal(cube[0, 0].sel(band_s2="B5"), as_cube(dataset)[0, 0, 4])
    assert (cube[1] == 0).all()


@pytest.fixture
def finished(tmp_path, dataset):
    """The same store; samples 0 and 2 count."""
    zarr.open_array(tmp_path / "nol.zarr/valid", mode="r+")[[0, 2]] = True
    return tmp_path / "nol.zarr"


def test_a_lost_shard_is_told_when_a_valid_sample_is_read_and_nodata_else(finished):
    store = open_store(finished)
    (finished / "s1/c/0/0/0/0/0").unlink()
    assert store["label"][0].values.max() < 9 and store["s1"][1].isnull().all()
    for ask in (
        lambda: store["s1"][2, 1].values,
        lambda: store.isel(sample=2).load(),
        lambda: store["s1"].isel(sample=[1, 2], y=3).values,
        lambda: open_encoded(finished)["s1"][:].values,
    ):
        with pytest.raises(PipelineError, match=r"s1/c/0/0/0/0/0 is missing or empty; copy the"):
            ask()
    (finished / "s2_60m/c/0/0/0/0/0").unlink()
    with pytest.raises(PipelineError, match="s2_60m/c/0/0/0/0/0 is missing"):
        as_cube(store)[0, 0].values  # noqa: B018
    (finished / "valid/c/0").write_bytes(b"rubbish")
    with pytest.raises(PipelineError, match="the array 'valid' in .*nol.zarr is damaged"):
        open_store(finished)["s1"][2, 1].values  # noqa: B018


@pytest.mark.parametrize("array", ["s2_20m", "valid", "band_20m", "x"])
@pytest.mark.parametrize("content", [b"rubbish", b""])
def test_damaged_arrays_are_one_line(finished, array, content):
    (file,) = (path for path in (finished / array / "c").rglob("*") if path.is_file())
    file.write_bytes(content)
    with pytest.raises(PipelineError, match=f"nol.zarr.*(damaged|{array}/c/0.* is .*empty)"):
        open_store(finished)[array].load()


def test_a_store_with_its_own_cube_gives_that(dataset):
    own = xr.Dataset({"s2": (("sample", "band_s2", "y", "x"), np.ones((1, 13, 2, 2), np.uint16))})
    assert as_cube(own).identical(own.s2)


def test_pixel_centres_follow_from_origin_and_offsets(tmp_path, dataset):
    grid = make_location(2).grid
    for name, value in (("epsg", grid.epsg), ("left", grid.left), ("top", grid.top)):
        zarr.open_array(tmp_path / "nol.zarr" / name, mode="r+")[2] = value
    store = open_store(tmp_path / "nol.zarr")
    assert sample_grid(store, 2) == grid
    for suffix, factor in (("", 1), ("_20m", 2), ("_60m", 6)):
        x, y = grid.coarsened(factor).pixel_centres()
        np.testing.assert_array_equal(store.left[2] + store[f"x{suffix}"], x)
        np.testing.assert_array_equal(store.top[2] + store[f"y{suffix}"], y)
