"""What became of a source: a table for the screen, a row for every sample and refused member."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from pathlib import Path

from pipeline.atomic_file import write_atomically
from pipeline.importers.members import Refusal, printable

_SHOWN = 10


class Outcome(StrEnum):
    """What became of a sample or a member."""

    IMPORTED = "imported"
    INCOMPLETE = "incomplete"
    """Something is in the store, but not all: the sample is not valid."""
    REFUSED = "refused"
    """Nothing of it is in the store."""


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes:
        kind: ``sample`` or ``member``.
        group: Of the store, or the archive of a member.
        name: Of the sample or member.
        outcome: See `Outcome`.
        reason: In words that many rows share; empty for what is imported.
        detail: In words of its own.
    """

    kind: str
    group: str
    name: str
    outcome: Outcome
    reason: str = ""
    detail: str = ""


def member_rows(refusals: Iterable[Refusal]) -> list[Row]:
    """The members that were never read."""
    return [
        Row("member", refusal.source, refusal.name, Outcome.REFUSED, refusal.reason)
        for refusal in refusals
    ]


def write_report(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as CSV, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows([printable(str(value)) for value in astuple(row)] for row in rows)
    write_atomically(path, text.getvalue().encode())


def summary_text(
    title: str, rows: Sequence[Row], ignored: Counter[str], remarks: Sequence[str]
) -> str:
    """A table of how many samples and members were imported or not, and why.

    Args:
        title: First line.
        rows: Of the report.
        ignored: Files left aside, by reason.
        remarks: Lines to add.
    """
    counts = Counter((row.kind, row.group, row.outcome, row.reason) for row in rows)
    lines = [title, f"{'what':<10}{'group':<14}{'outcome':<12}{'number':>9}  reason"]
    for (kind, group, outcome, reason), count in sorted(counts.items()):
        lines.append(f"{kind:<10}{group[:13]:<14}{outcome.value:<12}{count:>9}  {reason}")
    for reason, count in sorted(ignored.items()):
        lines.append(f"{'file':<10}{'':<14}{'left aside':<12}{count:>9}  {reason}")
    lines += remarks
    refused = [row for row in rows if row.outcome is Outcome.REFUSED]
    for row in refused[:_SHOWN]:
        why = printable(row.detail or row.reason)
        lines.append(f"refused {row.kind} {printable(row.name)}: {why}")
    if len(refused) > _SHOWN:
        lines.append(f"... and {len(refused) - _SHOWN} more, all in the report")
    return "\n".join(lines) + "\n"
