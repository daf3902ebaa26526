"""Every way in which the archive can have nothing fit ends as a rejection with its own reason."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from pipeline.grid import patch_grid
from pipeline.sensors import cube_bands
from pipeline.simulator.mounted import MountedArchive
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import Workflow

PIXELS, MARGIN = 12, 6
DATES = ("2020-03-01", "2020-06-01", "2020-09-01", "2020-12-01")
BAD_SEASON = 2
REASONS = ("", "no_s2", "cloud", "no_dw", "no_s1", "nodata", "implausible_s1")
"""Of one place each, in the order of the table; the first one is kept."""

OPTICAL = [band.name for band in cube_bands("sentinel-2")]


def place(reason):
    """Longitude and latitude; a degree apart."""
    return 9.5 + REASONS.index(reason), 48.0


def write_scene(folder, name, grid, values):
    profile = {"driver": "GTiff", "count": len(values), "height": grid.height, "width": grid.width}
    profile |= {"dtype": values.dtype, "crs": grid.crs, "transform": grid.transform}
    with rasterio.open(folder / name, "w", **profile) as raster:
        raster.write(values)


def write_files(folder, reason, season):
    """The three files of a season; one of them has bad pixels where the reason asks for it."""
    grid = patch_grid(*place(reason), PIXELS + 2 * MARGIN)
    middle = PIXELS // 2 + MARGIN
    optical = np.full((13, *grid.shape), 1500 + season, np.uint16)
    radar = np.full((2, *grid.shape), -12.5, np.float32)
    label = np.full((1, *grid.shape), season, np.uint8)
    bad = reason if season == BAD_SEASON else ""
    if bad == "nodata":
        optical[:, middle, middle] = 0
    if bad == "implausible_s1":
        radar[:, :, middle] = -60.0
    for kind, values in (("s2", optical), ("s1", radar), ("dw", label)):
        write_scene(folder, f"{reason or 'kept'}_{season}_{kind}.tif", grid, values)


def scenes(reason, season):
    """The season's entries of the manifest, less what the reason says is missing."""
    bad = reason if season == BAD_SEASON else ""
    name = f"{reason or 'kept'}_{season}"
    radar = {"instrumentMode": "IW", "transmitterReceiverPolarisation": ["VV", "VH"]}
    optical = {"CLOUDY_PIXEL_PERCENTAGE": 80.0 if bad == "cloud" else 2.0, "MGRS_TILE": "32UXX"}
    for kind, collection, bands, properties in (
        ("s2", "COPERNICUS/S2_HARMONIZED", OPTICAL, optical),
        ("s1", "COPERNICUS/S1_GRD", ["VV", "VH"], radar),
        ("dw", "GOOGLE/DYNAMICWORLD/V1", ["label"], {}),
    ):
        if bad != f"no_{kind}":
            yield {
                "collection": collection,
                "index": name,
                "file": f"{name}_{kind}.tif",
                "bands": bands,
                "time": f"{DATES[season]}T10:00:00Z",
                "properties": properties,
            }


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A build of a place for each reason, from an archive that holds nothing else."""
    folder = tmp_path_factory.mktemp("scenes")
    seasons = [(reason, season) for reason in REASONS for season in range(4)]
    for reason, season in seasons:
        write_files(folder, reason, season)
    entries = [entry for which in seasons for entry in scenes(*which)]
    (folder / "scenes.json").write_text(json.dumps({"scenes": entries}))
    rows = [
        {"location_id": reason or "kept", "lon": place(reason)[0], "lat": place(reason)[1]}
        | {f"date_{season}": date for season, date in enumerate(DATES)}
        for reason in REASONS
    ]
    pd.DataFrame(rows).to_csv(folder / "places.csv", index=False)
    table = {"sampler": "points", "table": str(folder / "places.csv"), "count": None}
    with SimulatedEarthEngine(MountedArchive(folder)) as server:
        workflow = Workflow(
            tmp_path_factory.mktemp("reasons"),
            {
                "name": "reasons",
                "grid": {"pixels": PIXELS},
                "locations": table,
                "earthengine": {"service": server.url},
            },
        )
        workflow.build()
    return workflow


@pytest.mark.parametrize("reason", REASONS[1:])
def test_rejected_with_the_right_reason(build, reason):
    ledger = pd.read_parquet(build.folder / "shards" / "0.parquet")
    rows = ledger[ledger["location_id"] == reason].sort_values("season")
    assert rows["status"].tolist() == ["rejected"] * 4
    expected = ["other_season"] * 4
    expected[BAD_SEASON] = reason
    assert rows["reason"].tolist() == expected


def test_the_good_place_is_kept_and_the_rest_is_empty(build):
    store = xr.open_zarr(build.store, mask_and_scale=False)
    assert store["valid"].values.tolist() == [reason == "" for reason in REASONS]
    assert (store["s2_10m"].values[0] == 1500 + np.arange(4)[:, None, None, None]).all()
    assert not store["s2_10m"].values[1:].any()
    assert (store["label"].values[1:] == 255).all()


def test_the_summary_counts_every_reason(build):
    summary = (build.folder / "nol.summary.txt").read_text()
    for reason in REASONS[1:]:
        assert any(line.split()[:3] == ["rejected:", reason, "1"] for line in summary.splitlines())
