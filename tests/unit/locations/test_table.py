"""The table of locations: the same back, only the rows of a shard read, whole or not at all."""

import datetime as dt

import geopandas
import pyarrow.parquet as pq
import pytest
import shapely

from pipeline.errors import PipelineError
from pipeline.grid import patch_grid
from pipeline.locations.location import Location
from pipeline.locations.table import (
    ROWS_PER_GROUP,
    location_count,
    read_locations,
    read_shard,
    shard_count,
    write_locations,
)

DATES = tuple(dt.date(2020, month, 1) for month in (1, 4, 7, 10))


def location(sample: int, shard_size: int = 64) -> Location:
    lon, lat = (sample * 7.123) % 360.0 - 180.0, (sample * 3.3) % 150.0 - 70.0
    return Location(
        sample=sample,
        location_id=f"{sample:07d}",
        lon=lon,
        lat=lat,
        grid=patch_grid(lon, lat, 264),
        dates=DATES,
        split="validation" if sample % 5 == 0 else "train",
        shard=sample // shard_size,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "locations.parquet"


def test_what_is_written_is_read(path):
    locations = [location(sample) for sample in range(100)]
    assert write_locations(path, locations) == 100
    assert list(read_locations(path)) == locations


def test_shards_are_read_alone_and_may_have_gaps(path):
    locations = [location(sample) for sample in range(200) if sample not in (64, 70)]
    write_locations(path, locations)
    assert read_shard(path, 0) == locations[:64]
    assert [each.sample for each in read_shard(path, 1)] == [
        sample for sample in range(64, 128) if sample not in (64, 70)
    ]
    assert [each.sample for each in read_shard(path, 3)] == list(range(192, 200))
    assert read_shard(path, 4) == []


def test_a_shard_across_two_row_groups_is_whole(path):
    shard_size = 1000
    locations = [location(sample, shard_size) for sample in range(ROWS_PER_GROUP + 904)]
    write_locations(path, iter(locations))
    assert pq.ParquetFile(path).num_row_groups == 2
    assert read_shard(path, 4) == locations[4000:5000]


def test_geopandas_reads_the_footprints(path):
    locations = [location(sample) for sample in range(20)]
    write_locations(path, locations)
    frame = geopandas.read_parquet(path)
    assert frame.crs == "OGC:CRS84"
    for row, each in zip(frame.itertuples(), locations, strict=True):
        assert shapely.equals(row.geometry, each.grid.footprint)


def test_the_same_locations_give_the_same_bytes(path):
    write_locations(path, [location(sample) for sample in range(300)])
    first = path.read_bytes()
    write_locations(path, (location(sample) for sample in range(300)))
    assert path.read_bytes() == first


def test_a_failure_leaves_what_was_there(path):
    write_locations(path, [location(0)])
    before = path.read_bytes()

    def broken():
        yield location(1)
        raise PipelineError("the region is full")

    with pytest.raises(PipelineError, match="full"):
        write_locations(path, broken())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_no_locations_make_an_empty_table(path):
    write_locations(path, [])
    assert not list(read_locations(path))


def test_missing_and_foreign_files(path):
    with pytest.raises(PipelineError, match="does not exist"):
        list(read_locations(path))
    path.parent.mkdir()
    path.write_text("no parquet")
    with pytest.raises(PipelineError, match="not a table of locations"):
        read_shard(path, 0)
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)]).to_parquet(path)
    for read in (lambda file: list(read_locations(file)), lambda file: read_shard(file, 0)):
        with pytest.raises(PipelineError, match="not a table of locations"):
            read(path)


@pytest.mark.parametrize(("count", "shards"), [(0, 0), (1, 1), (64, 1), (65, 2), (250_000, 3907)])
def test_shards_of_64(count, shards):
    assert shard_count(count, 64) == shards


def test_count_of_samplers_that_draw(location_settings):
    assert location_count(location_settings({"sampler": "land", "count": 250_000})) == 250_000
    with pytest.raises(PipelineError, match="count must be given for the sampler cities"):
        location_count(location_settings({"sampler": "cities", "count": None}))


def test_count_of_tables(location_settings, write_csv):
    path = str(write_csv("lon,lat", "1,2", "3,4", "5,6"))
    for count, expected in [(None, 3), (2, 2)]:
        options = {"sampler": "points", "table": path, "count": count}
        assert location_count(location_settings(options)) == expected
    with pytest.raises(PipelineError, match=r"count = 4, but .* has 3 places; null takes them all"):
        location_count(location_settings({"sampler": "points", "table": path, "count": 4}))
    with pytest.raises(PipelineError, match="table must be given for the sampler ssl4eo"):
        location_count(location_settings({"sampler": "ssl4eo", "count": None}))


def test_count_of_the_real_list(location_settings, ssl4eo_list):
    options = {"sampler": "ssl4eo", "table": str(ssl4eo_list), "count": None}
    assert location_count(location_settings(options)) == 2176
