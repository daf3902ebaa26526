import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.osm_landuse.split import KeptTile, assign_splits


def tile(number, published, *present):
    pixels = np.zeros(13, np.int64)
    pixels[list(present)] = 1000
    return KeptTile(f"dw_{number:04d}", published, pixels)


@pytest.fixture
def tiles():
    random = np.random.default_rng(5)
    frequency = np.array([0.5, 0.3, 0.6, 0.3, 0.9, 0.06, 0.7, 0.1, 0.5, 0.3, 0.1, 0.08, 0.04])
    train = [tile(n, "train", *np.flatnonzero(random.random(13) < frequency)) for n in range(900)]
    test = [
        tile(2000 + n, "test", *np.flatnonzero(random.random(13) < frequency)) for n in range(300)
    ]
    return train + test


def test_the_test_split_is_filled_up_to_its_size(tiles):
    splits = assign_splits(tiles, test_tiles=400, seed=0)
    assert list(splits.values()).count("test") == 400
    assert all(splits[tile.tile_id] == "test" for tile in tiles if tile.published_split == "test")
    assert len(splits) == len(tiles)


def test_every_class_is_drawn_in_its_share(tiles):
    splits = assign_splits(tiles, test_tiles=400, seed=0)
    candidates = [tile for tile in tiles if tile.published_split == "train"]
    present = np.array([tile.class_pixels > 0 for tile in candidates])
    drawn = np.array([splits[tile.tile_id] == "test" for tile in candidates])
    expected = present.sum(axis=0) * 100 / 900
    assert (np.abs(present[drawn].sum(axis=0) - expected) <= 1.5).all()


def test_the_draw_depends_on_the_seed_alone(tiles):
    first = assign_splits(tiles, 400, seed=0)
    assert assign_splits(tiles[::-1], 400, seed=0) == first
    assert assign_splits(tiles, 400, seed=1) != first


def test_a_tile_that_goes_or_comes_leaves_the_test_set_nearly_as_it_was(tiles):
    before = assign_splits(tiles, 400, seed=0)
    testing = {name for name, split in before.items() if split == "test"}
    drawn = [t for t in tiles if t.published_split == "train" and t.tile_id in testing]
    for changed in ([t for t in tiles if t is not drawn[7]], [*tiles, tile(999, "train", 4, 6)]):
        after = assign_splits(changed, 400, seed=0)
        still = {name for name, split in after.items() if split == "test"}
        assert len(testing - still) <= 5


def test_a_trace_of_a_class_does_not_count_as_its_presence(tiles):
    traced = [KeptTile(t.tile_id, t.published_split, t.class_pixels.copy()) for t in tiles]
    for one in traced:
        absent = one.class_pixels == 0
        one.class_pixels[absent] = one.class_pixels.sum() // 200
    assert assign_splits(traced, 400, seed=0) == assign_splits(tiles, 400, seed=0)


def test_shares_that_round_up_draw_no_tile_too_many():
    tiles = [tile(number, "train", number % 3) for number in range(30)]
    splits = assign_splits(tiles, test_tiles=2, seed=0)
    assert list(splits.values()).count("test") == 2


def test_more_published_test_tiles_than_asked_all_stay(tiles):
    splits = assign_splits(tiles, test_tiles=100, seed=0)
    assert list(splits.values()).count("test") == 300


def test_a_test_split_that_leaves_nothing_to_train_is_refused(tiles):
    with pytest.raises(PipelineError, match=r"1200 test tiles .* of 1200 kept ones"):
        assign_splits(tiles, test_tiles=1200, seed=0)


def test_no_tiles_at_all():
    assert assign_splits([], 400, seed=0) == {}
