"""What the documentation names is there: commands, targets, files, figures of the plan."""

import importlib.util
import re
import subprocess
import sys

import pytest

from pipeline.plan import BuildPlan, plan_build
from pipeline.plan_facts import kept_locations, shard_sizes
from pipeline.settings.tree import validate_settings
from tests.docs.printed import ROOT, blocks_of, commands_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "docs|envs|pipeline|profiles|tests|training|workflow"
SITE = "profiles/my-site/"
"""A user's own profile."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_files_exist(page):
    text = page.read_text()
    for module in set(re.findall(r"python -m ((?:pipeline|training|tests)[\w.]*\w)", text)):
        assert importlib.util.find_spec(module), module
    named = set(re.findall(rf"[`(]((?:{FOLDERS})/[\w./-]*\w)[`)]", text))
    assert [name for name in named if not (ROOT / name).exists() and SITE not in name] == []


@pytest.fixture(scope="module")
def rules():
    """Every rule of the workflow."""
    command = [sys.executable, "-m", "snakemake", "--list-rules", "--quiet"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"^\w+", listed.stdout, re.MULTILINE))


def test_targets_are_rules(rules):
    for page in PAGES:
        for command in (line for block in blocks_of(page) for line in commands_of(block)):
            words = command.partition("#")[0].partition("--configfile")[0].split()
            if words[0] != "snakemake":
                continue
            targets = [word for word in words[1:] if re.fullmatch(r"[a-z][A-Za-z0-9]*_\w+", word)]
            assert set(targets) <= rules, f"{page.name}: {command}"


def test_printed_costs_are_those_of_the_plan():
    page = (ROOT / "docs" / "choosing.md").read_text()
    table = page.partition("<!-- table: costs -->")[2].partition("<!-- end -->")[0]
    rows = [row for row in table.splitlines() if re.match(r"\| \d", row)]
    assert len(rows) == 5
    for row in rows:
        count = int(row.split("|")[1].replace(",", ""))
        assert row == f"| {' | '.join(_costs(count))} |"


def _costs(count: int) -> list[str]:
    settings = validate_settings(
        {"locations": {"count": count}, "earthengine": {"service": "google"}, "results": "none"}
    )
    plan = plan_build(settings, shard_sizes(settings), kept_locations(settings, count))
    counts = (plan.locations, plan.kept.expected, plan.pixel_requests.expected)
    sizes = [f"{plan.download_gb:,.1f} GB", f"{plan.store_gb:,.1f} GB"]
    return [
        *(f"{number:,}" for number in counts),
        *sizes,
        f"{plan.eecu_hours:,.1f} EECU-hours",
        _duration(plan),
    ]


def _duration(plan: BuildPlan) -> str:
    assert plan.seconds is not None
    hours = plan.seconds / 3600
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
