"""What the provenance of a sample says is enough to fetch the same pixels again."""

import datetime as dt
from dataclasses import replace

import pytest
import xarray as xr

from pipeline.earthengine.pixels import fetch_season
from pipeline.earthengine.queries import select_candidates
from pipeline.earthengine.session import earth_engine
from pipeline.finish import finish_store
from pipeline.grid import PatchGrid, patch_grid
from pipeline.ledger import SeasonRecord, Status
from pipeline.locations.location import Location
from pipeline.locations.table import write_locations
from pipeline.provenance import sample_provenance
from pipeline.selection import choose_scenes
from pipeline.settings.tree import validate_settings
from pipeline.store.commit import write_commit
from pipeline.store.create import create_store
from pipeline.store.shards import write_shard

PIXELS = 66
DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22))
PLACES = [
    Location(k, f"{k:07d}", 9.0 + 0.7 * k, 45.0 + 0.3 * k, grid, DATES, "train", 0)
    for k, grid in ((k, patch_grid(9.0 + 0.7 * k, 45.0 + 0.3 * k, PIXELS)) for k in range(8))
]


@pytest.fixture
def settings(simulated_earth_engine, tmp_path):
    return validate_settings(
        {
            "name": "test",
            "results": str(tmp_path),
            "grid": {"pixels": PIXELS},
            "store": {"shard_size": len(PLACES)},
            "earthengine": {"service": simulated_earth_engine.url},
        }
    )


@pytest.fixture
def kept(settings):
    """The first place with scenes in all four seasons, and its selection."""
    with earth_engine(settings, "standard", 4) as client:
        answers = {
            place.sample: found for place, found in select_candidates(client, PLACES, settings)
        }
    for place in PLACES:
        rows = choose_scenes(place, answers[place.sample], "dw_first")
        if all(row.status is Status.SELECTED for row in rows):
            return replace(place, sample=0, location_id="0000000"), [
                replace(row, sample=0, location_id="0000000") for row in rows
            ]
    raise AssertionError("no place has scenes in all four seasons")


@pytest.fixture
def store(settings, kept, tmp_path):
    """A finished store that holds this one place."""
    place, rows = kept
    with earth_engine(settings, "high_volume", 4) as client:
        pixels = {(0, row.season): fetch_season(client, row, place.grid) for row in rows}
    path = tmp_path / "nol.zarr"
    create_store(path, settings, 1)
    write_locations(tmp_path / "places.parquet", [place])
    hashes = write_shard(path, 0, pixels)
    done = [replace(row, status=Status.DONE) for row in rows]
    ledger = tmp_path / "shards" / "0.parquet"
    write_commit(ledger, done, path, hashes, settings.dataset_hash())
    index = tmp_path / "nol.index.parquet"
    finish_store(settings, path, tmp_path / "shards", tmp_path / "places.parquet", index)
    return path


def record_of(date):
    """The row of a ledger that would ask for a date again."""
    request = date["request"]
    s2, s1, dw = (image["asset"].rsplit("/", 1)[1] for image in request["images"])
    day = dt.date(2021, 1, 1)
    return SeasonRecord(
        0,
        "again",
        date["season"],
        day,
        day,
        Status.SELECTED,
        s2_id=s2,
        s1_id=s1,
        dw_id=dw,
        mgrs_tile=date["sentinel_2"]["mgrs_tile"],
    )


def grid_of(request):
    """The grid of a request."""
    transform, size = request["grid"]["affineTransform"], request["grid"]["dimensions"]
    return PatchGrid(
        int(request["grid"]["crsCode"].removeprefix("EPSG:")),
        transform["translateX"],
        transform["translateY"],
        size["height"],
        size["width"],
        transform["scaleX"],
    )


def test_a_request_rebuilt_from_the_provenance_gives_the_stored_bytes(store, settings):
    found = sample_provenance(store, "0000000")
    dataset = xr.open_zarr(store, chunks=None, decode_cf=False).isel(sample=0)
    with earth_engine(settings, "high_volume", 1) as client:
        for date in (found["dates"][0], found["dates"][2]):
            again = fetch_season(client, record_of(date), grid_of(date["request"]))
            stored = dataset.isel(time=date["season"])
            for name in ("s2_10m", "s2_20m", "s2_60m", "s1", "label"):
                assert getattr(again, name).tobytes() == stored[name].to_numpy().tobytes(), name
