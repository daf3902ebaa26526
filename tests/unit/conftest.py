"""Small settings and pixels that the tests of store, fetch, finish and statistics share."""

import numpy as np
import pytest

from pipeline.season_pixels import SeasonPixels
from pipeline.settings import validate_settings

PATCH = 12
SHARD_SIZE = 4


@pytest.fixture
def small_settings(tmp_path):
    """Patches of 12 pixels, shards of 4 samples, results in the test's own folder."""
    return validate_settings(
        {
            "results": str(tmp_path / "results"),
            "grid": {"pixels": PATCH},
            "store": {"shard_size": SHARD_SIZE},
        }
    )


@pytest.fixture
def random_pixels():
    """A function of (sample, season): pixels without nodata, the same for the same arguments."""

    def draw(sample: int, season: int, size: int = PATCH) -> SeasonPixels:
        rng = np.random.default_rng([sample, season])
        return SeasonPixels(
            s2_10m=rng.integers(1, 10_000, (4, size, size), np.uint16),
            s2_20m=rng.integers(1, 10_000, (6, size // 2, size // 2), np.uint16),
            s2_60m=rng.integers(1, 10_000, (3, size // 6, size // 6), np.uint16),
            s1=rng.integers(-2500, 500, (2, size, size), np.int16),
            label=rng.integers(0, 9, (size, size), np.uint8),
        )

    return draw


@pytest.fixture
def shard_pixels(random_pixels):
    """A function of samples: their pixels in all four seasons, by (sample, season)."""

    def draw(*samples: int) -> dict[tuple[int, int], SeasonPixels]:
        return {(k, t): random_pixels(k, t) for k in samples for t in range(4)}

    return draw
