"""The build and the GPU runs as jobs of a real Slurm with two nodes."""

import importlib.util
import os
import signal
import subprocess
import threading
from typing import Self

import pytest
import yaml

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine
from tests.benchmarks.bench_slots import most_in_flight
from tests.training.learnable_tiles import TEST, small_settings, write_tile_store
from tests.workflow.conftest import ROOT, Workflow
from tests.workflow.killed_builds import copy_of
from tests.workflow.slurm_cluster import NODES, Job, SlurmCluster, missing_programs, slurm_cluster
from training.scores.rows import read_row

PROFILE = ROOT / "profiles" / "slurm"
SLOTS = 2

QUICK = [
    *("--slurm-status-command", "squeue"),  # no accounting here
    "--slurm-no-account",
    *("--slurm-init-seconds-before-status-checks", "1"),
    *("--seconds-between-status-checks", "1"),
]
"""What differs from the profile: this Slurm keeps no books, and nobody waits for a test."""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed")
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("only root can start Slurm's daemons")
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


class Watch:
    """Looks at the queue all the while, and cancels the first job of a rule."""

    def __init__(self, slurm: SlurmCluster, cancel: str = "") -> None:
        self.seen: dict[str, Job] = {}
        self.cancelled: list[str] = []
        self.most_at_once = 0
        self._slurm = slurm
        self._cancel = cancel
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_until_stopped, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def of(self, rule: str) -> dict[str, Job]:
        """The jobs of a rule by number."""
        return {number: job for number, job in self.seen.items() if rule in job.comment}

    def wait_for(self, rule: str, run: "subprocess.Popen[str]") -> Job:
        """The first running job of a rule, as soon as there is one."""
        while not self.of(rule):
            assert run.poll() is None, "the run ended without such a job"
            self._stop.wait(0.1)
        return next(iter(self.of(rule).values()))

    def _look_until_stopped(self) -> None:
        while not self._stop.wait(0.3):
            running = self._slurm.running_jobs()
            self.seen |= running
            fetching = [number for number, job in running.items() if "fetch_pixels" in job.comment]
            self.most_at_once = max(self.most_at_once, len(fetching))
            if self._cancel and not self.cancelled:
                for number in fetching[:1]:
                    self._stop.wait(3.0)  # into the middle of its work
                    self._slurm.ask("scancel", number)
                    self.cancelled.append(number)


