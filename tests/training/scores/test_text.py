"""Names and numbers arrive in Markdown, LaTeX and HTML as they are."""

import html

import pytest

from training.scores.table import ScoreCell, ScoreTable, TableRow
from training.scores.text import RENDERERS, cell_text, to_html, to_latex, to_markdown

NAN = float("nan")
CELLS = (ScoreCell(51.234, 0.456, 50.1, 52.3, "best"), ScoreCell(), ScoreCell(7.0, NAN))
TABLE = ScoreTable(
    title="Scores of a & b (%)",
    label_titles=("Encoder",),
    groups=(("Frozen", 2), ("Fine-tuned", 1)),
    columns=("OA", "mIoU", "OA"),
    sections=(("Sentinel-2", (TableRow(("mid_F|<x>",), CELLS),)),),
    notes=("100 % of the tiles",),
)


def test_a_cell_has_what_it_knows():
    assert cell_text(CELLS[0]) == ("51.23 ± 0.46", "[50.10, 52.30]")
    assert cell_text(CELLS[1]) == ("–", "")
    assert cell_text(CELLS[2]) == ("7.00", "")


def test_markdown_keeps_its_columns():
    lines = to_markdown([TABLE]).splitlines()
    heads = "| Encoder | Frozen OA | Frozen mIoU | Fine-tuned OA |"
    assert lines[0] == "### Scores of a & b (%)" and lines[2] == heads
    assert lines[5] == "| mid_F\\|<x> | **51.23 ± 0.46** [50.10, 52.30] | – | 7.00 |"
    assert lines[-1] == "100 % of the tiles"


def test_latex_escapes_what_it_would_take_for_itself():
    text = to_latex([TABLE])
    assert r"\caption{Scores of a \& b (\%). 100 \% of the tiles}" in text
    row = next(line for line in text.splitlines() if line.startswith("mid"))
    mean = r"\textbf{51.23 $\pm$ 0.46}\\{\scriptsize [50.10, 52.30]}"
    assert row == rf"mid\_F|<x> & \shortstack[r]{{{mean}}} & -- & 7.00 \\"
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-4}" in text
    assert r"\multicolumn{4}{l}{\emph{Sentinel-2}} \\" in text and "{lrrr}" in text


def test_a_page_is_whole_and_runs_nothing():
    page = to_html([TABLE])
    assert html.escape("mid_F|<x>") in page and "<x>" not in page
    assert page.startswith("<!doctype html>") and page.count("<tr") == page.count("</tr>") == 4
    assert '<td class="best">51.23 ± 0.46<br><small>[50.10, 52.30]</small></td>' in page


@pytest.mark.parametrize("suffix", RENDERERS)
def test_every_form_takes_several_tables(suffix):
    text = RENDERERS[suffix]([TABLE, TABLE])
    assert text.count("51.23") == 2 and text.endswith("\n")
