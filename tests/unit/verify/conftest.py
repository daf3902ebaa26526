"""One painted store for all tests of the verification, and a way to verify changed copies."""

import shutil

import dask
import pytest

from pipeline.verify.store import verify_store
from tests.unit.verify.painted_store import painted_pixels, write_changed, write_store


@pytest.fixture(scope="session")
def pixels():
    """By (sample, season)."""
    return painted_pixels()


@pytest.fixture(scope="session")
def healthy(tmp_path_factory, pixels):
    """A store with nothing wrong; not to be changed."""
    return write_store(tmp_path_factory.mktemp("healthy") / "nol.zarr", pixels)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A store with patches of 12 pixels; not to be changed."""
    return write_store(tmp_path_factory.mktemp("small") / "nol.zarr", painted_pixels(12))


@pytest.fixture
def store(small, tmp_path):
    """A copy of the small store, enough where pixels do not matter."""
    return shutil.copytree(small, tmp_path / "nol.zarr")


@pytest.fixture
def verified():
    """Verifies a store in this thread."""

    def run(store):
        with dask.config.set(scheduler="synchronous"):
            return verify_store(store)

    return run


@pytest.fixture
def changed(tmp_path, pixels):
    """Makes a store in which a function has changed the pixels; see `write_changed`."""

    def make(change, samples=None, seasons=range(4)):
        return write_changed(tmp_path / "nol.zarr", pixels, change, samples, seasons)

    return make
