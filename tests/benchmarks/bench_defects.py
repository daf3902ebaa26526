"""Does `verify` find what is wrong by looking at content? Planted defects tell.

    python -m tests.benchmarks.bench_defects [--store results/demo/nol.zarr ...] [--page F]

Each defect is planted in a copy of a healthy store, then the command ``python -m pipeline.verify``
looks at the copy. Without ``--store``, the stores of the demo are built first. The limits: no
finding in a healthy store; every defect of a store or a season is found, but for those that leave
everything looking as it does on Earth; of single scenes most.
"""

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.atomic_file import write_atomically
from pipeline.fingerprints import code_version
from pipeline.verify.findings import Verification, read_verification
from tests.benchmarks.defect_list import DEFECTS
from tests.benchmarks.planted_defects import SINGLE_SCENES, Defect, Place, plant
from tests.workflow.conftest import ROOT, Workflow

STORES = ("nol", "dw", "osm")
FALSE_FINDINGS_MOST = 0
SCENES_LEAST = 0.5
"""Share of the defective scenes: cloud hides the ground of some, and they are not judged."""

BEGIN, END = "<!-- defects -->", "<!-- end of defects -->"
_PROCESSES = 2


@dataclass(frozen=True)
class Outcome:
    """What `verify` said of one copy.

    Attributes:
        store: Kind of the store.
        defect: That was planted; None in a healthy copy.
        planted: Places it was planted in; 1 where it is of the whole store or of a season.
        found: How many of them have a finding.
        elsewhere: Findings that name a sample that is as it was; all of them in a healthy copy.
        checks: Checks that found something, that with the most findings first.
    """

    store: str
    defect: Defect | None
    planted: int
    found: int
    elsewhere: int
    checks: tuple[str, ...]


def main() -> None:
    """Plant, verify, tell."""
    options = parse_arguments()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        stores = {path.stem: path for path in options.store or build_demo(Path(folder))}
        unknown = stores.keys() - set(STORES)
        if unknown:
            sys.exit(f"error: defects are known of {', '.join(STORES)}, not of {min(unknown)}")
        healthy: list[tuple[str, Defect | None]] = [(name, None) for name in stores]
        tasks = healthy + [(defect.store, defect) for defect in DEFECTS if defect.store in stores]
        with ThreadPoolExecutor(options.processes) as pool:
            outcomes = list(pool.map(lambda task: judge(stores[task[0]], task[1], folder), tasks))
    report = write_report(outcomes)
    print(report)
    if options.page is not None:
        insert_into_page(options.page, report)
    sys.exit(is_beyond_the_limits(outcomes))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, nargs="+", help="healthy stores of a build")
    parser.add_argument("--processes", type=int, default=_PROCESSES, help="copies side by side")
    parser.add_argument("--folder", type=Path, help="where the copies go; default: temporary")
    parser.add_argument("--page", type=Path, help="document whose table is replaced")
    return parser.parse_args()


def build_demo(folder: Path) -> list[Path]:
    """The three stores of the demo, on the simulated Earth."""
    configuration = yaml.safe_load((ROOT / "workflow/config/demo.yaml").read_text())
    workflow = Workflow(folder, configuration)
    workflow.build("build_noldo")
    return [workflow.folder / f"{name}.zarr" for name in STORES]


def judge(store: Path, defect: Defect | None, folder: str) -> Outcome:
    """What `verify` says of a copy with a defect."""
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        copy, places = plant(store, defect, Path(directory))
        result = verify(copy)
    outcome = compare(store.stem, defect, places, result)
    what = defect.what if defect else "healthy"
    print(
        f"{store.stem}: {what}: {outcome.found} of {outcome.planted}", file=sys.stderr, flush=True
    )
    return outcome


def verify(copy: Path) -> Verification:
    """The command that users type."""
    output = copy.with_suffix(".json")
    command = [sys.executable, "-m", "pipeline.verify", str(copy), "--report-only"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, "--output", str(output)], capture_output=True, text=True, env=environment
    )
    if run.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr[-2000:]}")
    return read_verification(output)


