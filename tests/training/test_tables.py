"""Tables hold the scores that were measured: right means, right marks, in three formats."""

import html.parser
import re

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import PipelineError
from tests.training.score_rows import write_rows
from training import tables
from training.gather import gather, write_scores
from training.tables import ablation_table, probe_table, read_published, task_table


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    return gather(folder, write_rows(folder), 50)[1]


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
    assert not any("Not evaluated" in note for note in table.notes)
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


def test_what_was_not_evaluated_is_named_below_the_ablation(summary):
    table = ablation_table(summary, ["midF_s2", "lateF_s1", "lateF_s2"], read_published())
    assert table.notes[-1] == "Not evaluated: lateF_s1, lateF_s2."


def test_shares_of_the_labels_are_ranked_among_themselves(summary):
    """Few labels are no encoder, and would never be the best."""
    fewer = summary.assign(label_fraction=0.1)
    for metric in ("oa", "aa", "miou", "mf1"):
        fewer[f"{metric}_mean"] -= 0.3
    both = pd.concat([summary, fewer], ignore_index=True)
    rows = dict(task_table(both, "osm", read_published()).sections)["Sentinel-2"]
    marks = {(row.labels[0], row.labels[3]): row.cells[0].mark for row in rows}
    assert sorted(marks) == [
        ("midF_s2", "10 %"), ("midF_s2", "100 %"), ("random", "10 %"), ("random", "100 %"),
    ]  # fmt: skip
    for name in ("midF_s2", "random"):
        assert marks[name, "10 %"] == marks[name, "100 %"]
    assert sorted(marks.values()) == ["best", "best", "second", "second"]


def test_only_two_scores_are_marked_and_none_that_is_no_number(summary):
    means = [f"{metric}_mean" for metric in ("oa", "aa", "miou", "mf1")]
    ours = summary[(summary["task"] == "osm") & (summary["modality"] == "s2")]
    random = ours[ours["encoder"] == "random"]
    unscored = random.assign(encoder="unscored", **dict.fromkeys(means, float("nan")))
    third = random.assign(encoder="third", **{name: random[name] - 0.5 for name in means})
    for order in ([unscored, ours, third], [third, unscored, ours], [ours, unscored, third]):
        table = task_table(pd.concat(order, ignore_index=True), "osm", read_published())
        rows = dict(table.sections)["Sentinel-2"]
        for column in range(8):
            marks = {row.labels[0]: row.cells[column].mark for row in rows}
            assert (marks["unscored"], marks["third"]) == ("", "")
            assert {marks["random"], marks["midF_s2"]} == {"best", "second"}


def test_published_shares_of_the_labels_stay_apart(summary):
    published = read_published()
    few = published.assign(label_fraction=0.1, percent=1.0)
    table = task_table(summary, "dfc2020", pd.concat([published, few]))
    (_, rows) = table.sections[-1]
    found = {(row.labels[3], row.labels[4]): row.cells[0].mean for row in rows}
    assert found["100 %", "Table II"] == 67.96 and found["10 %", "Table II"] == 1.0


def test_published_values_are_explained_where_there_are_some(summary):
    notes = {
        task: " ".join(task_table(summary.assign(task=task), task, read_published()).notes)
        for task in ("dw", "dfc2020")
    }
    assert "Published" in notes["dfc2020"] and "Published" not in notes["dw"]
