"""The page: its numbers are those of the stores, it needs nothing else, it hides nothing."""

import html
import json
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.legend import load_legend
from pipeline.osm_landuse.agreement import load_crosswalk
from pipeline.report.contents import read_contents
from pipeline.report.page import attention, findings_by_check, rebuild_command
from pipeline.verify.findings import Finding, read_verification, verification
from tests.browser import DESKTOP, PHONE, find_chromium, offline_page
from tests.unit.report.conftest import DEFECTS

STRAYS = """
[...document.querySelectorAll("main *")]
  .filter((one) => !one.closest(".leaflet-container"))
  .filter((one) => one.matches("img:not([alt]), img[alt=''], th:not([scope])")
    || (one.matches("[tabindex]") && !one.ariaLabel)
    || (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === "auto"
        && one.tabIndex < 0 && one.tagName !== "PRE"))
  .map((one) => one.outerHTML.slice(0, 99))
"""
"""Pictures without words, cells without a head, and what scrolls but not by the keyboard."""

DW = {row.flag_meaning: row.id for row in load_legend("dynamic_world")}
OSM = {row.flag_meaning: row.id for row in load_legend("osm_landuse")}


@pytest.fixture(scope="module")
def numbers(report):
    return report.parsed.numbers


def stored(report, name, group=None):
    """The complete samples, as stored, read by xarray alone."""
    path = report.folder / f"{name}.zarr"
    data = xr.open_zarr(path, group=group, chunks=None, mask_and_scale=False)
    return data.isel(sample=data["valid"].values)


def test_outcomes_are_those_of_the_stores(report, numbers):
    everything = xr.open_zarr(report.folder / "nol.zarr", chunks=None)
    valid = everything["valid"].values
    assert numbers["outcomes/nol/total"] == valid.size == 8
    assert numbers["outcomes/nol/kept"] == valid.sum() == 6
    assert numbers["outcomes/nol/kept_share"] == pytest.approx(valid.mean())
    splits = Counter(everything["split"].values[valid].tolist())
    told = {key: value for key, value in numbers.items() if "outcomes/nol/split/" in key}
    assert told == {f"outcomes/nol/split/{split}": count for split, count in splits.items()}
    reasons = pd.read_parquet(report.folder / "nol.index.parquet")["reason"][~valid]
    for reason, count in Counter(reasons).items():
        assert numbers[f"outcomes/nol/rejected/{reason}"] == count


@pytest.mark.parametrize("name", ["dw", "osm"])
def test_tiles_are_counted_by_outcome(report, numbers, name):
    kept = sum(stored(report, name, group).sizes["sample"] for group in ("train", "test"))
    assert numbers[f"outcomes/{name}/kept"] == kept
    expected = {"dw": ("nodata", 8), "osm": ("empty", 5)}[name]
    assert numbers[f"outcomes/{name}/rejected/{expected[0]}"] == 1
    assert numbers[f"outcomes/{name}/total"] == expected[1]


@pytest.mark.parametrize("season", ["all", 0, 3])
def test_classes_by_season(report, numbers, season):
    data = stored(report, "nol")
    for split in ("train", "validation"):
        label = data["label"].values[data["split"].values == split]
        label = label if season == "all" else label[:, season]
        for key, value in {**DW, "unlabelled": 255}.items():
            told = numbers[f"classes/nol/{split}/{season}/{key}"]
            assert told == (label == value).sum(), key


@pytest.mark.parametrize(("name", "legend"), [("dw", DW), ("osm", OSM)])
@pytest.mark.parametrize("group", ["train", "test"])
def test_classes_of_tiles(report, numbers, name, legend, group):
    label = stored(report, name, group)["label"].values
    for key, value in {**legend, "unlabelled": 255}.items():
        assert numbers[f"classes/{name}/{group}/all/{key}"] == (label == value).sum(), key


