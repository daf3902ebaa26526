"""Tables of points: what is read, and which line says what is wrong with which row."""

import datetime as dt

import geopandas
import pandas as pd
import pytest
import shapely

from pipeline.errors import PipelineError
from pipeline.locations.points import count_points, read_points


def test_only_lon_and_lat_are_needed(write_csv):
    places = read_points(write_csv("lat,name,lon", "48.1,Munich,11.6", "-33.9,Cape Town,18.4"))
    assert [(place.row, place.lon, place.lat) for place in places] == [
        (0, 11.6, 48.1),
        (1, 18.4, -33.9),
    ]
    for place in places:
        assert place.location_id is place.epsg is place.split is place.dates is None


def test_everything_else_may_be_given(write_csv):
    path = write_csv(
        "location_id,lon,lat,epsg,split,date_0,date_1,date_2,date_3",
        "0000173,12.1,48.1,32632,validation,2020-01-01,2020-04-01,2020-07-01,2020-10-01",
    )
    (place,) = read_points(path)
    assert place.location_id == "0000173"
    assert place.epsg == 32632
    assert place.split == "validation"
    assert place.dates == tuple(dt.date(2020, month, 1) for month in (1, 4, 7, 10))


def test_a_corner_fixes_the_patch(write_csv):
    path = write_csv("lon,lat,epsg,left,top", "34.1,-3.4,32736,617301.8198784497,9625098.22745184")
    (place,) = read_points(path)
    assert place.origin == (617301.8198784497, 9625098.22745184)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("lon,lat,epsg,left", "34.1,-3.4,32736,617301.8"), "has left, but not top"),
        (("lon,lat,left,top", "34.1,-3.4,617301.8,9625098"), "has left and top, but not epsg"),
        (("lon,lat,epsg,left,top", "34.1,-3.4,32736,here,9625098"), "left is not a number"),
    ],
)
def test_half_a_corner_is_refused(write_csv, lines, words):
    with pytest.raises(PipelineError, match=words):
        read_points(write_csv(*lines))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3035"])
def test_geoparquet_points_in_any_crs(tmp_path, crs):
    path = tmp_path / "points.parquet"
    points = [shapely.Point(11.6, 48.1), shapely.Point(2.3, 48.9)]
    frame = geopandas.GeoDataFrame({"location_id": ["a", "b"]}, geometry=points, crs="EPSG:4326")
    frame.to_crs(crs).to_parquet(path)
    places = read_points(path)
    assert [place.location_id for place in places] == ["a", "b"]
    assert places[1].lon == pytest.approx(2.3)
    assert places[1].lat == pytest.approx(48.9)
    assert count_points(path) == 2


def test_parquet_with_plain_columns(tmp_path):
    path = tmp_path / "points.parquet"
    pd.DataFrame({"lon": [11.6], "lat": [48.1], "epsg": [32632]}).to_parquet(path)
    assert read_points(path)[0].epsg == 32632


def test_missing_ids_in_parquet_are_refused(tmp_path):
    path = tmp_path / "points.parquet"
    pd.DataFrame({"location_id": ["a", None], "lon": [1, 2], "lat": [3, 4]}).to_parquet(path)
    with pytest.raises(PipelineError, match="location_id is not 1 to 64 .* in row 2"):
        read_points(path)


def test_rows_are_counted_without_being_read(write_csv):
    assert count_points(write_csv("lon,lat", "1,2", "x,y", "3,4")) == 3


def rows(*lines: str) -> tuple[str, ...]:
    return ("location_id,lon,lat", *lines)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("x,y", "1,2"), "lacks the columns lon and lat; found: x, y"),
        (("lon,y", "1,2"), "lacks the column lat; found: lon, y"),
        (("lon,lat",), "has no rows"),
        (rows("a,1,2", "b,east,2", "c,,2"), "lon is not a number in rows 2, 3, e.g. 'east'"),
        (rows("a,1,nan"), "lat is not a number in row 1, e.g. 'nan'"),
        (rows("a,1,2", "b,1,inf"), "lat is not a number in row 2"),
        (rows("a,48.1,116", "b,35.7,139.7"), "rows 1, 2, e.g. '116.0'; lon and lat seem to be sw"),
        (rows("a,200,10"), "lon is outside -180..180 in row 1"),
        (rows("a,10,95", "b,170,20"), "lat is outside -90..90 in row 1"),
        (rows("a,10,84.5", "b,10,-81"), "outside -80..84, where UTM is defined in rows 1, 2"),
        (rows("a,1,2", "b,3,4", "a,5,6"), "already given to an earlier row in row 3, e.g. 'a'"),
        (rows("../x,1,2"), "location_id is not 1 to 64 letters"),
        (rows("/etc,1,2"), "e.g. '/etc'"),
        (rows(",1,2"), "location_id is not"),
        (rows(f"{'x' * 65},1,2"), "location_id is not"),
        (rows("a b,1,2"), "location_id is not"),
        (rows("a\u0660,1,2"), "location_id is not"),
        (("lon,lat,epsg", "11,48,4326"), "epsg is not a UTM zone near the place in row 1"),
        (("lon,lat,epsg", "11,48,32601"), "epsg is not a UTM zone near the place"),
        (("lon,lat,epsg", "11,48,32661"), "epsg is not a UTM zone near the place"),
        (("lon,lat,split", "11,48,test"), "split is neither train nor validation"),
        (("lon,lat,date_0", "11,48,2020-01-01"), "give all of date_0"),
        (
            ("lon,lat,date_0,date_1,date_2,date_3", "1,2,2020-01-01,2020-04-01,soon,2020-10-01"),
            "date_2 is not a date (YYYY-MM-DD) in row 1, e.g. 'soon'",
        ),
        (
            ("lon,lat,date_0,date_1,date_2,date_3", "1,2" + ",2020-01-01" * 4),
            "do not ascend in row 1",
        ),
    ],
)
def test_bad_tables_are_one_clear_line(write_csv, lines, expected):
    with pytest.raises(PipelineError) as error:
        read_points(write_csv(*lines))
    assert expected in str(error.value)
    assert "points.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_many_bad_rows_are_summed_up(write_csv):
    with pytest.raises(PipelineError, match=r"in rows 1, 2, 3, 4, 5 and 7 more, e\.g\. 'x0'"):
        read_points(write_csv(*rows(*(f"p{k},x{k},0" for k in range(12)))))


@pytest.mark.parametrize("name", ["points.csv", "points.parquet"])
@pytest.mark.parametrize("read", [read_points, count_points])
def test_missing_and_unreadable_files(tmp_path, name, read):
    path = tmp_path / name
    with pytest.raises(PipelineError, match="does not exist"):
        read(path)
    path.write_bytes(b"\xff\xfe\x00PAR" * 20)
    with pytest.raises(PipelineError, match="cannot be read as"):
        read(path)


def test_points_that_would_lie_on_land_if_swapped_give_a_warning(write_csv, caplog):
    berlin, stockholm, oslo = "52.5,13.4", "59.3,18.1", "59.9,10.7"
    read_points(write_csv("lat,lon", berlin, stockholm, oslo))
    assert caplog.text == ""
    read_points(write_csv("lon,lat", berlin, stockholm, oslo))  # the Arabian Sea
    assert "would lie on land with lon and lat swapped" in caplog.text