def compare(
    store: str, defect: Defect | None, places: frozenset[Place], result: Verification
) -> Outcome:
    """Hits and false findings of one copy."""
    findings = result.findings
    counts = Counter(finding.check for finding in findings)
    checks = tuple(check for check, _ in counts.most_common())
    named = [(finding.sample_id, finding.season) for finding in findings]
    if defect is None:
        return Outcome(store, None, 0, 0, len(findings), checks)
    if defect.extent is not SINGLE_SCENES:
        return Outcome(store, defect, 1, int(bool(findings)), 0, checks)
    # What cannot be read of a sample is one finding, whatever the season.
    hits = {place for place in places if {place, (place[0], None)} & set(named)}
    defective = {sample_id for sample_id, _ in places}
    elsewhere = sum(bool(one) and one not in defective for one, _ in named)
    return Outcome(store, defect, len(places), len(hits), elsewhere, checks)


def write_report(outcomes: Sequence[Outcome]) -> str:
    """The table of all defects, and what it comes to."""
    rows = ["| store | defect | where | found | by |", "|---|---|---|---|---|"]
    for one in outcomes:
        if one.defect is None:
            continue
        single = one.defect.extent is SINGLE_SCENES
        where = f"{one.planted} {one.defect.extent.name}" if single else one.defect.extent.name
        found = f"{one.found} of {one.planted}" if single else "yes" if one.found else "**no**"
        mark = " †" if one.defect.alike else ""
        cells = (f"`{one.store}.zarr`", one.defect.what + mark, where, found, ", ".join(one.checks))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*summary(outcomes), "", *rows])


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """What the table comes to, with the limits beside it."""
    wide, scenes = by_extent(outcomes)
    alike = [one for one in outcomes if one.defect and one.defect.alike]
    planted = sum(one.planted for one in scenes)
    return [
        f"{dt.date.today().isoformat()}, code {code_version()}.",
        "",
        f"- Of {len(wide)} defects of a whole store or season **{sum(one.found for one in wide)}** "
        f"were found (limit {len(wide)}).",
        f"- Of {planted} defective single scenes **{sum(one.found for one in scenes)}** were found "
        f"(limit {SCENES_LEAST:.0%}); clouds hide the ground of some.",
        f"- Of {len(alike)} defects that leave everything looking as it does on Earth (†) "
        f"**{sum(bool(one.found) for one in alike)}** were found.",
        f"- Healthy copies of the stores have **{false_findings(outcomes)}** findings "
        f"(limit {FALSE_FINDINGS_MOST}), healthy samples beside the defective ones "
        f"{sum(one.elsewhere for one in scenes)}.",
    ]


def by_extent(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """The defects that are to be found: of a store or season, and of single scenes."""
    due = [one for one in outcomes if one.defect and not one.defect.alike]
    scenes = [one for one in due if one.defect and one.defect.extent is SINGLE_SCENES]
    return [one for one in due if one not in scenes], scenes


def false_findings(outcomes: Sequence[Outcome]) -> int:
    """Findings in copies without a defect."""
    return sum(one.elsewhere for one in outcomes if one.defect is None)


def insert_into_page(page: Path, report: str) -> None:
    """Replace what stands between the marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(page, f"{before}{BEGIN}\n\n{report}\n\n{END}{after}".encode())


def is_beyond_the_limits(outcomes: Sequence[Outcome]) -> bool:
    """Whether a healthy store has a finding, or a defect that is to be found was not."""
    wide, scenes = by_extent(outcomes)
    found = sum(one.found for one in scenes)
    return (
        false_findings(outcomes) > FALSE_FINDINGS_MOST
        or not all(one.found for one in wide)
        or found < SCENES_LEAST * sum(one.planted for one in scenes)
    )


if __name__ == "__main__":
    main()
