import pytest
from pydantic import ValidationError

from pipeline.settings.osm_landuse import OsmLanduseSettings


def test_the_defaults_need_no_network():
    assert OsmLanduseSettings().service == "simulated"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decoding": "released", "cleaning": "sieve"}, "brings its own openings"),
        ({"service": "ftp://maps.example.org"}, "service"),
        ({"image_format": "image/jpeg"}, "image_format"),
        ({"colour_limit": 13}, "colour_limit"),
        ({"min_agreement": 1.5}, "min_agreement"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"contact": "caf\u00e9"}, "contact"),
        ({"layers": "roads"}, "layers"),
    ],
)
def test_mistakes_are_named(values, message):
    with pytest.raises(ValidationError, match=message):
        OsmLanduseSettings(**values)
