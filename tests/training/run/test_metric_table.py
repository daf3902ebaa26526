"""One tidy table that a resumed run continues."""

import pytest

from pipeline.errors import PipelineError
from training.run.metric_table import Measurement, MetricTable, read_metrics

LOSS = Measurement(0, "train", "all", "all", "loss", 2.5)
IOU = Measurement(1, "validation", "s2", "Water", "iou", 0.25)


def test_rows_survive_the_file(tmp_path):
    MetricTable(tmp_path / "m.parquet").add([LOSS, IOU])
    assert read_metrics(tmp_path / "m.parquet") == [LOSS, IOU]
    frame = MetricTable(tmp_path / "m.parquet", first_epoch=9).frame()
    assert list(frame.columns) == ["epoch", "split", "modality", "class", "metric", "value"]


def test_epochs_that_are_measured_again_are_dropped(tmp_path):
    MetricTable(tmp_path / "m.parquet").add([LOSS, IOU])
    table = MetricTable(tmp_path / "m.parquet", first_epoch=1)
    table.add([IOU._replace(value=0.5)])
    assert read_metrics(tmp_path / "m.parquet") == [LOSS, IOU._replace(value=0.5)]


def test_keys_name_what_is_not_everything():
    assert LOSS.key == "train/loss" and IOU.key == "validation/s2/Water/iou"


def test_another_file_in_the_way_is_named(tmp_path):
    (tmp_path / "m.parquet").write_text("no table")
    with pytest.raises(PipelineError, match="is not a table of metrics"):
        MetricTable(tmp_path / "m.parquet")
