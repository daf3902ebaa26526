"""Areas of interest: every way to give one, and one line for every way to get it wrong."""

import geopandas
import pytest
import shapely

from pipeline.errors import PipelineError
from pipeline.locations.areas import read_area

SQUARE = shapely.box(11.0, 47.0, 13.0, 49.0)
SOMEWHERE = shapely.box(-5.0, 40.0, -4.0, 41.0)


@pytest.fixture
def frame():
    return geopandas.GeoDataFrame(geometry=[SQUARE, SOMEWHERE], crs="EPSG:4326")


def assert_same(area, expected, tolerance=1e-9):
    assert area.is_valid
    assert area.symmetric_difference(expected).area < tolerance


@pytest.mark.parametrize("prefix", ["", "SRID=4326;", " srid=4326; "])
def test_wkt_as_text(prefix):
    assert_same(read_area(prefix + SQUARE.wkt.lower()), SQUARE)


def test_wkt_in_a_file(tmp_path):
    path = tmp_path / "area.wkt"
    path.write_text(SQUARE.wkt)
    assert_same(read_area(str(path)), SQUARE)


@pytest.mark.parametrize("name", ["area.geojson", "area.gpkg"])
def test_files_with_several_shapes(tmp_path, frame, name):
    frame.to_file(tmp_path / name)
    assert_same(read_area(str(tmp_path / name)), SQUARE.union(SOMEWHERE))


def test_another_crs_is_reprojected(tmp_path, frame):
    path = tmp_path / "area.gpkg"
    dense = frame.set_geometry(frame.geometry.segmentize(0.01))
    dense.to_crs("EPSG:3035").to_file(path)
    assert_same(read_area(str(path)), SQUARE.union(SOMEWHERE), tolerance=1e-5)


def test_all_layers_of_a_geopackage_count(tmp_path, frame):
    path = tmp_path / "area.gpkg"
    frame.iloc[:1].to_file(path, layer="first")
    frame.iloc[1:].to_crs("EPSG:32630").to_file(path, layer="second")
    area = read_area(str(path))
    assert area.contains(SQUARE.buffer(-0.01))
    assert area.contains(SOMEWHERE.buffer(-0.01))


def test_points_and_lines_beside_polygons_are_left_out():
    shapes = shapely.GeometryCollection([shapely.Point(0, 0), SQUARE, SOMEWHERE.exterior])
    assert_same(read_area(shapes.wkt), SQUARE)


def test_a_crossed_outline_is_mended():
    area = read_area("POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))")
    assert area.is_valid
    assert area.area == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wkt",
    [
        "POLYGON ((170 -20, 190 -20, 190 -10, 170 -10, 170 -20))",
        "POLYGON ((-190 -20, -170 -20, -170 -10, -190 -10, -190 -20))",
    ],
)
def test_an_area_across_the_antimeridian_is_cut_there(wkt):
    expected = shapely.box(170, -20, 180, -10).union(shapely.box(-180, -20, -170, -10))
    assert_same(read_area(wkt), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nowhere.geojson", "'nowhere.geojson' is neither an existing file nor a WKT polygon"),
        ("POLYGON ((0 0, 1 1", "not valid WKT"),
        ("POLYGON EMPTY", "area of interest is empty"),
        ("GEOMETRYCOLLECTION (POINT (1 2))", "empty (GeometryCollection found)"),
        ("POLYGON ((0 0, 1 1, 0 0))", "empty"),
        ("POLYGON ((5e5 5e6, 6e5 5e6, 6e5 6e6, 5e5 5e6))", "not degrees of longitude"),
        ("POLYGON ((0 80, 1 80, 1 95, 0 80))", "y 80 to 95"),
    ],
)
def test_bad_text_is_one_clear_line(text, expected):
    with pytest.raises(PipelineError) as error:
        read_area(text)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("area.geojson", "{", "cannot be read"),
        ("area.geojson", "not json at all", "cannot be read"),
        ("area.gpkg", "not a database", "cannot be read"),
        ("area.geojson", '{"type": "FeatureCollection", "features": []}', "no shape found"),
        ("area.geojson", '{"type": "Point", "coordinates": [1, 2]}', "empty (Point found)"),
        ("area.wkt", "PARALLELOGRAM ((0 0))", "not valid WKT"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(PipelineError) as error:
        read_area(str(path))
    assert expected in str(error.value)
    assert name in str(error.value)
