"""Small settings and pixels that the tests of store, fetch, finish and statistics share."""

import pytest

from pipeline.season_pixels import SeasonPixels
from tests.small_dataset import make_pixels, make_settings


@pytest.fixture
def small_settings(tmp_path):
    """Patches of 12 pixels, shards of 4 samples, results in the test's own folder."""
    return make_settings(tmp_path / "results")


@pytest.fixture
def random_pixels():
    """A function of (sample, season): pixels without nodata, the same for the same arguments."""
    return make_pixels


@pytest.fixture
def shard_pixels():
    """A function of samples: their pixels in all four seasons, by (sample, season)."""

    def draw(*samples: int) -> dict[tuple[int, int], SeasonPixels]:
        return {(k, t): make_pixels(k, t) for k in samples for t in range(4)}

    return draw
