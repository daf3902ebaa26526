"""One reader for the indices of all stores: same first columns, same values as the store."""

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.store.sample_index import (
    COLUMN_DESCRIPTIONS,
    CORE_FIELDS,
    footprint_wkb,
    index_store,
    main,
)

CORE = [field.name for field in CORE_FIELDS]


def test_every_index_starts_with_the_same_columns_of_the_same_types(nol, osm):
    for made in (nol, osm):
        schema = pq.read_schema(made.index)
        assert [schema.field(i) for i in range(len(CORE))] == list(CORE_FIELDS)
    assert set(CORE) <= COLUMN_DESCRIPTIONS.keys()


def test_the_index_of_a_store_says_what_its_own_finish_said(nol, tmp_path):
    assert index_store(nol.store, tmp_path / "again.parquet") == 6
    again, own = (pq.read_table(path) for path in (tmp_path / "again.parquet", nol.index))
    for name in set(CORE) - {"reason"}:
        kept = [table.filter(table["valid"])[name].to_pylist() for table in (again, own)]
        assert kept[0] == kept[1], name


def test_groups_follow_each_other_and_records_become_columns(osm):
    index = geopandas.read_parquet(osm.index)
    assert index.group.tolist() == ["train", "train", "test"] and index["sample"].tolist() == [
        0,
        1,
        0,
    ]
    assert [str(day) for day in index.label_date] == ["2021-07-08"] * 3
    assert index.s2_time[0][0] == np.datetime64("2021-07-14T10:31:23")
    assert index.agreement.isna().all() and index.dw_id.isna().all()
    train = xr.open_zarr(osm.store, group="train")
    assert index.left[1] == train.left[1] and index.width[0] == train.sizes["x"]
    grid = PatchGrid(32632, float(train.left[1]), float(train.top[1]), 8, 8)
    assert index.geometry[1].equals(grid.footprint) and index.crs == "OGC:CRS84"


@pytest.mark.parametrize("place", [(0, 0.0, 0.0), (32633, float("nan"), 0.0)])
def test_an_unknown_place_has_no_footprint(place):
    assert footprint_wkb(*place, (10.0, -10.0), (8, 8)) is None


def test_pixels_that_are_no_squares_keep_their_height():
    outline = geopandas.GeoSeries.from_wkb(
        [footprint_wkb(32633, 500_000.0, 5_300_000.0, (10.0, -20.0), (100, 100))], crs="EPSG:4326"
    )
    metres = outline.to_crs("EPSG:32633").total_bounds
    assert np.allclose(metres, [500_000.0, 5_298_000.0, 501_000.0, 5_300_000.0], atol=0.5)


def test_a_grid_in_degrees_is_its_own_footprint():
    outline = geopandas.GeoSeries.from_wkb(
        [footprint_wkb(4326, 11.0, 48.0, (1e-4, -2e-4), (10, 20))]
    )
    assert np.allclose(outline.total_bounds, [11.0, 47.998, 11.002, 48.0])


def test_what_is_no_store_is_refused_in_one_line(tmp_path, capsys, osm):
    with pytest.raises(PipelineError, match="there is no store of ours at"):
        index_store(tmp_path, tmp_path / "index.parquet")
    main(["--store", str(osm.store), "--index", str(tmp_path / "index.parquet")])
    assert capsys.readouterr().out.endswith("index.parquet: 3 samples\n")
