"""The REST API as the real client uses it: methods, pages, limits, refusals, headers."""

import gzip
import json
import threading
import urllib.error
import urllib.request
import warnings

import ee
import numpy as np
import pytest

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine
from tests.services.coordinate_images import COORDINATES, PRAGUE, coordinates, fetch, request_grid

S2 = "COPERNICUS/S2_HARMONIZED"
pytestmark = pytest.mark.usefixtures("ee_client")


def post(server, method, body):
    request = urllib.request.Request(
        f"{server.url}/v1/projects/p/{method}", json.dumps(body).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def call(name, **arguments):
    """An expression that calls a function with constant arguments."""
    given = {key: {"constantValue": value} for key, value in arguments.items()}
    node = {"functionInvocationValue": {"functionName": name, "arguments": given}}
    return {"expression": {"result": "0", "values": {"0": node}}}


class TestMethods:
    def test_the_client_initialises_with_three_requests(self, simulated_earth_engine):
        kinds = [record.kind for record in simulated_earth_engine.journal[-3:]]
        assert kinds == ["discovery", "discovery", "algorithms"]

    def test_a_method_we_lack_fails_in_the_client_by_name(self):
        with pytest.raises(AttributeError, match="maps|thumbnails"):
            ee.Image(1).getMapId()

    def test_compute_value(self):
        assert ee.Number(3).add(4).getInfo() == 7
        assert ee.List([1, [2, None], "a"]).getInfo() == [1, [2, None], "a"]

    def test_features_come_in_pages(self, simulated_earth_engine):
        table = ee.FeatureCollection(
            [ee.Feature(ee.Geometry.Point([n, 50]), {"number": n}) for n in range(7)]
        )
        first = ee.data.computeFeatures({"expression": table, "pageSize": 3})
        following = ee.data.computeFeatures(
            {"expression": table, "pageSize": 4, "pageToken": first["nextPageToken"]}
        )
        features = first["features"] + following["features"]
        assert [feature["properties"]["number"] for feature in features] == list(range(7))
        assert features[5]["geometry"] == {"type": "Point", "coordinates": [5, 50]}
        assert "nextPageToken" not in following
        assert simulated_earth_engine.journal[-1].kind == "features"

    def test_an_asset_describes_its_bands(self):
        asset = ee.data.getAsset(f"{COORDINATES}/32633")
        assert asset["type"] == "IMAGE"
        band = asset["bands"][0]
        assert band["id"] == "x"
        assert band["grid"]["crsCode"] == "EPSG:32633"
        assert band["grid"]["affineTransform"]["scaleY"] == -10

    def test_a_collection_is_an_asset(self):
        assert ee.data.getAsset(S2)["type"] == "IMAGE_COLLECTION"

    def test_a_missing_asset_is_not_found(self):
        with pytest.raises(ee.EEException, match="NO/SUCH' not found"):
            ee.data.getAsset("projects/earthengine-public/assets/NO/SUCH")
        with pytest.raises(ee.EEException, match=r"Image.load: Image asset '.*nothing' not found"):
            ee.Image(f"{S2}/nothing").getInfo()

    def test_listed_images_are_those_of_the_query(self):
        point = ee.Geometry.Point([14.42, 50.08])
        request = {
            "parent": f"projects/earthengine-public/assets/{S2}",
            "startTime": "2020-06-01T00:00:00Z",
            "endTime": "2020-07-01T00:00:00Z",
            "region": point.getInfo(),
            "properties": ["CLOUDY_PIXEL_PERCENTAGE<20"],
        }
        listed = [image["id"].rpartition("/")[2] for image in ee.data.listImages(request)["images"]]
        query = (
            ee.ImageCollection(S2)
            .filterBounds(point)
            .filterDate("2020-06-01", "2020-07-01")
            .filter(ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 20))
        )
        assert listed
        assert listed == query.aggregate_array("system:index").getInfo()

    def test_listed_images_come_in_pages(self):
        request = {
            "parent": f"projects/earthengine-public/assets/{S2}",
            "startTime": "2020-06-01T00:00:00Z",
            "endTime": "2020-08-01T00:00:00Z",
            "region": {"type": "Point", "coordinates": [14.42, 50.08]},
        }
        everything = ee.data.listImages(request)["images"]
        page = ee.data.listImages({**request, "pageSize": 2})
        assert len(everything) > 2
        assert page["images"] == everything[:2]
        rest = ee.data.listImages({**request, "pageSize": 99, "pageToken": page["nextPageToken"]})
        assert rest["images"] == everything[2:]

    def test_image_info_tells_bands_and_properties(self):
        info = ee.Image(f"{COORDINATES}/32633").select("x").getInfo()
        assert info["bands"][0]["crs"] == "EPSG:32633"
        assert info["bands"][0]["data_type"] == {"type": "PixelType", "precision": "double"}
        assert info["properties"]["system:index"] == "32633"


