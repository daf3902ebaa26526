"""Tables of scores as Markdown, LaTeX and HTML."""

import html
import math
import re
from collections.abc import Callable, Sequence

from training.scores.table import ScoreCell, ScoreTable, TableRow

_NOTHING = "–"

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; width: fit-content;
  max-width: calc(100% - 2em); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { font-weight: 600; text-align: left; padding: .5em 0; }
th, td { padding: .25em .5em; text-align: right; white-space: nowrap; vertical-align: top; }
.label { text-align: left; }
td.label:first-child { white-space: normal; min-width: 7em; }
thead tr:last-child th, tr.section th { border-bottom: 1px solid #999; }
tr.section th { text-align: left; padding-top: .8em; }
td.best { font-weight: 700; }
td.second { text-decoration: underline; }
small { color: #666; display: inline-block; font-weight: 400; }
p { max-width: 60em; }
div.wide { overflow-x: auto; }
"""


def to_markdown(tables: Sequence[ScoreTable]) -> str:
    """Best in bold, second best underlined."""
    return "\n\n".join(_markdown_table(table) for table in tables) + "\n"


def to_latex(tables: Sequence[ScoreTable]) -> str:
    """A ``table*`` as wide as the page each; best in bold, second best underlined."""
    needed = "% \\usepackage{booktabs,graphicx}"
    return "\n\n".join([needed, *(_latex_table(table) for table in tables)]) + "\n"


def to_html(tables: Sequence[ScoreTable]) -> str:
    """One page that needs no other file."""
    body = "\n".join(_html_table(table) for table in tables)
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Scores</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body>\n</html>\n"
    )


RENDERERS: dict[str, Callable[[Sequence[ScoreTable]], str]] = {
    ".md": to_markdown,
    ".tex": to_latex,
    ".html": to_html,
}
"""By suffix of the file."""


def cell_text(cell: ScoreCell) -> tuple[str, str]:
    """Mean and spread of a score, and its interval; empty where there is none."""
    if math.isnan(cell.mean):
        return _NOTHING, ""
    text = f"{cell.mean:.2f}"
    if not math.isnan(cell.std):
        text += f" ± {cell.std:.2f}"
    return text, "" if math.isnan(cell.low) else f"[{cell.low:.2f}, {cell.high:.2f}]"


def _markdown_table(table: ScoreTable) -> str:
    spans = [title for title, count in table.groups for _ in range(count)]
    heads = [
        *table.label_titles,
        *(f"{span} {column}" for span, column in zip(spans, table.columns, strict=True)),
    ]
    lines = [f"### {table.title}", "", _markdown_line(heads)]
    lines.append(_markdown_line([":--"] + ["--:"] * (len(heads) - 1)))
    for title, rows in table.sections:
        lines.append(_markdown_line([f"*{title}*"] + [""] * (len(heads) - 1)))
        lines += [
            _markdown_line([*row.labels, *(_markdown_cell(cell) for cell in row.cells)])
            for row in rows
        ]
    return "\n".join([*lines, "", *(f"{note}\n" for note in table.notes)]).rstrip()


def _markdown_line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(part.replace("|", "\\|") for part in parts) + " |"


def _markdown_cell(cell: ScoreCell) -> str:
    text, interval = cell_text(cell)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[cell.mark]
    return f"{text} {interval}".rstrip()


def _latex_table(table: ScoreTable) -> str:
    labels, width = len(table.label_titles), len(table.label_titles) + len(table.columns)
    groups = [f"\\multicolumn{{{count}}}{{c}}{{{_tex(title)}}}" for title, count in table.groups]
    rules, first = [], labels + 1
    for _, count in table.groups:
        rules.append(f"\\cmidrule(lr){{{first}-{first + count - 1}}}")
        first += count
    body = []
    for title, rows in table.sections:
        body += ["\\midrule", f"\\multicolumn{{{width}}}{{l}}{{\\emph{{{_tex(title)}}}}} \\\\"]
        body += [_latex_row(row) for row in rows]
    return "\n".join(
        [
            "\\begin{table*}",
            "\\centering",
            f"\\caption{{{_tex(' '.join((table.title + '.', *table.notes)))}}}",
            "\\resizebox{\\textwidth}{!}{%",
            f"\\begin{{tabular}}{{{'l' * labels}{'r' * len(table.columns)}}}",
            "\\toprule",
            " & ".join([""] * labels + groups) + " \\\\",
            " ".join(rules),
            " & ".join(_tex(head) for head in (*table.label_titles, *table.columns)) + " \\\\",
            *body,
            "\\bottomrule",
            "\\end{tabular}}",
            "\\end{table*}",
        ]
    )


def _latex_row(row: TableRow) -> str:
    return (
        " & ".join([*map(_tex, row.labels), *(_latex_cell(cell) for cell in row.cells)]) + " \\\\"
    )


def _latex_cell(cell: ScoreCell) -> str:
    text, interval = (_tex(part) for part in cell_text(cell))
    text = {"best": f"\\textbf{{{text}}}", "second": f"\\underline{{{text}}}", "": text}[cell.mark]
    # Braces, lest the bracket of the interval be taken for an argument of the line break.
    return f"\\shortstack[r]{{{text}\\\\{{\\scriptsize {interval}}}}}" if interval else text


def _tex(text: str) -> str:
    escaped = re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "/"))
    return escaped.replace("±", "$\\pm$").replace(_NOTHING, "--")


def _html_table(table: ScoreTable) -> str:
    labels, width = len(table.label_titles), len(table.label_titles) + len(table.columns)
    groups = "".join(
        f'<th colspan="{count}" style="text-align:center">{html.escape(title)}</th>'
        for title, count in table.groups
    )
    heads = "".join(f'<th class="label">{html.escape(title)}</th>' for title in table.label_titles)
    heads += "".join(f"<th>{html.escape(title)}</th>" for title in table.columns)
    body = []
    for title, rows in table.sections:
        body.append(f'<tr class="section"><th colspan="{width}">{html.escape(title)}</th></tr>')
        body += [_html_row(row) for row in rows]
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    return (
        f'<div class="wide"><table><caption>{html.escape(table.title)}</caption>'
        f'<thead><tr><th colspan="{labels}"></th>{groups}</tr><tr>{heads}</tr></thead>\n'
        f"<tbody>{''.join(body)}</tbody></table></div>\n{notes}"
    )


def _html_row(row: TableRow) -> str:
    labels = "".join(f'<td class="label">{html.escape(label)}</td>' for label in row.labels)
    cells = []
    for cell in row.cells:
        text, interval = cell_text(cell)
        small = f"<br><small>{interval}</small>" if interval else ""
        cells.append(f'<td class="{cell.mark}">{text}{small}</td>')
    return f"<tr>{labels}{''.join(cells)}</tr>\n"
