"""A row comes back from its file as it was, and no other file passes for one."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import PipelineError
from tests.training.score_rows import CLASSES, score_row
from training.scores.rows import read_row, write_row


def test_a_foreign_file_is_no_row(tmp_path):
    path = tmp_path / "row.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(PipelineError, match="is not a row of scores"):
        read_row(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(PipelineError, match="is not a row of scores"):
        read_row(path)


def test_a_row_is_the_same_after_writing(tmp_path):
    row = score_row("osm", "random", "frozen", 1)
    write_row(tmp_path / "a" / "row.parquet", row)
    found = read_row(tmp_path / "a" / "row.parquet")
    assert (found.key, found.facts, found.classes) == (row.key, row.facts, row.classes)
    assert np.array_equal(found.counts_TCC, row.counts_TCC)
    assert found.tiles.tolist() == row.tiles.tolist()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["row.parquet"]


def test_other_programs_read_the_columns_of_a_row(tmp_path):
    row = score_row("osm", "random", "frozen", 1)
    write_row(tmp_path / "row.parquet", row)
    (found,) = pd.read_parquet(tmp_path / "row.parquet").to_dict("records")
    assert json.loads(found["confusion"]) == row.counts_TCC.sum(0).tolist()
    assert json.loads(found["classes"]) == list(CLASSES) and found["seed"] == 1
    hits = row.confusion_CC.diagonal()
    assert found["test_tiles"] == len(row.tiles) == len(row.counts_TCC)
    assert found["oa"] == hits.sum() / row.confusion_CC.sum()
    assert found["recall.water"] == hits[0] / row.confusion_CC[0].sum()
    assert found["precision.water"] == hits[0] / row.confusion_CC[:, 0].sum()
    assert np.isnan(found["iou.snow_and_ice"])


@pytest.mark.parametrize("kept", [0, 20, 1000])
def test_a_cut_off_row_is_told_with_the_remedy(tmp_path, kept):
    path = tmp_path / "row.parquet"
    write_row(path, score_row("osm", "random", "frozen", 1))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(PipelineError, match="remove it, and the evaluation runs again"):
        read_row(path)
