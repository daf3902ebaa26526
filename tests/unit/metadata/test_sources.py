"""Licences follow from the sources, citations are complete, and nothing is said twice."""

import re
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.metadata.sources import (
    all_sources,
    bibtex_entries,
    latest_possible_year,
    licence_notices,
    publications,
    sources_of,
)
from pipeline.metadata.stac import collection_licence

KINDS = ["nol", "dw", "osm", "ssl4eo", "noldo_dw", "noldo_osm", "dfc2020", "eurosat"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_store_has_imagery_credit_and_something_to_cite(kind):
    sources = sources_of(kind)
    assert any(source.attribution.startswith("Contains modified Copernicus") for source in sources)
    assert bibtex_entries(sources)
    assert all(source.licence_url.startswith("https://") and source.checked for source in sources)


def test_osm_labels_are_share_alike_and_the_other_arrays_are_not():
    sources = sources_of("osm")
    (notice,) = licence_notices(sources, ["label", "label_dw", "s1", "s2"])
    assert notice.startswith("Share-alike (`label`)") and "Open Database License" in notice
    assert licence_notices(sources_of("dw"), ["label", "s1", "s2"]) == []
    covering = {name: [s.key for s in sources if s.covers(name)] for name in ("label", "label_dw")}
    assert covering["label"] == ["osmlanduse"]
    assert covering["label_dw"] == ["dynamic_world_experts", "dynamic_world_tests"]


def test_a_licence_that_nobody_could_verify_is_said_to_be_unknown():
    notices = licence_notices(sources_of("noldo_osm"), ["label"])
    assert any(notice.startswith("Unknown terms: for NoLDO-S12") for notice in notices)


def test_one_licence_for_all_is_named_several_are_other():
    mit = tuple(source for source in sources_of("eurosat") if source.spdx)
    assert collection_licence(mit) == "MIT"
    assert collection_licence(sources_of("eurosat")) == "other"


def test_references_are_well_formed_and_all_are_used():
    entries = bibtex_entries(all_sources())
    assert len(set(entries)) == len(entries)
    text = Path("pipeline/metadata/references.bib").read_text()
    assert len(re.findall("^@", text, re.MULTILINE)) == len(entries)
    for entry in entries:
        assert entry.count("{") == entry.count("}") and " author = " in entry
    assert {"doi": "10.1594/PANGAEA.933475"}.items() <= publications(sources_of("dw"))[0].items()


def test_pixels_are_no_younger_than_the_first_work_on_them():
    assert latest_possible_year(sources_of("eurosat")) == 2019


def test_a_store_of_another_name_is_refused():
    with pytest.raises(PipelineError, match=r"no source of mine\.zarr is known, only of dfc2020"):
        sources_of("mine")
