"""One shard of expert tiles through the real client: what a store that grows asks for."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from pipeline.dynamic_world.catalogue import find_tiles
from pipeline.dynamic_world.fetch import fetch_tiles
from pipeline.dynamic_world.finish import finish_dw
from pipeline.dynamic_world.store import create_dw_store
from pipeline.dynamic_world.tile_shard import TileShard
from pipeline.dynamic_world.tile_table import number_tiles
from pipeline.earthengine.session import earth_engine
from pipeline.errors import PipelineError
from pipeline.settings.tree import validate_settings
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.expert_tiles import draw_places, write_expert_tiles
from pipeline.simulator.faults import FaultPlan, FaultRule
from pipeline.simulator.server import SimulatedEarthEngine
from pipeline.store.reader import open_store

SIZE = 48
AREA = (11.2, 47.2, 12.8, 48.6)


@pytest.fixture(scope="module")
def server():
    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as running:
        yield running


@pytest.fixture
def build(server, tmp_path):
    return Build(server, tmp_path)


class Build:
    """The steps of one dw.zarr of a shard in each split, without the workflow."""

    def __init__(self, server, folder):
        self.server = server
        self.settings = validate_settings(
            {
                "results": str(folder),
                "earthengine": {"service": server.url, "attempts": 1},
                "dynamic_world": {"train_pixels": SIZE, "test_pixels": SIZE, "shard_size": 8},
            }
        )
        drawn = draw_places(AREA, [SIZE] * 5, seed=3)
        write_expert_tiles(folder / "tiles", drawn[:4], drawn[4:], 7)
        self.folder, self.store = folder, folder / "dw.zarr"
        self.train, _ = find_tiles(folder / "tiles/train", "train", SIZE)
        self.test, _ = find_tiles(folder / "tiles/test", "test", SIZE)

    def fetch(self, train):
        """Make room for these training tiles, fetch them, finish; the pixel requests it took."""
        before = self.pixel_requests()
        create_dw_store(self.store, self.settings, [*train, *self.test])
        for split, tiles in (("train", train), ("test", self.test)):
            ledger = self.folder / "shards" / split / "0.parquet"
            shard = TileShard(split, 0, tiles, self.store, ledger)
            fetch_tiles(shard, self.settings, lambda end: earth_engine(self.settings, end, 2))
        index = self.folder / "index.parquet"
        tiles = [*train, *self.test]
        finish_dw(self.settings, self.store, self.folder / "shards", tiles, index)
        return self.pixel_requests() - before

    def pixel_requests(self):
        return sum(record.workload_tag == "noldo-pixels" for record in self.server.journal)

    def stored(self, tile):
        store = open_store(self.store, "train")
        assert store["id"].values[tile.sample] == tile.tile_id
        return {name: store[name].values[tile.sample] for name in ("s2", "s1", "label", "valid")}


def equal(one, other):
    return all(np.array_equal(one[name], other[name], equal_nan=name == "s1") for name in one)


def test_only_what_is_new_is_fetched_and_nothing_else_changes(build):
    late, *early = build.train
    early = number_tiles(early, {})
    assert build.fetch(early) >= 4
    before = [build.stored(tile) for tile in early]
    every = number_tiles(build.train, {tile.tile_id: tile.sample for tile in early})
    assert [tile.tile_id for tile in every][-1] == late.tile_id
    assert 1 <= build.fetch(every) <= 2, "one tile, and once more for scenes with holes"
    assert all(equal(build.stored(tile), kept) for tile, kept in zip(early, before, strict=True))
    assert build.stored(every[-1])["valid"]
    assert build.fetch(every) == 0


def test_another_label_or_date_is_taken_up_and_no_other_tile_fetched(build):
    build.fetch(build.train)
    before = [build.stored(tile) for tile in build.train]
    with rasterio.open(build.train[0].path, "r+") as file:
        file.write(np.full((SIZE, SIZE), 3, np.uint8), 1)
    tiles, _ = find_tiles(build.folder / "tiles/train", "train", SIZE)
    tiles[1] = replace(tiles[1], date=tiles[1].date + dt.timedelta(days=40))
    assert 2 <= build.fetch(tiles) <= 4
    after = [build.stored(tile) for tile in tiles]
    assert (after[0]["label"] == 2).all() and np.array_equal(after[0]["s2"], before[0]["s2"])
    assert not equal(after[1], before[1])
    assert equal(after[2], before[2]) and equal(after[3], before[3])


def test_other_settings_are_named(build):
    tiles = [*build.train, *build.test]
    create_dw_store(build.store, build.settings, tiles)
    section = build.settings.dynamic_world.model_copy(update={"window_days": 20})
    changed = build.settings.model_copy(update={"dynamic_world": section})
    with pytest.raises(PipelineError, match=r"\(dynamic_world.window_days 15 -> 20\)"):
        create_dw_store(build.store, changed, tiles)


def test_a_tile_that_could_not_be_fetched_fails_the_shard_and_the_next_run_goes_on(build):
    whole = Build(build.server, build.folder / "whole")
    expected = whole.fetch(whole.train)
    pixels = frozenset({"pixels"})
    rule = FaultRule("error_503", positions=frozenset({1}), requests=pixels)
    build.server.faults = FaultPlan((rule,))
    try:
        with pytest.raises(
            PipelineError, match=r"1 of 4 tiles could not be fetched \(server_error: 1\)"
        ):
            build.fetch(build.train)
    finally:
        build.server.faults = FaultPlan()
    assert build.fetch(build.train) < expected, "what was fetched is not asked for again"
    assert all(equal(build.stored(tile), whole.stored(tile)) for tile in build.train)
