import json
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.legend import UNLABELLED
from pipeline.osm_landuse.review import ReviewTile, paint_disagreement, write_review
from pipeline.osm_landuse.vetoes import read_vetoes

FOREST, WATER, DW_TREES, DW_WATER = 4, 6, 1, 0


def tile(tile_id="dw_8.6_49.4-20190603", osm=FOREST, dw=DW_TREES):
    image = np.full((30, 40, 3), 90, np.uint8)
    labels = [np.full((30, 40), number, np.uint8) for number in (osm, dw)]
    return ReviewTile(tile_id, image, *labels)


def test_the_page_shows_every_tile_with_its_figures(tmp_path):
    page = write_review(tmp_path, [tile(), tile("other", WATER, DW_TREES)]).read_text()
    assert re.findall(r'data-tile="([^"]+)"', page) == ["dw_8.6_49.4-20190603", "other"]
    assert "agreement 100.0% of 100% labelled in both" in page
    assert "agreement 0.0%" in page
    assert "Coastal wetlands" in page and "Flooded vegetation" in page
    with Image.open(tmp_path / "other.png") as picture:
        assert picture.size == (4 * 40 + 3 * 6, 30)


def test_disagreement_is_told_from_missing_labels():
    osm = np.array([[FOREST, FOREST, UNLABELLED, WATER]], np.uint8)
    dw = np.array([[DW_TREES, DW_WATER, DW_TREES, UNLABELLED]], np.uint8)
    agree, contradict, no_osm, no_dw = paint_disagreement(osm, dw)[0].tolist()
    assert agree != contradict
    assert no_osm == no_dw
    assert no_osm not in (agree, contradict)


def test_the_file_the_page_saves_is_a_file_of_vetoes(tmp_path):
    page = write_review(tmp_path, [tile()]).read_text()
    header = re.search(r'\["(tile_id,[a-z,]+)"', page)[1]
    (tmp_path / "vetoes.csv").write_text(f'{header}\ndw_1,drop,,"clouds, ""thick"""\n')
    assert read_vetoes(tmp_path / "vetoes.csv")["dw_1"].note == 'clouds, "thick"'


def test_earlier_vetoes_go_into_the_saved_file_too(tmp_path):
    write_review(tmp_path, [tile("old")])
    earlier = [["dw_1", "drop", "", 'clouds </script> "thick"'], ["dw_2", "correct", "a.tif", ""]]
    page = write_review(tmp_path, [tile()], earlier).read_text()
    assert json.loads(re.search(r"const earlier = (.*);", page)[1]) == earlier
    assert "go into the file, too: 2<" in page
    assert page.count("</script>") == 1
    assert [path.name for path in tmp_path.glob("*.png")] == ["dw_8.6_49.4-20190603.png"]


def test_a_simulated_page_says_so(tmp_path):
    assert "SIMULATED" not in write_review(tmp_path, [tile()]).read_text()
    page = write_review(tmp_path, [tile()], simulated=True).read_text()
    assert "<h1>SIMULATED: Review" in page and "<title>SIMULATED: Review" in page


def test_an_id_never_becomes_a_path_or_markup(tmp_path):
    with pytest.raises(PipelineError, match="cannot be a file name"):
        write_review(tmp_path, [tile("<script>")])
