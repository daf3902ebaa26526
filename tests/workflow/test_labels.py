"""dw.zarr and osm.zarr by the real workflow: what arrives, second runs, killed runs."""

import csv
import json
import shutil
import time

import numpy as np
import pytest
import rasterio
import xarray as xr

from pipeline.legend import load_legend
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine
from pipeline.store.create import read_attributes
from tests.workflow.conftest import TINY, Workflow, error_lines, executed_rules
from tests.workflow.killed_builds import kill_all, kill_worker, start

TILES = {
    "simulated_train": 7,
    "simulated_test": 3,
    "train_pixels": 94,
    "test_pixels": 96,
    "shard_size": 4,
}
LABELS = TINY | {
    "dynamic_world": TILES,
    "osm_landuse": {"requests_per_second": 50, "test_tiles": 4},
}
TARGETS = ("build_dw", "build_osm")
FETCH = "pipeline.dynamic_world.fetch"
STORES = ("dw.zarr/**/*", "osm.zarr/**/*", "dw.index.parquet", "*.summary.txt", "dw/tiles.parquet")


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """A finished build of both stores that tests look at and leave as it is."""
    workflow = Workflow(tmp_path_factory.mktemp("labels"), dict(LABELS))
    workflow.build(*TARGETS)
    return workflow


@pytest.fixture
def own_earth():
    """A simulated Earth that nobody else asks."""
    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as running:
        yield running


@pytest.fixture
def asking(simulated_earth):
    """The same settings, but that the steps ask a simulated Earth that is running already."""
    return LABELS | {"earthengine": {"service": simulated_earth}}


def opened(workflow, name, group):
    """A group as stored, read by xarray alone."""
    return xr.open_zarr(workflow.folder / name, group=group, chunks=None, mask_and_scale=False)


def stored(workflow):
    """Digests of both stores."""
    return workflow.digests(*STORES)


def table_rows(workflow):
    with (workflow.folder / "osm.tiles.csv").open() as file:
        return list(csv.DictReader(file))


def without_time(rows):
    return [{k: v for k, v in row.items() if k != "fetched_at"} for row in rows]


def test_dw_holds_the_tiles_as_published(labels):
    for split, count, size in (("train", 7, 94), ("test", 3, 96)):
        dataset = opened(labels, "dw.zarr", split)
        assert dataset.sizes["sample"] == count
        assert dataset["s2"].shape == (count, 13, size, size)
        valid = dataset["valid"].values
        assert valid.sum() >= count - 2
        for sample in np.flatnonzero(valid):
            tile = dataset.isel(sample=int(sample))
            assert (tile["s2"].values > 0).mean() > 0.9
            assert (tile["s1"].values > -32768).all()
            published = published_label(labels, split, tile["id"].item())
            np.testing.assert_array_equal(tile["label"].values, published)


def published_label(workflow, split, tile_id):
    """The label as the legend of the published codes gives it."""
    (path,) = (workflow.folder / "expert_tiles" / split).rglob(f"*{tile_id}.tif")
    with rasterio.open(path) as file:
        codes = file.read(1)
    return np.where((codes >= 1) & (codes <= 9), codes.astype(int) - 1, 255)


def test_osm_holds_padded_tiles_with_both_labels(labels):
    test = opened(labels, "osm.zarr", "test")
    train = opened(labels, "osm.zarr", "train")
    assert test.sizes["sample"] == 4
    assert test["s2"].shape[1:] == train["s2"].shape[1:] == (13, 96, 96)
    assert test["valid"].values.all() and train["valid"].values.all()
    classes = set(np.unique(train["label"].values)) | set(np.unique(test["label"].values))
    assert classes - {255} <= set(range(len(load_legend("osm_landuse"))))
    assert len(classes) > 3
    border = np.ones((96, 96), bool)
    border[1:-1, 1:-1] = False
    assert (train["label"].values[:, border] == 255).all()
    assert (train["label_dw"].values[:, border] == 255).all()
    assert (train["s2"].values[:, :, border] == 0).all()
    assert (train["agreement"].values >= 0.5).all()


def test_a_padded_tile_lies_one_pixel_further_out(labels):
    osm = opened(labels, "osm.zarr", "train")
    dw = opened(labels, "dw.zarr", "train")
    tile = osm.isel(sample=0)
    (source,) = np.flatnonzero(dw["id"].values == tile["id"].item())
    assert tile["left"].item() == dw["left"][source].item() - 10
    assert tile["top"].item() == dw["top"][source].item() + 10
    np.testing.assert_array_equal(tile["s2"][:, 1:-1, 1:-1], dw["s2"][source])
    np.testing.assert_array_equal(tile["label_dw"][1:-1, 1:-1], dw["label"][source])
    assert tile["s2_id"].item() == dw["s2_id"][source].item()


def test_the_table_lists_every_tile_with_imagery(labels):
    rows = table_rows(labels)
    valid = sum(int(opened(labels, "dw.zarr", split)["valid"].sum()) for split in ("train", "test"))
    assert len(rows) == valid
    kept = [row for row in rows if row["verdict"] == "kept"]
    assert {row["split"] for row in kept} == {"train", "test"}
    assert all(row["published_split"] == "train" for row in kept if row["split"] == "train")


def test_both_stores_tell_their_statistics_by_group(labels):
    for name in ("dw", "osm"):
        statistics = json.loads((labels.folder / f"{name}.statistics.json").read_text())
        assert read_attributes(labels.folder / f"{name}.zarr")["statistics"] == statistics
        for split in ("train", "test"):
            tiles = opened(labels, f"{name}.zarr", split)
            labelled = (tiles["label"].values[tiles["valid"].values] != 255).sum()
            classes = statistics["classes"][split]["all"]
            assert sum(classes.values()) - classes["unlabelled"] == labelled > 0
            red = statistics["bands"][split]["all"]["B4"]
            assert 100 < red["mean"] < 5000 and red["count"] > 0


