"""What the REST API of the simulated service refuses, as the real one does, instead of passing."""

import io
import json

import numpy as np
import pytest

from pipeline.settings.dataset import LARGEST_PATCH_PIXELS
from pipeline.settings.dynamic_world import LARGEST_TILE_PIXELS
from pipeline.simulator.archive import COORDINATES, ProceduralArchive
from pipeline.simulator.refusal import EarthEngineError
from pipeline.simulator.rest import MAX_ELEMENTS, RestApi

API = RestApi(ProceduralArchive(7))
GRID = {
    "dimensions": {"width": 3, "height": 2},
    "crsCode": "EPSG:32632",
    "affineTransform": {"scaleX": 10, "scaleY": -10, "translateX": 690000, "translateY": 5334000},
}


def constant(value):
    return {"constantValue": value}


def call(name, **arguments):
    return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}


def expression(node):
    return {"result": "0", "values": {"0": node}}


def answer(method, **body):
    return API.answer(f"/v1/projects/p/{method}", json.dumps(body).encode()).body


def value(node):
    return json.loads(answer("value:compute", expression=expression(node)))["result"]


def pixels(image, grid, **more):
    body = {"expression": expression(image), "fileFormat": "NPY", "grid": grid, **more}
    return np.load(io.BytesIO(answer("image:computePixels", **body)))


def image(*values):
    return call("Image.constant", value=constant(list(values)))


def scenes(condition):
    """How many scenes of a fortnight over Munich pass one more condition."""
    place = call("GeometryConstructors.Point", coordinates=constant([11.58, 48.14]))
    days = call("DateRange", start=constant("2020-06-01"), end=constant("2020-06-15"))
    found = call("ImageCollection.load", id=constant("COPERNICUS/S2_HARMONIZED"))
    for following in (
        call("Filter.intersects", leftField=constant(".all"), rightValue=place),
        call("Filter.dateRangeContains", leftValue=days, rightField=constant("system:time_start")),
        condition,
    ):
        found = call("Collection.filter", collection=found, filter=following)
    return value(call("Collection.size", collection=found))


def test_a_byte_of_mask_counts_in_every_band():
    def size(width):
        return {**GRID, "dimensions": {"width": width, "height": 5017}}

    assert pixels(image(1), size(5016)).shape == (5017, 5016)
    with pytest.raises(EarthEngineError, match=r"\(50340578 bytes\) must be less than or equal"):
        pixels(image(1), size(5017))
    with pytest.raises(EarthEngineError, match=r"\(100661088 bytes\)"):
        pixels(image(1, 2), size(5016))


@pytest.mark.parametrize(
    ("cast", "largest"), [("toUint16", LARGEST_PATCH_PIXELS), ("toFloat", LARGEST_TILE_PIXELS)]
)
def test_the_bands_of_the_largest_patch_and_tile_of_the_settings_fit_one_answer(cast, largest):
    bands = call(f"Image.{cast}", value=image(*range(13)))
    grids = [{**GRID, "dimensions": {"width": n, "height": n}} for n in (largest, largest + 6)]
    assert pixels(bands, grids[0]).shape == (largest, largest)
    with pytest.raises(EarthEngineError, match="must be less than or equal to 50331648"):
        pixels(bands, grids[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crs": "EPSG:32633"}, "Unknown name \"crs\" at 'grid'"),
        ({"dimensions": {"width": 3, "heigth": 2}}, "Unknown name \"heigth\" at 'dimensions'"),
        ({"affineTransform": {"scale": 10}}, "Unknown name \"scale\" at 'affineTransform'"),
        ({"dimensions": {"width": 2.5, "height": 2}}, "TYPE_INT32), 2.5"),
        ({"dimensions": [3, 2]}, "Invalid value at 'dimensions'"),
    ],
)
def test_a_grid_of_other_fields_or_types_is_refused(change, message):
    assert pixels(image(1), GRID).shape == (2, 3)
    with pytest.raises(EarthEngineError) as refused:
        pixels(image(1), {**GRID, **change})
    assert message in str(refused.value)


def test_an_asset_is_asked_for_pixels_without_an_expression():
    path = f"/v1/projects/earthengine-public/assets/{COORDINATES}/32632:getPixels"
    with pytest.raises(EarthEngineError, match='Unknown name "expression"'):
        API.answer(path, json.dumps({"expression": expression(image(1))}).encode())


def test_bands_of_one_name_never_become_one():
    two = call("Image.rename", input=image(1, 2), names=constant(["a", "b"]))
    assert pixels(two, GRID).dtype.names == ("a", "b")
    twice = call("Image.select", input=two, bandSelectors=constant(["a", "[ab]"]))
    renamed = call("Image.rename", input=two, names=constant(["a", "a"]))
    for twins in (twice, renamed):
        with pytest.raises(EarthEngineError, match="an image of two bands 'a'"):
            pixels(twins, GRID)


def test_a_collection_is_told_up_to_five_thousand_elements():
    def table(count):
        return call("Collection", features={"arrayValue": {"values": [call("Feature")] * count}})

    assert len(value(table(MAX_ELEMENTS))["features"]) == 5000
    with pytest.raises(EarthEngineError, match="aborted after accumulating over 5000 elements"):
        value(table(MAX_ELEMENTS + 1))
    assert value(call("Collection.size", collection=table(MAX_ELEMENTS + 1))) == 5001


def test_a_filter_has_one_operand_on_either_side():
    cloud, limit = constant("CLOUDY_PIXEL_PERCENTAGE"), constant(101)
    assert scenes(call("Filter.lessThan", leftField=cloud, rightValue=limit)) > 0
    for given, side in (
        ({"rightValue": limit}, "left"),
        ({"leftField": cloud}, "right"),
        ({"leftField": cloud, "leftValue": limit, "rightValue": limit}, "left"),
        ({"leftField": cloud, "rightField": cloud, "rightValue": limit}, "right"),
    ):
        with pytest.raises(EarthEngineError, match=f"One of '{side}Field' and '{side}Value'"):
            scenes(call("Filter.lessThan", **given))


def test_a_text_is_no_list_that_contains_something():
    tile = call(
        "Filter.listContains", leftField=constant("MGRS_TILE"), rightValue=constant("32UPU")
    )
    with pytest.raises(EarthEngineError, match="Filter.listContains: Cannot compare"):
        scenes(tile)
    listed = constant(["32UPU", "32UPV"])
    known = call("Filter.listContains", leftValue=listed, rightField=constant("MGRS_TILE"))
    assert scenes(known) > 0


@pytest.mark.parametrize("text", ["20200601", "2020-W23", "2020-153", "June"])
def test_dates_in_other_forms_are_refused(text):
    assert value(call("Date", value=constant("2020-06-01T00:00:01Z")))["value"] % 86_400_000 == 1000
    with pytest.raises(EarthEngineError, match="Invalid date string"):
        value(call("Date", value=constant(text)))


def test_the_inside_of_a_ring_is_on_its_left_where_the_even_odd_rule_is_off():
    def holds(ring, even_odd):
        outline = call(
            "GeometryConstructors.Polygon",
            coordinates=constant([ring]),
            evenOdd=constant(even_odd),
        )
        point = call("GeometryConstructors.Point", coordinates=constant([0.5, 0.5]))
        return value(call("Geometry.contains", left=outline, right=point))

    counterclockwise = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
    assert holds(counterclockwise, even_odd=False) is True
    assert holds(counterclockwise[::-1], even_odd=True) is True
    with pytest.raises(EarthEngineError, match="clockwise polygon"):
        holds(counterclockwise[::-1], even_odd=False)
