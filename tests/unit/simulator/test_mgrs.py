import os
from pathlib import Path

import pytest

from pipeline.simulator.mgrs import tile_from_name, tiles_at

SAMPLE_DATA = Path(os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real"))


@pytest.mark.parametrize(
    ("name", "epsg", "origin"),
    [
        # Corners of real Level-1C rasters of these tiles.
        ("33UUP", 32633, (300_000.0, 5_400_000.0)),
        ("34HEJ", 32734, (499_980.0, 6_400_000.0)),
        ("32TPT", 32632, (600_000.0, 5_300_040.0)),
        ("31TFJ", 32631, (600_000.0, 4_900_020.0)),
        ("36JTT", 32736, (199_980.0, 7_300_000.0)),
    ],
)
def test_rasters_of_known_tiles(name, epsg, origin):
    tile = tile_from_name(name)
    assert tile is not None
    assert (tile.epsg, tile.origin, tile.name) == (epsg, origin, name)


@pytest.mark.parametrize(
    ("lon", "lat", "name"),
    [
        (16.37, 48.21, "33UWP"),  # Vienna
        (2.35, 48.86, "31UDQ"),  # Paris
        (-46.63, -23.55, "23KLP"),  # Sao Paulo
        (139.69, 35.68, "54SUE"),  # Tokyo
        (36.82, -1.29, "37MBU"),  # Nairobi
        (10.75, 59.91, "32VNM"),  # Oslo, in Norway's widened zone
    ],
)
def test_cities_lie_on_their_tiles(lon, lat, name):
    assert name in [tile.name for tile in tiles_at(lon, lat)]


def test_names_and_tiles_correspond_everywhere():
    seen = 0
    for lat in range(-78, 83, 4):
        for lon in range(-179, 180, 7):
            found = tiles_at(float(lon), float(lat))
            assert found
            assert len({tile.name for tile in found}) == len(found)
            for tile in found:
                assert tile_from_name(tile.name) == tile
                seen += 1
    assert seen > 2_000


@pytest.mark.parametrize("name", ["", "33UU", "61UUP", "00UUP", "33IUP", "33UAP", "33UUZ", "33UUF"])
def test_what_is_no_tile_is_none(name):
    assert tile_from_name(name) is None


def test_places_at_zone_and_equator_borders_have_tiles_of_both_sides():
    assert {tile.epsg for tile in tiles_at(12.0, 48.0)} == {32632, 32633}
    assert {tile.epsg % 100 for tile in tiles_at(179.99, -16.5)} == {60, 1}
    assert {tile.name[2] for tile in tiles_at(21.0, -0.05)} == {"M", "N"}


def test_real_places_lie_on_the_tiles_that_ssl4eo_recorded():
    table = SAMPLE_DATA / "ssl4eo_v11_val_metadata.parquet"
    if not table.exists():
        pytest.skip(f"{table.name} is not in NOLDO_SAMPLE_DATA")
    geopandas = pytest.importorskip("geopandas")
    places = geopandas.read_parquet(table, columns=["tile_id", "geometry"])
    outlines = places.geometry.bounds
    lons, lats = (outlines.minx + outlines.maxx) / 2, (outlines.miny + outlines.maxy) / 2
    hits = [
        recorded[1:] in [tile.name for tile in tiles_at(lon, lat)]
        for recorded, lon, lat in zip(places.tile_id, lons, lats, strict=True)
    ]
    assert len(hits) == 4 * 2_176
    assert sum(hits) / len(hits) >= 0.999
