"""Real places: zones and tiles of the published SSL4EO-S12 v1.1 list, through our selection.

Every eighth of the 2,176 here; all of them in `tests.benchmarks.bench_ssl4eo_places`.
"""

import pytest

from tests.services.published_places import METADATA, PLACES, compare

EVERY = 8

pytestmark = pytest.mark.skipif(
    not METADATA.is_file(), reason="needs the folder of real samples; set NOLDO_SAMPLE_DATA"
)


@pytest.fixture(scope="module")
def places(_running_server, tmp_path_factory):
    return compare(_running_server.url, tmp_path_factory.mktemp("places"), EVERY)


def test_every_place_is_there(places):
    assert len(places) == PLACES // EVERY


def test_each_grid_is_in_a_zone_of_the_published_scenes(places):
    assert all(place.location.grid.epsg in place.zones for place in places)


def test_the_archive_has_the_published_tiles_over_each_centre(places):
    missing = [place for place in places if not set(place.tiles) <= place.archive_tiles]
    assert missing == []


def test_where_one_tile_lies_over_a_place_it_is_the_one_published(places):
    single = [place for place in places if len(place.archive_tiles) == 1]
    assert len(single) > len(places) / 2
    for place in single:
        assert all(chosen == tile for chosen, tile in place.chosen_tiles)


def test_where_several_do_one_of_them_is_chosen(places):
    """The newest clear scene of the window decides, and the published list knew other dates."""
    pairs = [pair for place in places for pair in place.chosen_tiles]
    for place in places:
        assert {chosen for chosen, _ in place.chosen_tiles} <= place.archive_tiles
    assert sum(chosen == tile for chosen, tile in pairs) > 0.8 * len(pairs)