class TestRefusals:
    """All with a status that the client does not retry."""

    @pytest.mark.parametrize(
        ("name", "request_"),
        [
            ("Kernel.square", lambda: ee.Image(1).convolve(ee.Kernel.square(1)).getInfo()),
            ("bicubic", lambda: fetch(coordinates(32633).resample("bicubic"), PRAGUE)),
            ("listAssets without a region", lambda: ee.data.listImages({"parent": S2})),
            ("time zone", lambda: ee.Date("2020-01-01", "Europe/Prague").getInfo()),
            (
                "file format 'PNG'",
                lambda: ee.data.computePixels(
                    {
                        "expression": ee.Image(1),
                        "fileFormat": "PNG",
                        "grid": request_grid(PRAGUE),
                    }
                ),
            ),
        ],
    )
    def test_what_is_not_implemented_is_named(self, name, request_, simulated_earth_engine):
        with pytest.raises(ee.EEException, match=name) as refused:
            request_()
        assert "is not implemented" in str(refused.value)
        assert simulated_earth_engine.journal[-1].status == 400

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("No.suchFunction", "Unknown function 'No.suchFunction'"),
            ("Image.load", "Image.load: Parameter 'id' is required"),
        ],
    )
    def test_what_the_service_refuses_too(self, name, text, simulated_earth_engine):
        status, answer = post(simulated_earth_engine, "value:compute", call(name))
        assert status == 400
        assert text in answer["error"]["message"]

    def test_an_unknown_argument(self, simulated_earth_engine):
        body = call("Image.load", id="a", colour="red")
        _, answer = post(simulated_earth_engine, "value:compute", body)
        assert answer["error"]["message"] == "Image.load: Unrecognized argument 'colour'."

    def test_an_argument_of_the_wrong_type(self, simulated_earth_engine):
        _, answer = post(simulated_earth_engine, "value:compute", call("Image.load", id=[1]))
        assert "Image.load, argument 'id': Invalid type" in answer["error"]["message"]

    def test_an_unknown_field(self, simulated_earth_engine):
        status, answer = post(simulated_earth_engine, "value:compute", {"colour": 1})
        assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert 'Unknown name "colour": Cannot find field.' in answer["error"]["message"]

    def test_an_unknown_path(self, simulated_earth_engine):
        status, answer = post(simulated_earth_engine, "maps", {})
        assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")

    def test_an_endless_collection_is_not_listed(self):
        with pytest.raises(ee.EEException, match="use filterBounds"):
            ee.ImageCollection(S2).size().getInfo()

    def test_a_missing_band_tells_which_there_are(self):
        with pytest.raises(ee.EEException, match=r"Available bands: \[x, y, col, row\]"):
            ee.Image(f"{COORDINATES}/32633").select("B2").getInfo()

    def test_a_null_where_an_element_is_needed(self):
        empty = ee.ImageCollection(S2).filterBounds(ee.Geometry.Point([14, 50]))
        nothing = empty.filterDate("2001-01-01", "2001-01-02").first()
        with pytest.raises(ee.EEException, match="may not be null"):
            ee.Image(nothing).date().getInfo()

    def test_geotiff_bands_of_two_types(self):
        mixed = ee.Image(1).toUint8().addBands(ee.Image(1).toFloat())
        with pytest.raises(ee.EEException, match="inconsistent types: float32 and uint8"):
            ee.data.computePixels(
                {"expression": mixed, "fileFormat": "GEO_TIFF", "grid": request_grid(PRAGUE)}
            )


