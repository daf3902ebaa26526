"""Many evaluations on one machine: planned quickly, one process per GPU, whatever fails.

The rules and the reservation of GPUs are the real ones; a stand-in called `python` takes the place
of the network, so that GPUs can be pretended.
"""

import json
import os
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
    time.sleep(0.7)
    for key in ("--output", "--network"):
        if key in given:
            Path(given[key]).write_text(json.dumps(job | {{"end": time.time()}}))
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


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Twelve evaluations on three pretended GPUs; the first to get one dies there.

    Jobs call the stand-in beside the interpreter.
    """
    workflow = plan(Workflow(tmp_path_factory.mktemp("batch")), encoders=3, seeds=2)
    folder = workflow.directory
    (folder / "python").write_text(JOB)
    (folder / "python").chmod(0o755)
    (folder / "interpreter").symlink_to(sys.executable)
    packages = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    run = subprocess.run(
        [folder / "interpreter", *workflow.command("evaluate", cores=8)[1:]],
        cwd=folder,
        env=workflow.environment
        | {"CUDA_VISIBLE_DEVICES": ",".join(GPUS), "PYTHONPATH": packages, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
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
    """Eight cores are too few for five processes on each of three GPUs, and yet none is idle."""
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
