"""Re-checks a store and lists what is wrong: ``python -m pipeline.verify <store>``.

Leaves with exit code 1 if anything is wrong. Where the pixels show a defect, no checksum is needed
to find it: a store that was wrong from the start is found as well as one that was altered.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.dask_cluster import add_dask_options, dask_cluster
from pipeline.errors import run_step
from pipeline.verify.findings import Check, Finding, Verification, write_verification
from pipeline.verify.store import verify_store

_SHOWN = 12
"""Findings of each check that are printed, so that none drowns the others; the file has more."""


def print_verification(console: Console, result: Verification) -> None:
    """Print the checks as a table and the first findings of each as a list."""
    mark = "SIMULATED " if result.simulated else ""
    table = Table(title=f"{mark}{result.store}", title_justify="left")
    table.add_column("check")
    table.add_column("compared", justify="right")
    table.add_column("result")
    for check in result.checks:
        table.add_row(check.check, f"{check.examined:,}", _outcome(check))
    console.print(table)
    for check in result.checks:
        own = [finding for finding in result.findings if finding.check == check.check]
        for finding in own[:_SHOWN]:
            console.print(_line(finding), markup=False, highlight=False, soft_wrap=True)
        if check.found > _SHOWN:
            console.print(f"{check.check}: {check.found - _SHOWN:,} more findings")


def _outcome(check: Check) -> str:
    if check.found:
        return f"wrong: {check.found:,} finding{'s' if check.found > 1 else ''}"
    return "right" if check.examined else "nothing to check"


def _line(finding: Finding) -> str:
    season = "" if finding.season is None else f"season {finding.season}"
    where = " ".join(filter(None, [finding.array, finding.sample_id, season]))
    parts = filter(None, [finding.check, where, finding.message])
    return f"{': '.join(parts)} ({finding.value}; allowed {finding.limit})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Verify a store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.verify", description=__doc__)
    parser.add_argument("store", type=Path, help="a store, built or imported")
    parser.add_argument("--output", type=Path, help="file to write the result to (JSON)")
    add_dask_options(parser)
    parser.add_argument(
        "--report-only", action="store_true", help="leave with exit code 0 also after findings"
    )
    options = parser.parse_args(arguments)
    with dask_cluster(options.threads, options.workers, options.scheduler):
        result = verify_store(options.store)
    print_verification(Console(), result)
    if options.output:
        write_verification(options.output, result)
    if not result.passed and not options.report_only:
        raise SystemExit(1)


if __name__ == "__main__":
    run_step(main)