class TestLimits:
    def pixels(self, width, height, image=None):
        grid = request_grid(PRAGUE)
        grid["dimensions"] = {"width": width, "height": height}
        return ee.data.computePixels(
            {"expression": image or ee.Image(1).toDouble(), "fileFormat": "NPY", "grid": grid}
        )

    def test_forty_eight_megabytes(self):
        # Eight bytes of value and one of mask a pixel.
        assert len(self.pixels(2048, 2730)) > 8 * 2048 * 2730
        with pytest.raises(ee.EEException, match="less than or equal to 50331648 bytes"):
            self.pixels(2048, 2731)

    def test_thirty_two_thousand_pixels(self):
        assert self.pixels(32768, 1)
        with pytest.raises(
            ee.EEException, match=r"\(32769x1\) must be less than or equal to 32768"
        ):
            self.pixels(32769, 1)

    def test_a_thousand_and_twenty_four_bands(self):
        assert self.pixels(1, 1, ee.Image.constant([1] * 1024))
        with pytest.raises(ee.EEException, match="Too many bands"):
            self.pixels(1, 1, ee.Image.constant([1] * 1025))

    def test_ten_megabytes_of_request(self):
        with pytest.raises(ee.EEException, match="payload size exceeds the limit: 10485760 bytes"):
            ee.String("x" * (10 << 20)).getInfo()

    def test_a_sample_of_262144_pixels(self):
        def sample(metres):
            corner = [PRAGUE.left, PRAGUE.top - metres, PRAGUE.left + 5120, PRAGUE.top]
            region = ee.Geometry.Rectangle(corner, proj=PRAGUE.crs, geodesic=False)
            return coordinates(32633).select("x").sampleRectangle(region).getInfo()

        assert np.shape(sample(5120)["properties"]["x"]) == (512, 512)
        with pytest.raises(ee.EEException, match="must be <= 262144. Got 262656"):
            sample(5130)


class TestTransport:
    def test_the_journal_tells_what_was_asked(self, simulated_earth_engine):
        with ee.data.workloadTagContext("test-pixels"):
            fetch(coordinates(32633), PRAGUE)
        record = simulated_earth_engine.journal[-1]
        assert (record.method, record.kind, record.status) == ("POST", "pixels", 200)
        assert record.workload_tag == "test-pixels"
        assert record.bytes_out > 48 * 48 * 16
        assert record.bytes_in > 200
        assert record.sequence == len(simulated_earth_engine.journal) - 1
        assert record.fault is None

    def test_json_is_compressed_on_demand(self, simulated_earth_engine):
        request = urllib.request.Request(
            f"{simulated_earth_engine.url}/v1/projects/p/algorithms",
            headers={"Accept-Encoding": "gzip"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert len(json.loads(gzip.decompress(answer.read()))["algorithms"]) > 900

    def test_restricted_mode_warns_the_client(self, simulated_earth_engine):
        simulated_earth_engine.restricted = True
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            assert ee.Number(1).getInfo() == 1
        assert any("quota" in str(warning.message).lower() for warning in seen)

    def test_a_defect_of_ours_is_loud_and_not_retried(self, capsys):
        class BrokenArchive(ProceduralArchive):
            def get(self, asset_id):
                raise ZeroDivisionError("broken on purpose")

        with SimulatedEarthEngine(BrokenArchive(0)) as server:
            body = {
                **call("Image.load", id="a/b"),
                "fileFormat": "NPY",
                "grid": request_grid(PRAGUE),
            }
            status, answer = post(server, "image:computePixels", body)
        assert (status, answer["error"]["status"]) == (400, "INTERNAL")
        assert "internal error ZeroDivisionError: broken on purpose" in answer["error"]["message"]
        assert "Traceback" in capsys.readouterr().err

    def test_forty_threads_get_what_one_gets(self):
        expected = fetch(coordinates(32634).resample("bilinear"), PRAGUE)
        answers = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(
                    fetch(coordinates(32634).resample("bilinear"), PRAGUE)
                )
            )
            for _ in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 40
        assert all(np.array_equal(answer, expected) for answer in answers)
