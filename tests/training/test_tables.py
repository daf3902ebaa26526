"""Tables hold the scores that were measured: right means, right marks, in three formats."""

import html.parser
import re

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.settings.evaluate import EvaluateSettings, EvaluationKey
from training import tables
from training.gather import gather, write_scores
from training.scores.bootstrap import bootstrap_intervals, mean_scores
from training.scores.rows import METRICS, ScoreRow, read_row, scores_of, write_row
from training.tables import ablation_table, probe_table, read_published, task_table

CLASSES = ("water", "trees", "snow_and_ice")
"""The last one never occurs."""

TILES = 12


def counts(encoder, mode, seed):
    """Tiles with 60 to 90 % right answers; one has no label at all."""
    draw = np.random.default_rng([len(encoder), len(mode), seed])
    right = draw.integers(60, 90, (TILES, 2))
    found = np.zeros((TILES, 3, 3), np.int64)
    for label in (0, 1):
        found[:, label, label] = right[:, label]
        found[:, label, 1 - label] = 100 - right[:, label]
    found[3] = 0
    return found


def score_row(task, encoder, mode, seed, modality="s2"):
    facts = {
        "modality": modality, "head": "fpn", "encoder_depth": 5, "simulated": True,
        "settings_hash": "0" * 16, "device": "cpu", "seconds": 1.0,
    }  # fmt: skip
    key = EvaluationKey(task, encoder, mode, 1.0, seed)
    return ScoreRow(key, facts, CLASSES, np.arange(TILES), counts(encoder, mode, seed))


@pytest.fixture
def rows(tmp_path):
    return write_rows(tmp_path)


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return gather(write_rows(tmp_path_factory.mktemp("scores")), 50)[1]


def write_rows(folder):
    """Two tasks, three encoders, both modes, two seeds."""
    written = []
    for task in ("dfc2020", "osm"):
        for encoder, modality in (("random", "s2"), ("midF_s2", "s2"), ("one_s1", "s1")):
            for mode in ("frozen", "finetuned"):
                for seed in (0, 1):
                    row = score_row(task, encoder, mode, seed, modality)
                    write_row(folder / "rows" / row.key.path, row)
                    written.append(folder / "rows" / row.key.path)
    return written


def test_rows_have_the_promised_columns(rows):
    scores, summary = gather(rows, 50)
    assert len(scores) == 24 and len(summary) == 12
    promised = {*EvaluationKey._fields, *METRICS, "settings_hash", "device", "seconds"}
    assert promised <= set(scores.columns)
    assert scores["iou.snow_and_ice"].isna().all() and scores["iou.water"].notna().all()
    one = scores[(scores.task == "osm") & (scores.encoder == "random") & (scores.seed == 1)]
    expected = scores_of(counts("random", "frozen", 1).sum(0))
    assert one[one["mode"] == "frozen"]["miou"].item() == expected.miou


def test_means_and_deviations_are_over_seeds(summary):
    row = summary[(summary.task == "osm") & (summary.encoder == "random")]
    row = row[row["mode"] == "frozen"].iloc[0]
    values = [scores_of(counts("random", "frozen", seed).sum(0)).oa for seed in (0, 1)]
    assert row["oa_mean"] == pytest.approx(np.mean(values))
    assert row["oa_std"] == pytest.approx(np.std(values, ddof=1))
    assert row["seeds"] == 2 and row["oa_low"] < row["oa_mean"] < row["oa_high"]


def test_the_interval_is_that_of_drawing_tiles_again():
    found = bootstrap_intervals([counts("x", "frozen", 0)], 2000)["oa"]
    tiles = counts("x", "frozen", 0)
    draw = np.random.default_rng(99)
    values = []
    for _ in range(2000):
        total = tiles[draw.integers(0, TILES, TILES)].sum(0)
        values.append(np.trace(total) / total.sum())
    np.testing.assert_allclose(found, np.percentile(values, [2.5, 97.5]), atol=4e-3)


def test_many_matrices_score_as_each_alone():
    draw = np.random.default_rng(4)
    matrices = draw.integers(0, 50, (20, 5, 5))
    matrices[:, 4] = matrices[:, :, 4] = 0
    matrices[3, 2] = 0
    matrices[7] = 0
    found = mean_scores(matrices)
    for metric in METRICS:
        expected = [getattr(scores_of(matrix), metric) for matrix in matrices]
        np.testing.assert_allclose(found[metric], expected, rtol=1e-12)


def test_tiles_without_labels_alone_give_no_interval():
    found = bootstrap_intervals([np.zeros((3, 2, 2), np.int64)], 10)
    assert all(np.isnan(found[metric]).all() for metric in METRICS)


def test_best_and_second_best_are_marked_per_modality(summary):
    table = task_table(summary, "osm", read_published())
    sections = dict(table.sections)
    assert [row.labels[0] for row in sections["Sentinel-1"]] == ["one_s1"]
    first, second = sections["Sentinel-2"]
    for one, other in zip(first.cells, second.cells, strict=True):
        better, worse = (one, other) if one.mean > other.mean else (other, one)
        assert (better.mark, worse.mark) == ("best", "second")
    assert all(cell.mark == "best" for cell in sections["Sentinel-1"][0].cells)
    assert first.labels[1:] == ("fpn", "5 of 5", "100 %", "2")


