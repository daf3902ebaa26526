import pytest

from pipeline.legend import load_legend


@pytest.mark.parametrize(("legend", "count"), [("dynamic_world", 9), ("osm_landuse", 13)])
def test_ids_count_from_zero_and_everything_is_unique(legend, count):
    classes = load_legend(legend)
    assert [row.id for row in classes] == list(range(count))
    for key in ("name", "color", "paper_id", "released_id", "flag_meaning"):
        assert len({getattr(row, key) for row in classes}) == count, key
    assert all(row.paper_id == row.id + 1 for row in classes)
    assert sorted(row.released_id for row in classes) == list(range(1, count + 1))


def test_released_osm_files_number_forest_three_and_water_nine():
    classes = {row.name: row for row in load_legend("osm_landuse")}
    assert (classes["Forests"].paper_id, classes["Forests"].released_id) == (5, 3)
    assert (classes["Water bodies"].paper_id, classes["Water bodies"].released_id) == (7, 9)


def test_flag_meanings_are_single_words():
    meanings = [row.flag_meaning for row in load_legend("dynamic_world")]
    assert meanings[3] == "flooded_vegetation"
    assert all(" " not in meaning for meaning in meanings)


def test_colours_as_numbers():
    assert load_legend("dynamic_world")[0].rgb == (0x41, 0x9B, 0xDF)


def test_unknown_legend_is_refused():
    with pytest.raises(KeyError, match="corine"):
        load_legend("corine")
