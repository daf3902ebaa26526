"""Writes the report of a build: ``python -m pipeline.report``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import run_step
from pipeline.report.contents import read_contents
from pipeline.report.page import write_page
from pipeline.settings.tree import load_settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.report", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument(
        "--label-sums", type=Path, required=True, help="file of pipeline.report.label_sums"
    )
    parser.add_argument("--output", type=Path, required=True, help="page to write (HTML)")
    options = parser.parse_args(arguments)
    contents = read_contents(load_settings(options.settings), options.label_sums)
    write_page(contents, options.output)
    print(f"report: {options.output} ({options.output.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    run_step(main)