def submitted(workflow: Workflow, slurm: SlurmCluster, *targets: str) -> "subprocess.Popen[str]":
    """Start a run whose jobs go to Slurm; its output goes to `run.txt`."""
    command = workflow.command("--workflow-profile", str(PROFILE), *QUICK, *targets)
    at = command.index("--cores")
    del command[at : at + 2]  # they would be what all jobs together may have
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = workflow.environment | slurm.environment | {"PYTHONPATH": path}
    # tests in the background of a shell have Ctrl-C ignored, and so has what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with (workflow.directory / "run.txt").open("w") as output:
        return subprocess.Popen(
            command,
            cwd=workflow.directory,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def built(slurm, tmp_path_factory):
    """A build on Slurm, one job of which was cancelled on its way; and what was to be seen."""
    workflow = Workflow(tmp_path_factory.mktemp("built"))
    with SimulatedEarthEngine(ProceduralArchive(seed=7), latency_s=0.3) as server:
        workflow.configuration["earthengine"] = {"service": server.url, "slots": SLOTS}
        with Watch(slurm, cancel="fetch_pixels") as watch:
            run = submitted(workflow, slurm, "build_nol")
            assert run.wait() == 0, (workflow.directory / "run.txt").read_text()
        pixels = [record for record in server.journal if record.kind == "pixels"]
    return workflow, watch, pixels


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_same_bytes_as_a_local_build_although_a_job_was_cancelled(built, finished):
    workflow, watch, _ = built
    assert watch.cancelled
    assert len(watch.of("rule_fetch_pixels")) == 4  # three shards, one of them twice
    assert workflow.digests() == finished.digests()


def test_shards_are_jobs_on_both_nodes(built):
    _, watch, _ = built
    assert len(watch.of("rule_select_scenes")) == 3
    assert {job.nodes for job in watch.of("rule_fetch_pixels").values()} == set(NODES)
    assert not watch.of("rule_create_store")


def test_jobs_keep_to_their_share_of_the_slots(built):
    """Each job has its own, so that nothing hangs on locks that hold between machines."""
    workflow, watch, pixels = built
    assert watch.most_at_once <= SLOTS
    assert most_in_flight(pixels) <= SLOTS
    for shard in range(3):
        log = (workflow.folder / "logs" / "shards" / f"{shard}.log").read_text()
        assert " 1 slots" in log
    settings = yaml.safe_load((workflow.folder / "settings.yaml").read_text())
    assert settings["earthengine"]["slots"] == SLOTS


@pytest.mark.parametrize(("machines", "nodes"), [(1, "node1"), (2, "node[1-2]")])
def test_a_run_asks_for_gpus_and_machines(slurm, finished, tmp_path, machines, nodes):
    workflow = copy_of(finished, tmp_path / "gpu", finished.configuration["locations"]["count"])
    workflow.configuration["pretrain"] = {"nodes": machines}
    with Watch(slurm) as watch:
        run = submitted(workflow, slurm, "pretrain_midF")
        try:
            job = watch.wait_for("rule_pretrain_midF", run)
        finally:
            run.send_signal(signal.SIGINT)  # Snakemake cancels the jobs that it has submitted
            run.wait()
    assert f"gpu:{machines}" in job.devices
    assert job.nodes == nodes
    slurm.wait_until_idle()


@pytest.mark.slow
def test_an_evaluation_on_two_devices_is_two_processes(slurm, tmp_path):
    """Alone in its job, the first process would train with half of the batch and say nothing."""
    workflow = Workflow(tmp_path)
    store = write_tile_store(tmp_path / "tiles.zarr")
    settings = small_settings(epochs=1, devices=2, seeds=(0,), task={"store": str(store)})
    workflow.configuration["evaluate"] = settings.model_dump(mode="json")
    row = f"results/tiny/scores/rows/{settings.planned()[0].path}"
    with Watch(slurm) as watch:
        run = submitted(workflow, slurm, row)
        assert run.wait() == 0, (workflow.directory / "run.txt").read_text()
    log = next((workflow.folder / "logs" / "evaluate").rglob("*.log")).read_text()
    assert "All distributed processes registered. Starting with 2 processes" in log
    assert len(read_row(tmp_path / row).tiles) == TEST - 1
    assert len(watch.of("rule_evaluate_row_and_keep")) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_that_is_lost_costs_its_job_and_nothing_else(slurm, finished, tmp_path):
    workflow = Workflow(tmp_path)
    with (
        SimulatedEarthEngine(ProceduralArchive(seed=7), latency_s=0.5) as server,
        Watch(slurm) as watch,
    ):
        workflow.configuration["earthengine"] = {"service": server.url, "slots": SLOTS}
        run = submitted(workflow, slurm, "build_nol")
        node = f"nodename={watch.wait_for('rule_fetch_pixels', run).nodes}"
        slurm.ask("scontrol", "update", node, "state=down", "reason=test")
        assert run.wait() == 0, (workflow.directory / "run.txt").read_text()
    slurm.wait_until_idle()  # the node has come back by itself
    assert workflow.digests() == finished.digests()


def test_no_rule_wants_all_cores_of_a_machine():
    """There is no such number where jobs are submitted; CORES_OF_A_JOB is set everywhere."""
    rules = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    assert [file.name for file in rules if "threads: workflow.cores" in file.read_text()] == []


def test_the_profile_replaces_the_default_one_in_full():
    default, ours = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
        for name in ("default", "slurm")
    )
    kept = default.keys() - {"cores", "latency-wait"}
    assert {key: ours[key] for key in kept} == {key: default[key] for key in kept}