@pytest.mark.parametrize(("array", "axis"), [("s2_10m", "band_10m"), ("s1", "band_s1")])
def test_band_statistics(report, numbers, array, axis):
    data = xr.open_zarr(report.folder / "nol.zarr", chunks=None)
    data = data.isel(sample=data["valid"].values & (data["split"].values == "train"))
    for band in data[axis].values:
        values = data[array].sel({axis: band}).values.astype(np.float64)
        assert numbers[f"bands/{band}/mean"] == pytest.approx(np.nanmean(values), rel=1e-6)
        assert numbers[f"bands/{band}/std"] == pytest.approx(np.nanstd(values), rel=1e-6)


def test_seasons_agree_as_their_labels_do(report, numbers):
    label = stored(report, "nol")["label"].values
    for first, second in combinations(range(4), 2):
        a, b = label[:, first], label[:, second]
        joint = (a < len(OSM)) & (b < len(OSM))  # a planted id lies outside every legend
        assert numbers[f"seasons/{first}-{second}/joint"] == joint.sum()
        assert numbers[f"seasons/{first}-{second}/same"] == (joint & (a == b)).sum()


def test_osm_agrees_as_its_labels_do(report, numbers):
    groups = [stored(report, "osm", group) for group in ("train", "test")]
    osm = np.concatenate([data["label"].values for data in groups])
    dw = np.concatenate([data["label_dw"].values for data in groups])
    joint = (osm != 255) & (dw != 255)
    agreeing = load_crosswalk()[osm[joint], dw[joint]].sum()
    assert numbers["osm/joint"] == joint.sum()
    assert numbers["osm/agreeing"] == agreeing
    assert numbers["osm/agreement"] == pytest.approx(agreeing / joint.sum())
    assert numbers["osm/tiles"] == len(osm)
    for one, osm_id in OSM.items():
        for other, dw_id in DW.items():
            told = numbers[f"osm/confusion/{one}/{other}"]
            assert told == ((osm == osm_id) & (dw == dw_id)).sum()


def test_scenes_are_those_on_record(report, numbers):
    data = xr.open_zarr(report.folder / "nol.zarr", chunks=None)
    data = data.isel(sample=data["valid"].values)
    days = (data["s1_time"] - data["s2_time"]).values / np.timedelta64(1, "D")
    assert numbers["scenes/nol/count"] == days.size
    assert numbers["scenes/nol/gap_median"] == pytest.approx(np.median(np.abs(days)))
    assert numbers["scenes/nol/gap_longest"] == pytest.approx(np.abs(days).max())
    assert numbers["scenes/nol/within_three_days"] == pytest.approx((np.abs(days) <= 3).mean())
    cloud = data["cloud_cover"].values
    assert numbers["scenes/nol/cloud_mean"] == pytest.approx(cloud.mean())
    tiles = [stored(report, "dw", group)["cloud_cover"].values for group in ("train", "test")]
    assert numbers["scenes/dw/count"] == sum(map(len, tiles))
    assert numbers["scenes/dw/cloud_largest"] == np.concatenate(tiles).max()


def test_effort_is_what_the_build_noted(report, numbers):
    assert numbers["effort/requests/pixels"] == 41
    assert numbers["effort/retries"] == 4
    assert numbers["effort/bytes_received"] == 5_678_901
    assert numbers["effort/steps/shards/jobs"] == 2
    assert numbers["effort/steps/shards/seconds"] == 42.5
    files = [file for file in (report.folder / "nol.zarr").rglob("*") if file.is_file()]
    assert numbers["effort/stores/nol"] == sum(file.stat().st_size for file in files)


def test_every_defect_is_told_and_its_sample_shown(report):
    result = read_verification(report.folder / "verify" / "nol.json")
    text = html.unescape(report.text)
    shown = [one for group, _ in findings_by_check(result) for one in group]
    assert report.parsed.findings == [finding.check for finding in shown]
    for (sample, season), (check, _) in DEFECTS.items():
        told = [f for f in shown if (f.check, f.sample_id) == (check, f"{sample:04d}")]
        assert told and {finding.season for finding in told} == {season}
        assert text.count(told[0].message) >= 2, "in the table and beside the sample"
        assert f"<h3>{sample:04d}</h3>" in text
    assert {finding.sample_id for finding in shown} == {f"{sample:04d}" for sample, _ in DEFECTS}
    assert f"verification of nol.zarr: {result.found} findings" in text
    assert "osm.zarr has not been verified" in text
    assert "verification of dw.zarr" not in text


