"""Real scenes, mounted into the archive, arrive in a `nol.zarr` value for value.

Two kinds of sites: Sentinel-2 on its own lattice, whose 20 and 60 m bands are files of their own
resolution, and sites of 13 Level-1C bands at 10 m at origins that are not even whole metres.
"""

import json
import os
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from pipeline.grid import PatchGrid
from pipeline.sensors import bands_of
from pipeline.simulator.mounted_manifest import earth_engine_band
from tests.workflow.conftest import ROOT, Workflow

SAMPLES = (ROOT / os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real")).resolve()
PIXELS = 120
OFFSET = 7
"""Where the patch begins in a file that is larger than it, pixels from its corner."""

DATES = ("2020-03-01", "2020-06-01", "2020-09-01", "2020-12-01")
COARSE = {"s2_20m": 2, "s2_60m": 6}

ON_LATTICE = {
    "S2A_MSIL2A_20170613T101031_87_48": "33UUP",
    "S2A_MSIL2A_20170617T113321_36_85": "29UPU",
    "S2A_MSIL2A_20170617T113321_4_55": "29UPU",
}
POLAR = ("VV", "VH")

AT_OWN_ORIGIN = {
    "terramind_38D_378R_2_3": "36MXB",
    "terramind_433D_629L_3_1": "18FYM",
    "terramind_609U_541L_3_0": "16UFF",
}

pytestmark = pytest.mark.skipif(
    not (SAMPLES / "MANIFEST.csv").is_file(),
    reason="needs the folder of real samples; set NOLDO_SAMPLE_DATA",
)


@dataclass
class Site:
    """Files of one place.

    `s2` and `s1` are one file of all bands or a file for each; `label` is a file.
    """

    name: str
    mgrs_tile: str
    grid: PatchGrid
    s2: str | dict[str, str]
    s1: str | dict[str, str]
    label: str


def lattice_site(name, mgrs_tile, folder):
    """BigEarthNet: 12 Level-2A bands at 10, 20 and 60 m. B10 is not among them: B9 stands in.

    Its labels are of whole scenes, so one of pixels is made up.
    """
    base = f"bigearthnet/{name}"
    (first, *_) = (SAMPLES / base / "S1").glob("*_VV.tif")
    with rasterio.open(first) as raster:
        grid = PatchGrid(raster.crs.to_epsg(), raster.transform.c, raster.transform.f, 120, 120)
        profile = raster.profile
    bands = {path.stem.rpartition("_")[2]: path for path in (SAMPLES / base / "S2").glob("*.tif")}
    files = {earth_engine_band(band): mounted(path) for band, path in bands.items()}
    label = folder / f"{name}_label.tif"
    with rasterio.open(label, "w", **profile | {"dtype": "uint8", "nodata": None}) as raster:
        raster.write(np.random.default_rng(1).integers(0, 9, (1, 120, 120), np.uint8))
    s1 = {band: mounted(first.with_name(first.name.replace("_VV", f"_{band}"))) for band in POLAR}
    return Site(name, mgrs_tile, grid, files | {"B10": files["B9"]}, s1, label.name)


def own_origin_site(name, mgrs_tile):
    """A patch of the file's own grid, some pixels away from its corner."""
    with rasterio.open(SAMPLES / name / "S2L1C.tif") as raster:
        left, top = raster.transform @ (OFFSET, OFFSET)
        grid = PatchGrid(raster.crs.to_epsg(), left, top, PIXELS, PIXELS)
    files = (f"real/{name}/{file}.tif" for file in ("S2L1C", "S1RTC", "LULC"))
    return Site(name, mgrs_tile, grid, *files)


def mounted(path):
    return f"real/{path.relative_to(SAMPLES)}"


def scenes(site):
    """Entries of the manifest: the same pixels at four times."""
    optical = {"CLOUDY_PIXEL_PERCENTAGE": 1.5, "MGRS_TILE": site.mgrs_tile}
    radar = {"instrumentMode": "IW", "transmitterReceiverPolarisation": list(POLAR)}
    for date in DATES:
        index = f"{site.name}_{date}"
        for collection, file, properties in (
            ("COPERNICUS/S2_HARMONIZED", site.s2, optical),
            ("COPERNICUS/S1_GRD", site.s1, radar),
            ("GOOGLE/DYNAMICWORLD/V1", site.label, {}),
        ):
            entry = {"collection": collection, "index": index, "file": file}
            entry |= {"time": f"{date}T10:00:00Z", "properties": properties}
            if file == site.label:
                entry["bands"] = ["label"]
            yield entry


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "real").symlink_to(SAMPLES)
    found = [lattice_site(*site, folder) for site in ON_LATTICE.items()]
    found += [own_origin_site(*site) for site in AT_OWN_ORIGIN.items()]
    manifest = {"scenes": [entry for site in found for entry in scenes(site)]}
    (folder / "scenes.json").write_text(json.dumps(manifest))
    return folder, found


