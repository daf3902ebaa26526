"""A store with places and a store of tiles, both read only."""

from pathlib import Path

import pytest

from pipeline.export.store_group import StoreGroup, open_groups
from tests.placed_store import write_placed_store
from tests.training.learnable_tiles import write_tile_store


@pytest.fixture(scope="session")
def nol(tmp_path_factory) -> Path:
    return write_placed_store(tmp_path_factory.mktemp("placed") / "nol.zarr")


@pytest.fixture(scope="session")
def tiles(tmp_path_factory) -> Path:
    return write_tile_store(tmp_path_factory.mktemp("tiles") / "tiles.zarr")


@pytest.fixture(scope="session")
def groups(nol) -> list[StoreGroup]:
    return open_groups(nol)
