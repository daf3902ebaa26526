"""Names that no id can turn into a path, and that no two ids share."""

import re

import pytest

from pipeline.export.file_names import file_stem, file_stems, tar_key

HOSTILE = (
    "../x",
    "a/b",
    "a\\b",
    "",
    ".",
    "..",
    ".hidden",
    "a..b",
    "a.",
    "a b",
    "ü",
    "x" * 300,
    "a\0",
    "NUL",
    "com1.x",
)


def test_usual_ids_stay_as_they_are():
    assert file_stem("0000012") == tar_key("0000012") == "0000012"
    assert file_stem("dw_11.2057_47.76-20200610") == "dw_11.2057_47.76-20200610"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ids_become_plain_names(name):
    for stem in (file_stem(name), tar_key(name)):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", stem), stem


def test_a_key_has_no_dot_and_is_nobody_elses():
    names = [*HOSTILE, "a_b", "a.b", "a-b", "A.b"]
    keys = [tar_key(name) for name in names]
    assert not any("." in key for key in keys)
    assert len(set(keys)) == len({file_stem(name) for name in names}) == len(names)


def test_names_differ_where_case_does_not_count():
    names = file_stems(["Ab", "aB", "c", "AB"])
    assert names["Ab"] == "Ab" and names["c"] == "c"
    assert len({name.casefold() for name in names.values()}) == 4
    # What the store had keeps its name when the store grows.
    assert file_stems(["Ab", "aB"]).items() <= names.items()


def test_an_id_made_to_look_like_the_name_of_another_takes_no_name_away():
    forged = file_stem("x!")
    assert len(set(file_stems([forged, "x!"]).values())) == 2
    assert file_stem("console") == "console"