@pytest.fixture(scope="module")
def store(sites, tmp_path_factory):
    """A build of all sites, from a table that says where their patches lie."""
    folder, found = sites
    directory = tmp_path_factory.mktemp("real")
    rows = [
        {"location_id": site.name, "epsg": site.grid.epsg, "left": repr(site.grid.left)}
        | {"top": repr(site.grid.top), "split": "train"}
        | dict(zip(("lon", "lat"), site.grid.centre_lonlat, strict=True))
        | {f"date_{season}": date for season, date in enumerate(DATES)}
        for site in found
    ]
    pd.DataFrame(rows).to_csv(directory / "places.csv", index=False)
    table = {"sampler": "points", "table": str(directory / "places.csv"), "count": None}
    workflow = Workflow(
        directory,
        {
            "name": "real",
            "grid": {"pixels": PIXELS},
            "locations": table,
            "simulator": {"scenes": str(folder)},
        },
    )
    workflow.build()
    return xr.open_zarr(workflow.store, mask_and_scale=False).load()


def window(folder, file, number=1):
    """The part of a file that lies in the patch, if the file is larger."""
    with rasterio.open(folder / file) as raster:
        values = raster.read(number)
    begin = OFFSET if len(values) > PIXELS else 0
    return values[begin : begin + PIXELS, begin : begin + PIXELS]


def stored_sample(store, site):
    assert site.name in store["id"].values.tolist()
    return store.isel(sample=store["id"].values.tolist().index(site.name))


def test_every_site_is_kept_on_its_own_grid(store, sites):
    for site in sites[1]:
        sample = stored_sample(store, site)
        grid = site.grid
        assert bool(sample.valid)
        assert (sample.epsg, sample.left, sample.top) == (grid.epsg, grid.left, grid.top)


def test_thirteen_bands_of_sentinel_2_arrive_value_for_value(store, sites):
    folder, found = sites
    for site in found:
        sample = stored_sample(store, site)
        for array in ("s2_10m", "s2_20m", "s2_60m"):
            for band in bands_of(array):
                expected = optical(folder, site, band.name, COARSE.get(array, 1))
                for season in range(4):
                    values = sample[array].values[season, band.position]
                    assert np.array_equal(values, expected), (site.name, band.name)


def optical(folder, site, band, factor):
    """A band as the store keeps it: native, or of a 10 m file every second or sixth value."""
    if isinstance(site.s2, dict):
        return window(folder, site.s2[band])
    with rasterio.open(folder / site.s2) as raster:
        names = [earth_engine_band(name) for name in raster.descriptions]
    middle = slice(factor // 2, None, factor)
    return window(folder, site.s2, names.index(band) + 1)[middle, middle]


def test_backscatter_arrives_to_the_hundredth_of_a_decibel(store, sites):
    folder, found = sites
    for site in found:
        files = site.s1 if isinstance(site.s1, dict) else dict.fromkeys(POLAR, site.s1)
        for number, band in enumerate(POLAR):
            decibels = window(folder, files[band], 1 if isinstance(site.s1, dict) else number + 1)
            stored = stored_sample(store, site)["s1"].values[:, number]
            assert np.array_equal(stored, np.stack([np.rint(decibels * 100)] * 4))


def test_labels_arrive_value_for_value(store, sites):
    folder, found = sites
    for site in found:
        stored = stored_sample(store, site)["label"].values
        assert np.array_equal(stored, np.stack([window(folder, site.label)] * 4))