def test_raw_pictures_are_kept_with_where_and_when(labels):
    records = sorted((labels.folder / "osm/pictures").glob("dw_*.json"))
    assert len(records) == len(table_rows(labels))
    record = json.loads(records[0].read_text())
    assert "GetMap" in record["url"] and record["fetched_at"] and len(record["sha256"]) == 64


def test_the_review_page_shows_the_test_tiles(labels):
    page = (labels.folder / "osm/review/index.html").read_text()
    tested = [row["tile_id"] for row in table_rows(labels) if row["split"] == "test"]
    assert all(name in page for name in tested)


def test_both_stores_say_that_they_are_simulated(labels):
    for name in ("dw.zarr", "osm.zarr"):
        attributes = opened(labels, name, "train").attrs
        assert attributes["simulated"] and "SIMULATED" in attributes["title"]


def test_a_second_run_does_nothing(labels):
    run = labels.run(*TARGETS)
    assert "Nothing to be done" in run.stdout + run.stderr


def test_a_veto_drops_a_tile_and_fetches_nothing(labels, tmp_path):
    dropped = next(row["tile_id"] for row in table_rows(labels) if row["split"] == "train")
    vetoes = tmp_path / "vetoes.csv"
    vetoes.write_text(f"tile_id,action,label,note\n{dropped},drop,,wrong coast\n")
    osm = LABELS["osm_landuse"] | {"vetoes": str(vetoes)}
    before = table_rows(labels)
    workflow = Workflow(labels.directory, LABELS | {"osm_landuse": osm})
    jobs = executed_rules(workflow.build("build_osm"))
    rows = {row["tile_id"]: row for row in table_rows(workflow)}
    assert rows[dropped]["verdict"] == "vetoed" and rows[dropped]["note"] == "wrong coast"
    assert [row["fetched_at"] for row in rows.values()] == [row["fetched_at"] for row in before]
    assert "pair_tiles" not in jobs
    names = opened(workflow, "osm.zarr", "train")["id"].values
    assert dropped not in names
    labels.build("build_osm")
    assert without_time(table_rows(labels)) == without_time(before)


def test_a_lost_shard_is_made_again_and_nothing_else(labels):
    before = stored(labels)
    (labels.folder / "dw.zarr/train/s1/c/1/0/0/0").unlink()
    jobs = executed_rules(labels.build(*TARGETS))
    assert jobs["pair_tiles"] == 1
    assert stored(labels) == before


def pixel_requests(earth):
    """Requests for imagery that a simulated Earth has answered so far."""
    return sum(record.workload_tag == "noldo-pixels" for record in earth.journal)


def test_published_tiles_that_come_later_are_fetched_and_no_others(labels, own_earth, tmp_path):
    """Tiles in folders give the same store, and a store that has grown is the same again."""
    tiles, folder = labels.folder / "expert_tiles", tmp_path / "tiles"
    shutil.copytree(tiles, folder)
    *_, late = sorted((folder / "train").rglob("*.tif"), key=lambda path: path.name)
    published = {"tiles": "published", "train": str(folder / "train"), "test": str(folder / "test")}
    service = {"earthengine": {"service": own_earth.url}}
    workflow = Workflow(tmp_path, LABELS | service | {"dynamic_world": TILES | published})
    late.rename(tmp_path / late.name)
    workflow.build("build_dw")
    before = pixel_requests(own_earth)
    assert opened(workflow, "dw.zarr", "train").sizes["sample"] == 6
    (tmp_path / late.name).rename(late)
    workflow.build("build_dw")
    assert 1 <= pixel_requests(own_earth) - before <= 3, "one tile, and again for scenes with holes"
    pixels = ("dw.zarr/*/s2/c/**/*", "dw.zarr/*/s1/c/**/*", "dw.zarr/*/label/c/**/*")
    assert workflow.digests(*pixels) == labels.digests(*pixels) != {}
    ours, theirs = (opened(one, "dw.zarr", "train") for one in (workflow, labels))
    assert (ours["valid"].values == theirs["valid"].values).all()
    assert (ours["s2_id"].values == theirs["s2_id"].values).all()


def test_steps_and_the_whole_run_killed(labels, asking, tmp_path):
    """Kill -9 each step as it starts, and the whole run while it fetches: the same bytes."""
    workflow = Workflow(tmp_path, asking)
    killed = set()
    while True:
        run = start(workflow, targets=TARGETS)
        # when statistics are killed the rest of the run goes on, past steps to be killed
        step = kill_worker(run, killed | {"pipeline.tile_statistics"})
        if step == FETCH:
            kill_while_fetching(run, workflow)
        run.wait()
        if step is None:
            break
        killed.add(step)
    assert {FETCH, "pipeline.osm_landuse.build"} <= killed
    workflow.build(*TARGETS)
    assert stored(workflow) == stored(labels)
    assert without_time(table_rows(workflow)) == without_time(table_rows(labels))


def kill_while_fetching(run, workflow):
    """Kill -9 a whole run as soon as one of its jobs, still alive, has kept a tile."""
    while run.poll() is None and not list(workflow.folder.glob("staging_dw/*/*.npz")):
        time.sleep(0.02)
    assert kill_all(run)


def test_tiles_that_do_not_exist_are_one_line(tmp_path):
    published = {"tiles": "published", "train": "nowhere", "test": "nowhere"}
    run = Workflow(tmp_path, LABELS | {"dynamic_world": published}).run("build_dw")
    assert run.returncode == 1
    assert [line for line in error_lines(run) if "nowhere (dynamic_world.test)" in line]
    assert "Traceback" not in run.stdout + run.stderr
