"""Where stored pixels lie: scenes whose values are their own pixel numbers, through a whole build.

In the scene's own zone every stored pixel is the one whose centre is the stored centre, exactly.
From a neighbouring zone it is the one that holds the stored centre, to within a centimetre.
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from pipeline.grid import PatchGrid, crs_transformer, patch_grid
from pipeline.sensors import bands_of
from tests.workflow.conftest import Workflow

PIXELS, MARGIN = 96, 48
DATES = ("2020-03-01", "2020-06-01", "2020-09-01", "2020-12-01")
SIZES = {"s2_10m": 10, "s2_20m": 20, "s2_60m": 60}
AXES = ("column", "row")
LABELS = 251
"""Labels count columns modulo this number in the first and third season, rows in the others."""


@dataclass(frozen=True)
class Site:
    """A patch and the zone in which the archive has the scene over it."""

    name: str
    lon: float
    lat: float
    epsg: int
    scene_epsg: int

    @property
    def grid(self):
        return patch_grid(self.lon, self.lat, PIXELS, epsg=self.epsg)

    @property
    def scene(self):
        return patch_grid(self.lon, self.lat, PIXELS + 2 * MARGIN, epsg=self.scene_epsg)


NATIVE = [
    Site("north", 14.42, 50.08, 32633, 32633),
    Site("south", 18.55, -33.91, 32734, 32734),
]
ACROSS = [
    Site("west_of_its_scene", 12.02, 48.1, 32632, 32633),
    Site("east_of_its_scene", 17.98, 48.6, 32634, 32633),
]


def write_numbers(path, grid, axis, dtype, scale=1.0, modulus=None):
    """A GeoTIFF of the numbers of its columns or rows, from 1."""
    rows, columns = np.indices(grid.shape)
    numbers = (columns if axis == "column" else rows) + 1
    numbers = numbers % modulus if modulus else numbers * scale
    profile = {"driver": "GTiff", "count": 1, "height": grid.height, "width": grid.width}
    profile |= {"crs": grid.crs, "transform": grid.transform, "dtype": dtype}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(numbers.astype(dtype), 1)


def write_scenes(folder, site):
    """Files of a site, and its entries of the manifest: Sentinel-2, Sentinel-1 and label."""
    optical = {}
    for array, size in SIZES.items():
        for axis in AXES:
            name = f"{site.name}_{array}_{axis}.tif"
            write_numbers(folder / name, site.scene.coarsened(size // 10), axis, "uint16")
            bands = bands_of(array)[AXES.index(axis) :: 2]
            optical |= {band.name: name for band in bands}
    for axis in AXES:
        write_numbers(folder / f"{site.name}_s1_{axis}.tif", site.scene, axis, "float32", 0.01)
        label = folder / f"{site.name}_label_{axis}.tif"
        write_numbers(label, site.scene, axis, "uint8", modulus=LABELS)
    radar = {"VV": f"{site.name}_s1_column.tif", "VH": f"{site.name}_s1_row.tif"}
    zone = f"{site.scene_epsg % 100}{'U' if site.lat > 0 else 'H'}XX"
    for season, date in enumerate(DATES):
        entry = {"index": f"{site.name}_{season}", "time": f"{date}T10:00:00Z"}
        yield entry | {
            "collection": "COPERNICUS/S2_HARMONIZED",
            "file": optical,
            "properties": {"CLOUDY_PIXEL_PERCENTAGE": 0.0, "MGRS_TILE": zone},
        }
        yield entry | {
            "collection": "COPERNICUS/S1_GRD",
            "file": radar,
            "properties": {
                "instrumentMode": "IW",
                "transmitterReceiverPolarisation": ["VV", "VH"],
            },
        }
        label = f"{site.name}_label_{AXES[season % 2]}.tif"
        yield entry | {
            "collection": "GOOGLE/DYNAMICWORLD/V1",
            "file": {"label": label},
        }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A build of all sites from a table of points that names their zones."""
    directory = tmp_path_factory.mktemp("alignment")
    entries = [entry for site in NATIVE + ACROSS for entry in write_scenes(directory, site)]
    (directory / "scenes.json").write_text(json.dumps({"scenes": entries}))
    rows = [
        {"location_id": site.name, "lon": site.lon, "lat": site.lat, "epsg": site.epsg}
        | {f"date_{season}": date for season, date in enumerate(DATES)}
        for site in NATIVE + ACROSS
    ]
    pd.DataFrame(rows).to_csv(directory / "places.csv", index=False)
    table = {"sampler": "points", "table": str(directory / "places.csv"), "count": None}
    workflow = Workflow(
        directory,
        {
            "name": "alignment",
            "grid": {"pixels": PIXELS},
            "locations": table,
            "simulator": {"scenes": str(directory)},
        },
    )
    workflow.build()
    return xr.open_zarr(workflow.store, mask_and_scale=False).load()


