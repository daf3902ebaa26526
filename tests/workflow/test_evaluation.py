"""Many evaluations on one machine: planned quickly, one process per GPU, whatever fails.

The rules and the reservation of GPUs are the real ones; a stand-in called `python` takes the place
of the network, so that GPUs can be pretended.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
from itertools import combinations

import pytest

from tests.workflow.conftest import ROOT, Workflow, executed_rules

GPUS = ("0", "1", "2")

JOB = f"""#!{sys.executable}
import json, os, signal, sys, time
from pathlib import Path
from training.run.gpus import gpus_of_this_run, installed_gpus

given = dict(zip(sys.argv[3::2], sys.argv[4::2]))
name = "_".join(given[key] for key in ("--encoder", "--mode", "--seed"))
with gpus_of_this_run(1, installed_gpus()):
    job = {{"gpu": os.environ["CUDA_VISIBLE_DEVICES"], "start": time.time()}}
    try:
        with open("killed.json", "x") as first:
            json.dump(job | {{"name": name}}, first)
    except FileExistsError:
        pass
    else:
        os.kill(os.getpid(), signal.SIGKILL)
    held, patience = Path("held"), time.monotonic() + 60
    held.mkdir(exist_ok=True)
    (held / name).touch()
    while len(list(held.iterdir())) < {len(GPUS)} and time.monotonic() < patience:
        time.sleep(0.05)
    time.sleep(0.7)
    for key in ("--output", "--network"):
        if key in given:
            Path(given[key]).write_text(json.dumps(job | {{"end": time.time()}}))
"""


QUICK_JOB = f"""#!{sys.executable}
import sys
from pathlib import Path

given = dict(zip(sys.argv[3::2], sys.argv[4::2]))
for key in ("--output", "--network"):
    if key in given:
        Path(given[key]).touch()
"""


def plan(workflow: Workflow, encoders: int, seeds: int) -> Workflow:
    """Evaluations on GPUs of so many encoders, in both modes, on a store that is empty."""
    names = [f"random_{number}" for number in range(encoders)]
    workflow.configuration["evaluate"] = {
        "tasks": {"tiles": {"store": "some/tiles.zarr"}},
        "tasks_used": ["tiles"],
        "encoders": {name: {"weights": "random"} for name in names},
        "encoders_used": names,
        "ablation": [],
        "seeds": list(range(seeds)),
        "accelerator": "gpu",
        "workers": 4,
    }
    store = workflow.directory / "some" / "tiles.zarr"
    store.mkdir(parents=True)
    (store / "zarr.json").touch()
    return workflow


def run_with_stand_in(
    workflow: Workflow, job: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the workflow with a stand-in called `python` beside its interpreter, which jobs call."""
    folder = workflow.directory
    (folder / "python").write_text(job)
    (folder / "python").chmod(0o755)
    if not (folder / "interpreter").exists():
        (folder / "interpreter").symlink_to(sys.executable)
    packages = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    return subprocess.run(
        [folder / "interpreter", *workflow.command(*arguments, cores=8)[1:]],
        cwd=folder,
        env=workflow.environment | {"PYTHONPATH": packages} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Twelve evaluations on three pretended GPUs; the first to get one dies there."""
    workflow = plan(Workflow(tmp_path_factory.mktemp("batch")), encoders=3, seeds=2)
    folder = workflow.directory
    run = run_with_stand_in(
        workflow, JOB, "evaluate", CUDA_VISIBLE_DEVICES=",".join(GPUS), TMPDIR=str(folder)
    )
    rows = workflow.folder / "scores" / "rows"
    ended = {
        "_".join((file.parent.name, *file.stem.split("_1_"))): json.loads(file.read_text())
        for file in rows.rglob("*.parquet")
    }
    return run, ended, json.loads((folder / "killed.json").read_text())


def test_a_failing_evaluation_stops_no_other(batch):
    run, ended, killed = batch
    names = {
        f"random_{number}_{mode}_{seed}"
        for number in range(3)
        for mode in ("frozen", "finetuned")
        for seed in range(2)
    }
    assert run.returncode == 1
    assert set(ended) == names - {killed["name"]}, run.stderr


def test_every_gpu_is_filled_and_none_has_two_processes(batch):
    """Eight cores are too few for five processes on each of three GPUs, and yet none is idle.

    Each of the first has waited for the others while it held its GPU.
    """
    _, ended, _ = batch
    assert {job["gpu"] for job in ended.values()} == set(GPUS)
    for first, second in combinations(ended.values(), 2):
        if first["gpu"] == second["gpu"]:
            assert first["end"] <= second["start"] or second["end"] <= first["start"]
    running = [
        sum(other["start"] <= job["start"] < other["end"] for other in ended.values())
        for job in ended.values()
    ]
    assert max(running) == len(GPUS)


def test_a_killed_evaluation_gives_its_gpu_back(batch):
    _, ended, killed = batch
    assert killed["gpu"] in {job["gpu"] for job in ended.values() if job["start"] > killed["start"]}


def test_two_hundred_evaluations_can_be_planned(workflow):
    run = plan(workflow, encoders=25, seeds=4).run("--dry-run", "evaluate")
    jobs = executed_rules(run.stdout)
    assert jobs["evaluate_row"] + jobs["evaluate_row_and_keep"] == 200, run.stderr


def test_rows_follow_the_file_of_their_weights_and_no_others_do(tmp_path):
    """Whatever takes the place of the file: another one may well be older than the rows."""
    workflow = plan(Workflow(tmp_path), encoders=1, seeds=1)
    settings = workflow.configuration["evaluate"]
    settings["encoders"] |= {"moco": {"weights": "moco"}, "own": {"weights": "own.pth"}}
    settings |= {"modes": ["frozen"], "encoders_used": [*settings["encoders"]]}
    settings["weights"] = {"files": {"moco": "moco.pth"}}
    for name in ("moco.pth", "own.pth"):
        (tmp_path / name).write_text("first")
    rows = {
        name: f"results/tiny/scores/rows/tiles/{name}/frozen_1_0.parquet"
        for name in settings["encoders_used"]
    }
    made = run_with_stand_in(workflow, QUICK_JOB, *rows.values())
    assert made.returncode == 0, made.stderr
    (tmp_path / "moco.pth").write_text("other")
    os.utime(tmp_path / "moco.pth", (0, 0))
    assert planned_encoders(workflow.run("--dry-run", *rows.values())) == {"moco"}
    (tmp_path / "own.pth").write_text("newer")
    (tmp_path / "elsewhere.pth").write_text("other")
    settings["weights"] = {"files": {"moco": "elsewhere.pth"}}
    assert planned_encoders(workflow.run("--dry-run", *rows.values())) == {"moco", "own"}


def planned_encoders(run: subprocess.CompletedProcess[str]) -> set[str]:
    assert run.returncode == 0, run.stderr
    return set(re.findall(r"tiles: (\w+), frozen, seed 0", run.stdout))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("mocco", "there is no encoder 'mocco' for s2; `python -m training.encoders.table` lists"),
        (
            "scalemae",
            "scalemae must not be used commercially (licence CC-BY-NC-4.0); set evaluate.",
        ),
    ],
)
def test_weights_that_cannot_be_had_are_said_before_anything_runs(workflow, weights, said):
    plan(workflow, encoders=1, seeds=1)
    workflow.configuration["evaluate"]["encoders"]["random_0"]["weights"] = weights
    run = workflow.run("--dry-run", "evaluate")
    assert run.returncode == 1
    assert f"evaluate.encoders.random_0.weights: {said}" in run.stdout + run.stderr
