"""Re-checks a store and lists what is wrong: ``python -m pipeline.verify <store>``.

Leaves with exit code 1 if anything is wrong. Where the pixels show a defect, no checksum is needed
to find it: a store that was wrong from the start is found as well as one that was altered.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.dask_cluster import dask_cluster
from pipeline.errors import run_step
from pipeline.verify.findings import Verification, write_verification
from pipeline.verify.store import verify_store

_SHOWN = 40
"""Findings that are printed; the file has all that were kept."""


def print_verification(console: Console, result: Verification) -> None:
    """Print the checks as a table and the findings as a list."""
    mark = "SIMULATED " if result.simulated else ""
    table = Table(title=f"{mark}{result.store}", title_justify="left")
    table.add_column("check")
    table.add_column("compared", justify="right")
    table.add_column("result")
    for check in result.checks:
        outcome = "wrong" if not check.passed else "right" if check.examined else "nothing to check"
        table.add_row(check.check, f"{check.examined:,}", outcome)
    console.print(table)
    for finding in result.findings[:_SHOWN]:
        season = "" if finding.season is None else f" season {finding.season}"
        where = f"{finding.array} {finding.sample_id}{season}".strip()
        line = f"{finding.check}: {where}: {finding.message} ({finding.value}; {finding.limit})"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(result.findings) > _SHOWN:
        console.print(f"and {len(result.findings) - _SHOWN} more findings")


def main(arguments: Sequence[str] | None = None) -> None:
    """Verify a store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.verify", description=__doc__)
    parser.add_argument("store", type=Path, help="a store, built or imported")
    parser.add_argument("--output", type=Path, help="file to write the result to (JSON)")
    parser.add_argument("--threads", type=int, default=1, help="workers to use (default: 1)")
    parser.add_argument("--workers", choices=["threads", "processes"], default="threads")
    parser.add_argument("--scheduler", help="address of a Dask cluster to use instead")
    parser.add_argument(
        "--report-only", action="store_true", help="leave with exit code 0 also after findings"
    )
    options = parser.parse_args(arguments)
    with dask_cluster(options.threads, options.workers, options.scheduler):
        result = verify_store(options.store)
    if options.output:
        write_verification(options.output, result)
    print_verification(Console(), result)
    if not result.passed and not options.report_only:
        raise SystemExit(1)


if __name__ == "__main__":
    run_step(main)
