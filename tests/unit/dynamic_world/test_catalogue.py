"""Folders of published tiles become a numbered table; what cannot be used is named."""

import datetime as dt
import json

import numpy as np
import pytest

from pipeline.dynamic_world.catalogue import find_tiles, main
from pipeline.dynamic_world.tile_table import dw_dataset, labels_hash, read_tiles_table
from pipeline.errors import PipelineError
from pipeline.ledger import SeasonRecord, Status, write_records
from pipeline.settings.tree import load_settings
from tests.unit.dynamic_world.test_expert_tile import SIZE, write_tile

EAST, WEST = "dw_12.5_48.1-20180625", "dw_-100.25_-3.5-20190606"
TEST_NAME = "dw_7.1_44.0-20190909"


@pytest.fixture
def train(tmp_path):
    write_tile(tmp_path / "train/EH/4" / f"{EAST}.tif")
    write_tile(tmp_path / "train/WH/10" / f"{WEST}.tif")
    return tmp_path / "train"


@pytest.fixture
def test_folder(tmp_path):
    write_tile(tmp_path / "test/labels" / f"label_{TEST_NAME}.tif")
    table = f"filename,s2_system_index\n{TEST_NAME},20190910T102021_20190910T102020_T32TLQ\n"
    (tmp_path / "test/meta.csv").write_text(table)
    return tmp_path / "test"


def test_training_tiles_are_numbered_by_id_with_the_date_of_their_name(train):
    tiles, refused = find_tiles(train, "train", SIZE)
    assert [(tile.sample, tile.tile_id) for tile in tiles] == [(0, WEST), (1, EAST)]
    assert [tile.date for tile in tiles] == [dt.date(2019, 6, 6), dt.date(2018, 6, 25)]
    assert refused == []


def test_test_tiles_have_their_date_from_the_metadata(test_folder):
    tiles, refused = find_tiles(test_folder, "test", SIZE)
    assert [(tile.tile_id, tile.date) for tile in tiles] == [(TEST_NAME, dt.date(2019, 9, 10))]
    assert refused == []


def test_every_file_that_cannot_be_used_is_named_with_its_reason(train):
    write_tile(train / "EH/4/dw_1.0_2.0-20181332.tif")
    write_tile(train / "EH/4/somewhere.tif")
    write_tile(train / "EH/4/dw_1.0_2.0-20180101.tif", crs="EPSG:4326")
    write_tile(train / "EH/4/dw_1.0_3.0-20180101.tif", np.zeros((SIZE, SIZE)))
    write_tile(train / "EH/5" / f"{EAST}.tif")
    (train / "EH/4/dw_1.0_4.0-20180101.tif").write_bytes(b"not a raster")
    tiles, refused = find_tiles(train, "train", SIZE)
    assert [tile.tile_id for tile in tiles] == [WEST, EAST]
    reasons = {one.path.relative_to(train).as_posix(): one.reason for one in refused}
    assert "date 20181332" in reasons["EH/4/dw_1.0_2.0-20181332.tif"]
    assert "not named dw_" in reasons["EH/4/somewhere.tif"]
    assert "EPSG:4326" in reasons["EH/4/dw_1.0_2.0-20180101.tif"]
    assert "no marked pixel" in reasons["EH/4/dw_1.0_3.0-20180101.tif"]
    assert "same id" in reasons[f"EH/5/{EAST}.tif"]
    assert "cannot be read" in reasons["EH/4/dw_1.0_4.0-20180101.tif"]
    assert len(refused) == 6
    assert not any("\n" in str(one) for one in refused)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("filename,date\na,b\n", "s2_system_index"),
        (f"filename,s2_system_index\n{TEST_NAME},soon\n", "date soon"),
    ],
)
def test_metadata_that_tell_no_date(test_folder, table, words):
    (test_folder / "meta.csv").write_text(table)
    with pytest.raises(PipelineError, match=words):
        find_tiles(test_folder, "test", SIZE)


def test_a_test_tile_without_metadata_is_refused(test_folder):
    write_tile(test_folder / "labels/label_dw_9.0_9.0-20190101.tif")
    tiles, refused = find_tiles(test_folder, "test", SIZE)
    assert len(tiles) == 1
    assert [one.reason for one in refused] == ["is not in the metadata CSV"]


