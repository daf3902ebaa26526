import pytest

from pipeline.osm_landuse.capabilities import (
    holds_service_exception,
    parse_capabilities,
    service_error,
)
from pipeline.osm_landuse.errors import WmsPayloadError, WmsServiceError

NEW = b"""<?xml version="1.0"?>
<WMS_Capabilities xmlns="http://www.opengis.net/wms" version="1.3.0">
 <Service><Name>WMS</Name><MaxWidth>4000</MaxWidth><MaxHeight>3000</MaxHeight></Service>
 <Capability><Request><GetMap><Format>image/png</Format><Format>image/jpeg</Format></GetMap></Request>
  <Layer><CRS>EPSG:3857</CRS><CRS>CRS:84</CRS>
   <Layer><Name>osm_lulc</Name><CRS>EPSG:32632</CRS></Layer>
   <Layer><Name>roads</Name></Layer>
  </Layer></Capability></WMS_Capabilities>"""

OLD = b"""<!DOCTYPE WMT_MS_Capabilities SYSTEM "http://schemas.example.org/1.1.1.dtd">
<WMT_MS_Capabilities version="1.1.1"><Service/><Capability>
 <Request><GetMap><Format>image/png</Format></GetMap></Request>
 <Layer><SRS>EPSG:4326 epsg:3857</SRS><Name>osm_lulc</Name></Layer></Capability>
</WMT_MS_Capabilities>"""


def test_the_newer_version_states_limits_and_layers_inherit():
    found = parse_capabilities(NEW)
    assert (found.version, found.max_width, found.max_height) == ("1.3.0", 4000, 3000)
    assert found.map_formats == {"image/png", "image/jpeg"}
    assert found.layers["osm_lulc"].crs == {"EPSG:3857", "CRS:84", "EPSG:32632"}
    assert found.layers["roads"].crs == {"EPSG:3857", "CRS:84"}


def test_the_older_version_is_read_too():
    found = parse_capabilities(OLD)
    assert (found.version, found.max_width) == ("1.1.1", None)
    assert found.layers["osm_lulc"].crs == {"EPSG:4326", "EPSG:3857"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><body>maintenance</body></html>", "got a document <html>"),
        (b"Bad gateway", "not XML"),
        (b"", "not XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><WMS_Capabilities/>', "entities"),
    ],
)
def test_what_is_no_capabilities_document_is_refused(body, message):
    with pytest.raises(WmsPayloadError, match=message):
        parse_capabilities(body)


@pytest.mark.parametrize(
    ("body", "code", "text", "retryable"),
    [
        (
            b'<ServiceException code="LayerNotDefined">no\n  such layer</ServiceException>',
            "LayerNotDefined",
            "no such layer",
            False,
        ),
        (
            b"<ogc:ServiceException><![CDATA[image size too large]]></ogc:ServiceException>",
            None,
            "image size too large",
            False,
        ),
        (b'<ServiceException code="InvalidCRS"/>', "InvalidCRS", "", False),
        (b"<ServiceException>Could not get any sources</ServiceException>", None, "Could", True),
        (b"<ServiceException>unknown host</ServiceException>", None, "unknown host", True),
        (b"<ServiceExceptionReport><ServiceException>cut", None, "cut", True),
    ],
)
def test_service_exceptions_are_understood(body, code, text, retryable):
    assert holds_service_exception(body)
    error = service_error(body, 200)
    assert isinstance(error, WmsServiceError)
    assert error.code == code
    assert text in error.text
    assert error.retryable is retryable
