"""The workflow before anything runs: targets, style, plans, and refusals in one line."""

import re
import subprocess
import sys

import pytest

from tests.workflow.conftest import ROOT, executed_rules


@pytest.mark.parametrize("target", ["build_nol", "build_noldo", "plan"])
def test_every_target_can_be_planned(workflow, target):
    run = workflow.run("--dry-run", target)
    assert run.returncode == 0, run.stderr


def test_one_selection_and_one_fetch_job_per_shard(workflow):
    workflow.configuration["locations"] = workflow.configuration["locations"] | {"count": 641}
    jobs = executed_rules(workflow.run("--dry-run", "build_nol").stdout)
    assert jobs["select_scenes"] == jobs["fetch_pixels"] == 161
    assert jobs["locations"] == jobs["create_store"] == jobs["finish_nol"] == 1


def test_without_a_target_the_targets_are_listed(workflow):
    run = workflow.run()
    assert run.returncode == 0, run.stderr
    for target in ("build_nol ", "build_noldo ", "plan "):
        assert any(line.startswith(target) for line in run.stdout.splitlines()), target


def test_lint_is_clean():
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True
    )
    assert "Congratulations, your workflow is in a good condition!" in run.stdout + run.stderr


def test_every_rule_that_runs_a_command_tells_what_it_is_about():
    """Its message, its log, its memory and its environment; lint asks for less."""
    words = ("message", "log", "resources", "conda")
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for text in re.split(r"(?m)^ *(?:rule|checkpoint)\b.*:$", path.read_text())[1:]:
            if "shell:" in text:
                missing = [word for word in words if not re.search(rf"(?m)^ +{word}:$", text)]
                assert not missing, (path.name, text.strip().splitlines()[0], missing)


def test_reading_the_workflow_loads_no_library_of_pixels_or_tables():
    """Snakemake waits for what it loads at every start, also when there is nothing to be done."""
    rules = [path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")]
    modules = set(re.findall(r"^from (pipeline[.\w]*) import", "\n".join(rules), re.MULTILINE))
    assert len(modules) > 5
    code = f"import sys, {', '.join(sorted(modules))}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert {"dask", "odc", "pandas", "rasterio", "xarray", "zarr"}.isdisjoint(run.stdout.split())


def test_plan_prints_requests_and_fetches_nothing(workflow):
    run = workflow.run("plan")
    assert run.returncode == 0, run.stderr
    for word in ("selection requests", "pixel requests", "EECU-hours", "GB", "time"):
        assert word in run.stdout
    assert not workflow.store.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": {"pixels": "wide"}}, "grid.pixels = 'wide'"),
        ({"locations": {"sampler": "points", "table": "none.csv", "count": None}}, "none.csv"),
    ],
)
def test_bad_configuration_is_one_line_before_anything_runs(workflow, change, words):
    workflow.configuration |= change
    run = workflow.run("build_nol")
    assert run.returncode == 1
    lines = [line for line in run.stderr.splitlines() if words in line]
    assert len(lines) == 1
    assert "Traceback" not in run.stderr
    assert not (workflow.folder / "locations.parquet").exists()
