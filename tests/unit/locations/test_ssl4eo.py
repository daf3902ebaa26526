"""The published list of SSL4EO-S12 v1.1: real places, and tables that only look like it."""

import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Transformer

from pipeline.errors import PipelineError
from pipeline.grid import patch_grid
from pipeline.locations.ssl4eo import count_ssl4eo, read_ssl4eo


@pytest.fixture
def metadata(tmp_path):
    """A function that writes a table of two places, changed by the given columns."""

    def write(**columns):
        patch = patch_grid(179.999, -17.0, 264, epsg=32760)
        left, bottom, right, top = patch.bounds
        outlines = [patch_grid(11.6, 48.1, 264).footprint, _lonlat_box(left, bottom, right, top)]
        frame = pd.DataFrame(
            {
                "sample_id": np.repeat(["0000007", "0000003"], 4),
                "time": pd.to_datetime([f"2020-{month:02}-05" for month in (9, 1, 4, 6)] * 2),
                "geometry": np.repeat([shapely.to_wkb(outline) for outline in outlines], 4),
                "tile_crs": np.repeat([32632, 32760], 4),
            }
        )
        path = tmp_path / "metadata.parquet"
        frame.assign(**columns).to_parquet(path)
        return path

    return write


def _lonlat_box(left, bottom, right, top):
    """An outline as published: corner after corner, unaware of the antimeridian."""
    to_lonlat = Transformer.from_crs(32760, 4326, always_xy=True)
    corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
    return shapely.Polygon([to_lonlat.transform(*corner) for corner in corners])


def test_places_keep_order_ids_zones_and_dates(metadata):
    first, second = read_ssl4eo(metadata())
    assert [first.location_id, second.location_id] == ["0000007", "0000003"]
    assert [first.row, second.row] == [0, 1]
    assert [date.month for date in first.dates] == [1, 4, 6, 9]
    assert (first.lon, first.lat) == pytest.approx((11.6, 48.1), abs=5e-4)
    assert count_ssl4eo(metadata()) == 2


def test_a_place_on_the_antimeridian_stays_there(metadata):
    second = read_ssl4eo(metadata())[1]
    assert abs(second.lon) == pytest.approx(180.0, abs=2e-3)
    assert second.epsg == 32760


@pytest.mark.parametrize("zones", [[32633, 32632, 32632, 32632], [32632, 32633, 32633, 32633]])
def test_among_several_zones_the_outlines_own_is_taken(metadata, zones):
    assert read_ssl4eo(metadata(tile_crs=[*zones, *[32760] * 4]))[0].epsg == 32632


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"sample_id": ["a"] * 5 + ["b"] * 3}, "place a has 5 acquisitions, expected 4"),
        ({"sample_id": ["../x"] * 4 + ["b"] * 4}, "location_id is not 1 to 64"),
        ({"tile_crs": [32601] * 8}, "epsg is not a UTM zone near"),
        ({"time": pd.to_datetime(["2020-01-05"] * 8)}, "two acquisitions of a place"),
    ],
)
def test_bad_tables_are_one_clear_line(metadata, columns, expected):
    with pytest.raises(PipelineError, match=expected):
        read_ssl4eo(metadata(**columns))


@pytest.mark.parametrize("read", [read_ssl4eo, count_ssl4eo])
def test_other_tables_are_refused_by_the_columns_they_lack(tmp_path, read):
    path = tmp_path / "points.parquet"
    pd.DataFrame({"sample_id": ["a"], "time": [0]}).to_parquet(path)
    with pytest.raises(PipelineError, match="lacks geometry, tile_crs; found: sample_id, time"):
        read(path)
    path.write_text("no parquet")
    with pytest.raises(PipelineError, match="cannot be read as Parquet"):
        read(path)


def test_the_real_list(ssl4eo_list):
    rows = pd.read_parquet(ssl4eo_list)
    places = read_ssl4eo(ssl4eo_list)
    assert len(places) == count_ssl4eo(ssl4eo_list) == 2176
    assert [place.location_id for place in places] == list(dict.fromkeys(rows.sample_id))
    by_place = dict(tuple(rows.groupby("sample_id")))
    for place in places[::25]:
        group = by_place[place.location_id]
        assert list(place.dates) == list(group.time.dt.date)
        assert place.epsg in set(group.tile_crs)
        outline = shapely.from_wkb(group.geometry.iloc[0])
        patch = patch_grid(place.lon, place.lat, 264, epsg=place.epsg).footprint
        # Snapping to the 60 m lattice moves a patch of 2640 m by at most 30 m each way.
        assert patch.intersection(outline).area > (1 - 30 / 2640) ** 2 * 0.999 * outline.area