def test_published_values_stand_beside_ours_with_their_table(summary):
    table = task_table(summary, "dfc2020", read_published())
    (_, published) = table.sections[-1]
    assert [row.labels[-1] for row in published] == ["Table II", "Table V"]
    assert published[0].cells[0].mean == 67.96 and published[0].cells[0].mark == ""
    assert np.isnan(published[0].cells[1].mean)
    frame = read_published()
    assert frame["table"].str.fullmatch(r"Table (II|III|IV|V|VI)").all()
    assert frame["source"].notna().all() and frame["percent"].between(0, 100).all()


class Cells(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.best, self._in_best = [], False

    def handle_starttag(self, tag, attributes):
        if tag == "td":
            self._in_best = ("class", "best") in attributes

    def handle_data(self, data):
        if self._in_best:
            self.best.append(data)
            self._in_best = False


def test_three_formats_say_the_same(summary, tmp_path):
    write_scores(summary, tmp_path / "summary.parquet")
    tables.main(["--summary", str(tmp_path / "summary.parquet"), "--output", str(tmp_path / "t")])
    markdown, latex, page = ((tmp_path / f"t.{s}").read_text() for s in ("md", "tex", "html"))
    parser = Cells()
    parser.feed(page)
    bold = re.findall(r"\*\*([^*]+)\*\*", markdown)
    assert bold == parser.best and len(bold) == 2 * 2 * 8
    assert re.findall(r"\\textbf\{([^}]+)\}", latex) == [b.replace("±", "$\\pm$") for b in bold]
    assert all("SIMULATED" in text for text in (markdown, latex, page))
    assert "one\\_s1" in latex and latex.count("\\begin{table*}") == 2
    assert latex.count("{") == latex.count("}")
    lines = [line for line in latex.splitlines() if " & " in line and "multicolumn" not in line]
    assert lines and all(line.endswith(" \\\\") for line in lines)
    assert {line.count(" & ") for line in lines} == {5 + 2 * 4 - 1}
    row = summary[(summary.task == "osm") & (summary.encoder == "one_s1")].iloc[0]
    assert f"{100 * row['oa_mean']:.2f} ± {100 * row['oa_std']:.2f}" in markdown


def test_every_line_of_a_table_has_the_same_columns(summary):
    for text in (tables.RENDERERS[".md"]([task_table(summary, "osm", read_published())]),):
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) == 1


def test_the_ablation_sets_tasks_side_by_side(summary):
    table = ablation_table(summary, ["midF_s2"], read_published())
    assert table.groups == (("dfc2020", 2), ("osm", 2))
    ((_, rows), (_, published)) = table.sections
    assert [row.labels[0] for row in rows] == ["midF_s2"]
    assert {row.labels[-1] for row in published} == {"Table IV", "Table V", "Table VI"}
    with pytest.raises(PipelineError, match="no score of nothing"):
        ablation_table(summary, ["nothing"], read_published())


def test_probes_have_a_table():
    rows = pd.DataFrame(
        [
            {"task": "eurosat", "encoder": name, "modality": "s2", "seed": seed, "classifier": kind,
             "oa": oa, "mf1": oa / 2, "simulated": False, "train_tiles": 90, "test_tiles": 30,
             "classes": 10}
            for name, seed, oa in (("random", 0, 0.3), ("random", 1, 0.5), ("midF_s2", 0, 0.7))
            for kind in ("linear", "knn5")
        ]
    )  # fmt: skip
    table = probe_table(rows)
    ((_, lines),) = table.sections
    assert "90 tiles to fit on, 30 scored; guessing among 10 classes gets 10 %" in table.notes[0]
    assert [line.labels[1] for line in lines] == ["2", "1"]
    assert lines[0].cells[0].std == pytest.approx(20 / 2**0.5) and np.isnan(lines[1].cells[0].std)
    assert [line.cells[0].mark for line in lines] == ["second", "best"]
    assert lines[1].cells[0].mean == pytest.approx(70)


def test_tables_keep_the_order_of_the_rows(rows):
    scores, summary = gather(rows[::-1], 10)
    assert list(dict.fromkeys(scores["encoder"])) == list(dict.fromkeys(summary["encoder"]))
    forwards, _ = gather(rows, 10)
    assert scores["encoder"].iloc[0] == forwards["encoder"].iloc[-1]


def test_one_missing_row_is_named(rows):
    rows[3].unlink()
    with pytest.raises(
        PipelineError, match=f"1 of 24 rows of scores are missing, such as {rows[3]}"
    ):
        gather(rows, 10)


def test_a_foreign_file_is_no_row(tmp_path):
    path = tmp_path / "row.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(PipelineError, match="is not a row of scores"):
        read_row(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(PipelineError, match="is not a row of scores"):
        read_row(path)


def test_seeds_on_different_tiles_are_not_averaged(rows):
    row = read_row(rows[1])
    write_row(rows[1], ScoreRow(row.key, row.facts, row.classes, row.tiles + 1, row.counts_TCC))
    with pytest.raises(PipelineError, match="were scored on different tiles"):
        gather(rows, 10)


def test_every_evaluation_has_a_row_of_its_own():
    planned = EvaluateSettings(label_fractions=(0.1, 1.0)).planned()
    assert len({key.path for key in planned}) == len(planned) == 2 * 6 * 2 * 2 * 3
    assert planned[0].path == "dw/random_s1/frozen_0.1_0.parquet"
