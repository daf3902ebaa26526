"""The dataset card is one that Hugging Face reads, and its figures are those of the stores."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import xarray
import yaml
from huggingface_hub import DatasetCard

from pipeline.errors import PipelineError
from pipeline.metadata.card import dataset_card, describe_for_card, main
from pipeline.settings.tree import validate_settings

REMOTE = list(csv.DictReader(Path("workflow/config/sources.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def card(nol, osm):
    stores = [describe_for_card(one.store) for one in (nol, osm)]
    text = dataset_card(validate_settings({"name": "tiny"}), stores, REMOTE)
    return DatasetCard(text)


def test_the_header_is_metadata_of_hugging_face(card):
    data = card.data.to_dict()
    assert data["license"] == "other" and data["license_name"] and data["license_link"]
    assert data["size_categories"] == ["n<1K"] and "simulated" in data["tags"]
    assert data["task_categories"] == ["image-segmentation"]
    assert [one["config_name"] for one in data["configs"]] == ["nol", "osm"]


def test_the_header_describes_the_index_column_by_column(card, nol):
    info = card.data.to_dict()["dataset_info"][0]
    schema = pq.read_schema(nol.index)
    assert [feature["name"] for feature in info["features"]] == schema.names
    assert info["splits"][0]["num_examples"] == 6
    assert info["download_size"] == nol.index.stat().st_size
    types = {one["name"]: one.get("dtype") or {"list": one["list"]} for one in info["features"]}
    assert types["lon"] == "float64" and types["s2_id"] == {"list": "string"}


def test_the_text_counts_warns_credits_and_cites(card):
    text = card.text
    assert "5 of 6 | train 4, validation 1 |" in text
    assert "3 of 3 | test 1, train 2 |" in text
    assert "> **SIMULATED.**" in text
    assert "**`osm.zarr`.** Share-alike (`label`)" in text and "OpenStreetMap contributors" in text
    assert "Contains modified Copernicus Sentinel data" in text
    assert "@misc{tait2021" in text and text.count("@article{brown2022") == 1
    assert "`nol.zarr`: samples that are not valid, by reason: cloud 1." in text
    assert "`osm.zarr`: Sentinel-1 and Sentinel-2 lie up to 8.3 days apart." in text


def test_the_three_lines_to_read_it_work(card, nol, monkeypatch):
    code = card.text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(nol.folder)
    names = {}
    exec(code, names)  # noqa: S102 - the card's own lines
    assert isinstance(names["sample"], xarray.Dataset) and names["sample"]["id"].values == "0000"


def test_the_card_says_units_classes_and_groups(card):
    assert (
        "| `nol.zarr` | `s1` | sample, time, band_s1, y, x | int16, 0.01 dB | -32768 |" in card.text
    )
    assert "- `nol.zarr`, `label`: 0 Water, 1 Trees, 2 Grass," in card.text
    assert '`xarray.open_zarr("osm.zarr", group="train")`' in card.text


def test_the_command_writes_the_card_or_says_what_is_missing(nol, osm, tmp_path, capsys):
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"name": "tiny"}))
    words = ["--settings", settings, "--sources", "workflow/config/sources.csv"]
    words += ["--output", tmp_path / "README.md", "--stores"]
    main([str(word) for word in [*words, nol.store, osm.store]])
    assert capsys.readouterr().out.endswith("README.md: nol.zarr, osm.zarr\n")
    assert DatasetCard.load(tmp_path / "README.md").data.pretty_name == "tiny"
    bare = tmp_path / "osm.zarr"
    bare.symlink_to(osm.store)
    with pytest.raises(PipelineError, match=r"osm\.index\.parquet does not exist"):
        main([str(word) for word in [*words, bare]])
