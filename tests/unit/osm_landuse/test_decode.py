import numpy as np
import pytest
from pyproj import Transformer

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.decode import (
    BACKGROUND,
    UNKNOWN,
    TileStatus,
    classify_colours,
    decode_tile,
    majority_label,
    solid_unknown_colours,
    without_hairlines,
)
from pipeline.osm_landuse.map_request import aligned_request
from pipeline.settings.osm_landuse import OsmLanduseSettings

GRID = PatchGrid(32632, 475_000.0, 5_475_000.0, 40, 40)
SETTINGS = OsmLanduseSettings()
COLOURS = np.array([row.rgb for row in load_legend("osm_landuse")], np.uint8)


def opaque(rgb):
    rgb = np.asarray(rgb, np.uint8)
    return np.concatenate([rgb, np.full((*rgb.shape[:-1], 1), 255, np.uint8)], axis=-1)


def uniform(rgb, height=30, width=30):
    return opaque(np.broadcast_to(np.array(rgb, np.uint8), (height, width, 3)))


@pytest.fixture(scope="module")
def request_():
    return aligned_request(GRID, 5.0)


def test_a_colour_counts_up_to_the_limit_and_not_beyond():
    urban = COLOURS[0].astype(int)
    picture = opaque([[urban, urban + (8, -0, 8), urban + (0, 9, 0), (255, 255, 255), (0, 0, 0)]])
    ids = classify_colours(picture, colour_limit=8)
    assert ids.tolist() == [[0, 0, UNKNOWN, BACKGROUND, UNKNOWN]]


def test_transparent_is_unmapped():
    picture = uniform(COLOURS[4], 2, 2).copy()
    picture[0, 0, 3] = 0
    assert classify_colours(picture, 8).tolist() == [[BACKGROUND, 4], [4, 4]]


@pytest.mark.parametrize("first", range(13))
def test_no_blended_edge_becomes_a_third_class(first):
    colours = np.vstack([COLOURS, (255, 255, 255)]).astype(float)
    shares = np.linspace(0, 1, 41)
    for second in range(len(colours)):
        blends = np.rint(np.outer(1 - shares, colours[first]) + np.outer(shares, colours[second]))
        rows = [[colours[first]] * 4 + [blend] + [colours[second]] * 4 for blend in blends]
        picture = opaque(np.repeat(rows, 6, axis=0))
        ids = without_hairlines(classify_colours(picture, colour_limit=8))
        assert set(np.unique(ids)) <= {first, second, BACKGROUND, UNKNOWN}


def test_slanted_edges_are_not_worn_away():
    rows, columns = np.indices((40, 40))
    for slope in (0.0, 0.3, 1.0, 2.7):
        ids = np.where(columns > slope * rows, 3, BACKGROUND).astype(np.uint8)
        kept = without_hairlines(ids)
        assert (kept[1:-1, 1:-1] == ids[1:-1, 1:-1]).mean() > 0.995


def test_a_thin_line_is_an_edge_beside_another_class_and_real_between_blends():
    def kept(*row):
        return without_hairlines(np.array([row] * 5, np.uint8))[2].tolist()

    assert kept(0, 0, 3, 0, 0) == [0, 0, UNKNOWN, 0, 0]
    between = [0, 0, UNKNOWN, 3, UNKNOWN, 0, 0]
    assert kept(*between) == between
    assert kept(0, 0, 3, 3, 0, 0) == [0, 0, 3, 3, 0, 0]


def test_a_label_is_the_majority_of_sixteen_places_in_its_pixel(request_):
    random = np.random.default_rng(3)
    candidates = np.array([0, 4, BACKGROUND, UNKNOWN], np.uint8)
    size = request_.height, request_.width
    ids = random.choice(candidates, size, p=[0.2, 0.15, 0.1, 0.55]).astype(np.uint8)
    steps = 2.5 * (np.arange(160) + 0.5)
    x, y = np.meshgrid(GRID.left + steps, GRID.top - steps)
    mercator = Transformer.from_crs(GRID.epsg, 3857, always_xy=True).transform(x, y)
    columns, rows = (np.floor(place).astype(int) for place in ~request_.transform @ mercator)
    places = ids[rows, columns].reshape(40, 4, 40, 4).swapaxes(1, 2).reshape(40, 40, 16)
    votes = np.array([(places == one).sum(axis=-1) for one in (0, 4, BACKGROUND)])
    known, most, winner = votes.sum(axis=0), votes.max(axis=0), votes.argmax(axis=0)
    decided = (known >= 4) & (2 * most >= known) & (winner < 2)
    expected = np.where(decided, candidates[winner], UNLABELLED)
    for rare in (known == 4, known == 3, 2 * most == known, 2 * most == known - 1):
        assert (rare & (winner < 2)).sum() > 10, "the picture has all cases"
    assert (majority_label(ids, request_, GRID) == expected).mean() > 0.99


def test_an_unknown_class_is_reported_by_its_colour(request_):
    picture = uniform(COLOURS[4], request_.height, request_.width).copy()
    picture[10:40, 10:40, :3] = (200, 200, 200)
    decoded = decode_tile(picture, request_, GRID, SETTINGS)
    assert decoded.unknown_colours == ((200, 200, 200),)
    assert decoded.unknown_share == pytest.approx(900 / (request_.height * request_.width))
    assert set(np.unique(decoded.label)) == {4, UNLABELLED}


def test_a_thin_unknown_line_is_an_edge_and_not_a_class():
    picture = uniform(COLOURS[4], 60, 60).copy()
    picture[:, 30:32, :3] = (200, 200, 200)
    assert solid_unknown_colours(picture, classify_colours(picture, 8)) == ()


def test_a_picture_of_foreign_colours_labels_nothing(request_):
    picture = uniform((1, 2, 3), request_.height, request_.width)
    decoded = decode_tile(picture, request_, GRID, SETTINGS)
    assert decoded.status is TileStatus.UNKNOWN_COLOURS
    assert (decoded.label == UNLABELLED).all()


def test_white_is_empty(request_):
    decoded = decode_tile(
        uniform((255, 255, 255), request_.height, request_.width), request_, GRID, SETTINGS
    )
    assert decoded.status is TileStatus.EMPTY


@pytest.mark.parametrize("decoding", ["majority", "released"])
@pytest.mark.parametrize("number", range(13))
def test_each_class_keeps_the_papers_number(request_, decoding, number):
    settings = OsmLanduseSettings(decoding=decoding)
    picture = uniform(COLOURS[number], request_.height, request_.width)
    assert (decode_tile(picture, request_, GRID, settings).label == number).all()


def test_released_invents_classes_where_the_numbers_of_two_enclose_others(request_):
    picture = uniform(COLOURS[0], request_.height, request_.width).copy()
    picture[:, request_.width // 2 :, :3] = COLOURS[12]
    released = decode_tile(picture, request_, GRID, OsmLanduseSettings(decoding="released"))
    ours = decode_tile(picture, request_, GRID, SETTINGS)
    assert set(np.unique(ours.label)) <= {0, 12, UNLABELLED}
    assert (ours.label != UNLABELLED).mean() > (released.label != UNLABELLED).mean()
