"""Rows are gathered as planned: all of them, each once, each of these settings."""

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.errors import PipelineError
from pipeline.settings.evaluate import EvaluateSettings, EvaluationKey
from pipeline.settings.tree import Settings, short_hash
from tests.training.score_rows import CLASSES, counts, score_row, write_rows
from training import gather as module
from training.gather import gather
from training.scores.rows import METRICS, ScoreRow, read_row, scores_of, write_row

ONE = EvaluationKey("osm", "random", "frozen", 1.0, 1)


@pytest.fixture
def planned(tmp_path):
    return write_rows(tmp_path)


def test_rows_have_the_promised_columns(planned, tmp_path):
    scores, summary = gather(tmp_path, planned, 50)
    assert len(scores) == 24 and len(summary) == 12
    promised = {*EvaluationKey._fields, *METRICS, "settings_hash", "device", "seconds"}
    assert promised <= set(scores.columns)
    assert scores["iou.snow_and_ice"].isna().all() and scores["iou.water"].notna().all()
    one = scores[(scores.task == "osm") & (scores.encoder == "random") & (scores.seed == 1)]
    expected = scores_of(counts("random", "frozen", 1).sum(0))
    assert one[one["mode"] == "frozen"]["miou"].item() == expected.miou


def test_means_and_deviations_are_over_seeds(planned, tmp_path):
    _, summary = gather(tmp_path, planned, 50)
    row = summary[(summary.task == "osm") & (summary.encoder == "random")]
    row = row[row["mode"] == "frozen"].iloc[0]
    values = [scores_of(counts("random", "frozen", seed).sum(0)).oa for seed in (0, 1)]
    assert row["oa_mean"] == pytest.approx(np.mean(values))
    assert row["oa_std"] == pytest.approx(np.std(values, ddof=1))
    assert row["seeds"] == 2 and row["oa_low"] < row["oa_mean"] < row["oa_high"]


def test_tables_keep_the_order_of_the_plan(planned, tmp_path):
    backwards = dict(reversed(planned.items()))
    scores, summary = gather(tmp_path, backwards, 10)
    assert list(dict.fromkeys(scores["encoder"])) == list(dict.fromkeys(summary["encoder"]))
    forwards, _ = gather(tmp_path, planned, 10)
    assert scores["encoder"].iloc[0] == forwards["encoder"].iloc[-1]


def test_one_missing_row_is_named(planned, tmp_path):
    (tmp_path / ONE.path).unlink()
    with pytest.raises(
        PipelineError, match=f"1 of 24 rows of scores are missing, such as {tmp_path / ONE.path}"
    ):
        gather(tmp_path, planned, 10)


def test_a_row_in_the_place_of_another_is_not_counted(planned, tmp_path):
    """A copy would be a second seed that agrees with the first in every digit."""
    other = ONE._replace(seed=0)
    (tmp_path / ONE.path).write_bytes((tmp_path / other.path).read_bytes())
    with pytest.raises(PipelineError, match="frozen_1_1.parquet holds the row .*frozen_1_0.parq"):
        gather(tmp_path, planned, 10)


def test_a_row_of_other_settings_is_not_counted(planned, tmp_path):
    with pytest.raises(PipelineError, match="frozen_1_1.parquet was made with other settings"):
        gather(tmp_path, planned | {ONE: "f" * 16}, 10)


@pytest.mark.parametrize("fact", ["store_hash", "weights_sha256", "tiles", "classes"])
def test_seeds_of_different_tiles_store_or_weights_are_not_averaged(planned, tmp_path, fact):
    row = read_row(tmp_path / ONE.path)
    facts, tiles, classes = row.facts, row.tiles, row.classes
    if fact == "tiles":
        tiles = tiles + 1
    elif fact == "classes":
        classes = tuple(reversed(CLASSES))
    else:
        facts = facts | {fact: "other"}
    write_row(tmp_path / ONE.path, ScoreRow(row.key, facts, classes, tiles, row.counts_TCC))
    named = "tiles" if fact == "classes" else fact
    with pytest.raises(PipelineError, match=f"random, frozen: seeds 0 and 1 differ in {named}; re"):
        gather(tmp_path, planned, 10)


def test_the_command_takes_the_rows_of_its_settings_alone(tmp_path):
    settings = Settings(
        evaluate=EvaluateSettings(
            tasks_used=("dw",), encoders_used=("random_s2",), modes=("frozen",), seeds=(4, 7)
        )
    )
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    facts = {"settings_hash": short_hash(settings.evaluate.defining("dw", "random_s2"))}
    for seed in (4, 7, 9):
        row = score_row("dw", "random_s2", "frozen", seed)
        row = ScoreRow(row.key, row.facts | facts, row.classes, row.tiles, row.counts_TCC)
        write_row(tmp_path / "rows" / row.key.path, row)
    output, summary = tmp_path / "scores.parquet", tmp_path / "summary.parquet"
    places = ("--rows", tmp_path / "rows", "--output", output, "--summary", summary)
    module.main([str(part) for part in ("--settings", path, *places)])
    assert pd.read_parquet(output)["seed"].tolist() == [4, 7]
    assert pd.read_csv(output.with_suffix(".csv"))["seed"].tolist() == [4, 7]
    assert pd.read_parquet(summary)["seeds"].tolist() == [2]