def stored_sample(store, site):
    sample = store.isel(sample=store["id"].values.tolist().index(site.name))
    assert bool(sample.valid), site.name
    return sample


def stored_centres(sample, suffix=""):
    """Easting of each column and northing of each row, from the store alone."""
    x = float(sample.left) + sample[f"x{suffix}"].values
    y = float(sample.top) + sample[f"y{suffix}"].values
    return x, y


def served_numbers(sample, site):
    """Name, pixel size, axis, season and pixel numbers from 0 of every stored layer."""
    for array, size in SIZES.items():
        for band in bands_of(array):
            axis = AXES[band.position % 2]
            for season, values in enumerate(sample[array].values[:, band.position].astype(int)):
                yield f"{array} {band.name}", size, axis, season, values - 1
    for number, axis in enumerate(AXES):
        for season, values in enumerate(sample["s1"].values[:, number].astype(int)):
            yield "s1", 10, axis, season, values - 1


@pytest.mark.parametrize("site", NATIVE, ids=lambda site: site.name)
def test_in_the_native_zone_every_stored_centre_is_the_one_that_was_served(store, site):
    sample = stored_sample(store, site)
    assert site.grid == PatchGrid(
        int(sample.epsg), float(sample.left), float(sample.top), PIXELS, PIXELS
    )
    for name, size, axis, season, numbers in served_numbers(sample, site):
        x, y = stored_centres(sample, "" if size == 10 else f"_{size}m")
        served_x, served_y = site.scene.coarsened(size // 10).pixel_centres()
        served, stored = (served_x, x[None, :]) if axis == "column" else (served_y, y[:, None])
        expected = np.broadcast_to(stored, numbers.shape)
        assert np.array_equal(served[numbers], expected), (name, season)


@pytest.mark.parametrize("site", ACROSS, ids=lambda site: site.name)
def test_across_zones_the_pixel_holds_the_stored_centre_within_a_centimetre(store, site):
    sample = stored_sample(store, site)
    for name, size, axis, season, numbers in served_numbers(sample, site):
        x, y = asked_centres(sample, size)
        moved = crs_transformer(site.epsg, site.scene_epsg).transform(*np.meshgrid(x, y))
        scene = site.scene
        along = moved[0] - scene.left if axis == "column" else scene.top - moved[1]
        beyond = np.maximum(numbers * size - along, along - (numbers + 1) * size)
        assert beyond.max() < 0.01, (name, season)


def asked_centres(sample, size):
    """Centres that were asked for: of coarse pixels, the 10 m one to the lower right."""
    x, y = stored_centres(sample)
    middle = slice(size // 20, None, size // 10)
    return x[middle], y[middle]


@pytest.mark.parametrize("site", NATIVE, ids=lambda site: site.name)
def test_labels_lie_where_the_pixels_do(store, site):
    sample = stored_sample(store, site)
    x, y = stored_centres(sample)
    columns, rows = (x - site.scene.left) // 10 + 1, (site.scene.top - y) // 10 + 1
    for season, label in enumerate(sample["label"].values):
        numbers = columns[None, :] if season % 2 == 0 else rows[:, None]
        assert np.array_equal(label, np.broadcast_to(numbers % LABELS, label.shape))