def test_two_tables_need_a_name(test_folder):
    (test_folder / "other.csv").write_text("a\n")
    with pytest.raises(PipelineError, match="test_metadata"):
        find_tiles(test_folder, "test", SIZE)


def test_folders_without_a_tile(tmp_path, train):
    with pytest.raises(PipelineError, match="do not exist"):
        find_tiles(tmp_path / "none", "train", SIZE)
    with pytest.raises(PipelineError, match="none of the 2 files"):
        find_tiles(train, "train", SIZE + 1)


@pytest.fixture
def catalogue(tmp_path, train, test_folder):
    def run():
        settings = f"dynamic_world: {{train_pixels: {SIZE}, test_pixels: {SIZE}}}"
        (tmp_path / "settings.yaml").write_text(settings)
        folders = {"train": str(train), "test": str(test_folder)}
        (tmp_path / "source.json").write_text(json.dumps(folders))
        names = {"settings": "settings.yaml", "source": "source.json"}
        names |= {"output": "tiles.parquet", "refused": "refused.txt", "ledgers": "shards"}
        main([f"--{option}={tmp_path / name}" for option, name in names.items()])
        return read_tiles_table(tmp_path / "tiles.parquet")

    return run


def test_the_command_writes_both_splits_and_the_refusals(catalogue, tmp_path, train):
    write_tile(train / "bad.tif")
    tiles = catalogue()
    assert [(tile.split, tile.sample) for tile in tiles] == [
        ("test", 0),
        ("train", 0),
        ("train", 1),
    ]
    assert (tmp_path / "refused.txt").read_text().count("\n") == 1


def test_nobody_trains_on_a_test_tile(catalogue, tmp_path, train):
    write_tile(train / "EH/4" / f"{TEST_NAME}.tif")
    tiles = catalogue()
    assert [tile.split for tile in tiles if tile.tile_id == TEST_NAME] == ["test"]
    assert [tile.sample for tile in tiles if tile.split == "train"] == [0, 1]
    assert "is a test tile, too" in (tmp_path / "refused.txt").read_text()


def test_other_labels_are_told_from_the_earlier_ones(catalogue, train):
    before = labels_hash(catalogue())
    assert labels_hash(catalogue()) == before
    write_tile(train / "EH/4" / f"{EAST}.tif", np.full((SIZE, SIZE), 2))
    assert labels_hash(catalogue()) != before


def commit(tmp_path, *names):
    """The ledger of a committed training shard of these tiles, as it lies beside the store."""
    settings = load_settings(tmp_path / "settings.yaml")
    day = dt.date(2019, 1, 1)
    rows = [
        SeasonRecord(sample, name, 0, day, day, Status.DONE) for sample, name in enumerate(names)
    ]
    write_records(tmp_path / "shards/train/0.parquet", rows, dw_dataset(settings))


def test_tiles_that_come_later_are_numbered_after_the_committed_ones(catalogue, tmp_path, train):
    catalogue()
    commit(tmp_path, WEST, EAST)
    write_tile(train / "WH/10/dw_-120.5_3.5-20190606.tif")
    tiles = [tile for tile in catalogue() if tile.split == "train"]
    assert [tile.tile_id for tile in tiles] == [WEST, EAST, "dw_-120.5_3.5-20190606"]


def test_a_committed_tile_that_is_gone_is_one_line(catalogue, tmp_path, train):
    catalogue()
    commit(tmp_path, WEST, EAST)
    (train / "EH/4" / f"{EAST}.tif").unlink()
    with pytest.raises(PipelineError, match=f"1 of its tiles, the first {EAST},"):
        catalogue()


def test_commits_of_other_settings_do_not_count(catalogue, tmp_path):
    first = catalogue()
    (tmp_path / "shards/train").mkdir(parents=True)
    (tmp_path / "shards/train/0.parquet").write_bytes(b"rubbish")
    write_records(tmp_path / "shards/train/1.parquet", [], "another dataset")
    assert catalogue() == first
