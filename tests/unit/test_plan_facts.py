"""What a plan reads from the steps that ran before, and what it assumes until then."""

import json
from dataclasses import replace

import pytest

from pipeline.errors import PipelineError
from pipeline.ledger import Reason, Status, write_records
from pipeline.plan_facts import (
    Amount,
    expert_tiles,
    kept_locations,
    paired_tiles,
    picture_requests,
    shard_sizes,
)
from pipeline.settings.tree import validate_settings
from tests.small_dataset import make_rows


@pytest.fixture
def settings(tmp_path):
    def build(**sections):
        return validate_settings({"results": str(tmp_path), **sections})

    return build


def select(settings, shard, kept, rejected):
    """Write the ledger of a shard: so many kept locations, then so many rejected ones."""
    rows = [row for sample in range(kept + rejected) for row in make_rows(sample)]
    rows[4 * kept :] = [
        replace(row, status=Status.REJECTED, reason=Reason.CLOUD) for row in rows[4 * kept :]
    ]
    path = settings.folder / "selection" / f"{shard}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_records(path, rows, settings.dataset_hash())


@pytest.mark.parametrize(
    ("area", "message"),
    [
        ("regions/nowhere.gpkg", "neither an existing file nor a WKT polygon"),
        ("POLYGON ((7 47, 7.1 47, 7.1 47.1, 7 47))", "holds at most about"),
        (None, "locations.area must be given"),
    ],
)
def test_a_region_that_cannot_be_used_is_told_before_anything_is_planned(settings, area, message):
    with pytest.raises(PipelineError, match=message):
        shard_sizes(settings(locations={"sampler": "area", "area": area, "count": 500}))


@pytest.mark.parametrize(("rule", "share"), [("paper", 103_793 / 251_079), ("dw_first", 0.86)])
def test_before_the_selection_a_share_is_assumed_and_the_limits_are_wide(settings, rule, share):
    kept = kept_locations(settings(selection={"rule": rule}), 1000)
    assert (kept.least, kept.expected, kept.most) == (0, round(1000 * share), 1000)


def test_the_configured_share_wins(settings):
    kept = kept_locations(settings(plan={"kept_share": 0.25}), 1000)
    assert (kept.expected, kept.source) == (250, "plan.kept_share")


def test_half_a_selection_is_counted_and_gives_the_share_of_the_rest(settings):
    select(settings(), 0, kept=3, rejected=1)
    kept = kept_locations(settings(), 8)
    assert (kept.least, kept.expected, kept.most) == (3, 6, 7)
    assert "4 locations" in kept.source


def test_a_whole_selection_leaves_nothing_to_guess(settings):
    select(settings(), 0, kept=3, rejected=1)
    select(settings(), 1, kept=2, rejected=2)
    kept = kept_locations(settings(), 8)
    assert kept.exact
    assert kept.expected == 5


def test_shards_are_counted_from_the_settings_until_there_is_a_table(settings):
    assert shard_sizes(settings(locations={"count": 150}, store={"shard_size": 64})) == [64, 64, 22]


def test_simulated_tiles_are_known_and_those_of_archives_only_when_listed(settings):
    section = {"simulated_train": 40, "simulated_test": 5, "shard_size": 32}
    assert expert_tiles(settings(dynamic_world=section)).shards == [32, 8, 5]
    published = {"tiles": "published", "train": "s3://a/b.zip", "test": "b"}
    assert expert_tiles(settings(dynamic_world=published)) is None


def test_a_build_on_the_real_earth_has_no_simulated_tiles(settings):
    assert expert_tiles(settings(earthengine={"service": "google"})) is None


def test_tiles_in_folders_are_counted_before_anybody_has_read_them(settings, tmp_path):
    for name in ("train/EH/4/a.tif", "train/WH/b.TIF", "train/readme.txt", "test/c.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folders = {split: str(tmp_path / split) for split in ("train", "test")}
    found = expert_tiles(settings(dynamic_world={"tiles": "published", **folders}))
    assert found.shards == [2, 1]
    assert "some may be of no use" in found.source


def test_pictures_are_counted_as_they_were_asked_for(settings):
    paired = Amount(10, 10, 10, "paired")
    assert str(picture_requests(settings(), paired)) == "12 (10 to 20)"
    folder = settings().folder / "osm" / "pictures"
    folder.mkdir(parents=True)
    (folder / "contract.json").write_text("{}")
    for number in range(10):
        (folder / f"{number}.png").touch()
        (folder / f"{number}.json").write_text(json.dumps({"asked": 1 + (number < 3)}))
    assert str(picture_requests(settings(), paired)) == "13"


def test_stored_tiles_are_counted(settings):
    rows = [make_rows(sample)[0] for sample in range(3)]
    rows = [replace(row, status=Status.DONE) for row in rows[:2]] + [
        replace(rows[2], status=Status.REJECTED, reason=Reason.FLAT_S2)
    ]
    ledger = settings().folder / "dw" / "shards" / "train" / "0.parquet"
    ledger.parent.mkdir(parents=True)
    write_records(ledger, rows)
    assert str(paired_tiles(settings(), 3)) == "2"
    assert (paired_tiles(settings(), 13).least, paired_tiles(settings(), 13).most) == (2, 12)
