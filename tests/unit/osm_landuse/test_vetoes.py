import numpy as np
import pytest
import rasterio

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.osm_landuse.vetoes import (
    Action,
    corrected_label,
    read_vetoes,
    veto_files,
    veto_rows,
)

GRID = PatchGrid(32632, 475_000.0, 5_475_000.0, 30, 40)


def written(tmp_path, *rows, header="tile_id,action,label,note"):
    path = tmp_path / "vetoes.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def label_file(tmp_path, values, grid=GRID):
    path = tmp_path / "label.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype.name, "crs": grid.crs}
    profile |= {"height": values.shape[0], "width": values.shape[1], "transform": grid.transform}
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)
    return path


def test_vetoes_are_read_by_tile(tmp_path):
    path = written(tmp_path, "dw_1,drop,,clouds", 'dw_2,correct,fixed/dw_2.tif,"lake, now drawn"')
    (tmp_path / "fixed").mkdir()
    (tmp_path / "fixed" / "dw_2.tif").touch()
    vetoes = read_vetoes(path)
    assert vetoes["dw_1"].action is Action.DROP
    assert vetoes["dw_1"].note == "clouds"
    assert vetoes["dw_2"].label == tmp_path / "fixed" / "dw_2.tif"
    assert veto_files(path) == [path, tmp_path / "fixed" / "dw_2.tif"]
    rows = [
        ["dw_1", "drop", "", "clouds"],
        ["dw_2", "correct", "fixed/dw_2.tif", "lake, now drawn"],
    ]
    assert veto_rows(path) == rows


def test_a_spreadsheets_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = written(tmp_path, "dw_1,drop,,")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_vetoes(path)) == ["dw_1"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["dw_1,remove,,"], "line 2: action 'remove'"),
        (["dw_1,correct,,"], "correct needs a label"),
        (["dw_1,drop,a.tif,"], "drop takes none"),
        (["dw_1,correct,a.tif,"], "line 2: the label .*a.tif does not exist"),
        (["dw_1,drop,,", "dw_1,drop,,"], "decides twice on dw_1"),
    ],
)
def test_a_row_that_is_no_veto_is_named(tmp_path, rows, message):
    with pytest.raises(PipelineError, match=message):
        read_vetoes(written(tmp_path, *rows))


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(PipelineError, match="do not exist"):
        read_vetoes(tmp_path / "none.csv")
    with pytest.raises(PipelineError, match="lacks the columns action"):
        read_vetoes(written(tmp_path, header="tile_id,label,note"))


def test_a_corrected_label_is_read(tmp_path):
    values = np.full(GRID.shape, 12, np.uint8)
    values[0] = 255
    np.testing.assert_array_equal(corrected_label(label_file(tmp_path, values), GRID), values)


def test_a_corrected_label_must_be_on_the_grid_and_in_the_legend(tmp_path):
    moved = PatchGrid(32632, GRID.left + 10, GRID.top, *GRID.shape)
    of_another_zone = PatchGrid(32633, GRID.left, GRID.top, *GRID.shape)
    values = np.zeros(GRID.shape, np.uint8)
    for other in (moved, of_another_zone):
        with pytest.raises(PipelineError, match="not on its tile's grid"):
            corrected_label(label_file(tmp_path, values, other), GRID)
    values[3, 3] = 13
    with pytest.raises(PipelineError, match="holds 13; allowed are 0 to 12"):
        corrected_label(label_file(tmp_path, values), GRID)
    with pytest.raises(PipelineError, match="cannot be read"):
        corrected_label(tmp_path / "none.tif", GRID)