def test_a_number_of_findings_tells_those_too_that_are_not_kept():
    one = Finding("bands", "s1", "0001", 0, "1", "0", "text")
    result = verification("nol.zarr", True, "1", [("bands", 9, "")], [one] * 20, {"bands": 100})
    ((shown, count),) = findings_by_check(result)
    assert (len(shown), count) == (12, 120)


def test_page_needs_no_other_file_and_no_network(report):
    parsed = report.parsed
    assert parsed.resources == ["data:,"]
    assert parsed.images
    assert all(source.startswith("data:image/") for source in parsed.images)
    styles = re.findall(r"<style>(.*?)</style>", report.text, re.DOTALL)
    targets = re.findall(r"url\(([^)]*)\)", "".join(styles))
    assert all(target.startswith(("data:", "#")) for target in targets)
    assert report.page.stat().st_size < 6e6


def test_simulation_is_marked_on_page_and_pictures(report):
    assert '<p class="simulated"><strong>SIMULATED</strong>' in report.text
    pictures = report.page.parent / "pictures"
    names = {file.stem for file in pictures.glob("*.svg")}
    assert names == {file.stem for file in pictures.glob("*.png")}
    assert {"locations", "classes_osm", "bands", "seasons", "osm_confusion"} <= names
    mark = np.array([163, 59, 0])
    for file in pictures.glob("*.png"):
        corner = np.asarray(Image.open(file).convert("RGB"))[:40, -140:].astype(int)
        assert (np.abs(corner - mark).sum(axis=-1) < 40).any(), file


def test_gallery_is_bounded_and_lies_beside_the_page(report):
    shown = re.findall(r'href="(gallery/[^"]+)"', report.text)
    assert len(shown) == len(set(shown)) == 6 + 6 + 4
    for file in shown:
        assert Image.open(report.page.parent / file).size[0] > 0


def test_command_and_settings_make_it_again(report):
    assert "points, all locations of the table" in report.text
    assert f"snakemake --configfile {report.folder}/settings.yaml -- build_noldo" in report.text
    assert report.settings.dataset_hash() in report.text


@pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed")
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_page_in_a_browser_without_network(report, size):
    pytest.importorskip("playwright", reason="playwright is not installed")
    with offline_page(report.page, size) as (page, complaints):
        pictures = page.evaluate("[...document.images].map(one => one.naturalWidth)")
        assert len(pictures) > 80
        assert min(pictures) > 0
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert page.evaluate("document.querySelectorAll('.map canvas').length") >= 1
        layers = page.locator(".leaflet-control-layers-overlays label")
        assert layers.filter(has_text="rejected, cloud (1)").count() == 1
        assert layers.filter(has_text="online background").locator(":checked").count() == 0
        assert page.evaluate(STRAYS) == []
        assert complaints == []


def test_a_build_of_one_store_is_told_alone(report, tmp_path):
    sums = tmp_path / "sums.json"
    sums.write_text(json.dumps({"nol": report.sums()["nol"]}))
    contents = read_contents(report.settings, sums)
    assert list(contents.stores) == ["nol"]
    assert contents.osm is None
    assert rebuild_command(contents).endswith("-- build_nol")
    assert not any("dw.zarr" in line for line in attention(contents))


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "does not exist"), ("{", "is damaged"), ("{}", "no finished store")],
)
def test_what_is_missing_is_one_line(report, tmp_path, text, words):
    sums = tmp_path / "sums.json"
    if text is not None:
        sums.write_text(text)
    with pytest.raises(PipelineError, match=words):
        read_contents(report.settings, sums)
