"""Runs that share a machine hold different GPUs."""

import os
import subprocess
import sys

import pytest

from pipeline.errors import PipelineError
from training.run.gpus import gpus_of_this_run, lock_folder, reserved_gpus, visible_gpus

HOLDER = """
import sys, time
from pathlib import Path
from training.run.gpus import reserved_gpus
with reserved_gpus(2, ["0", "1", "2"], Path(sys.argv[1])) as names:
    print(",".join(names), flush=True)
    time.sleep(60)
"""


def busy(share):
    return pytest.raises(PipelineError, match=f"{share} did not become free")


def test_visible_gpus_follow_the_environment():
    assert visible_gpus({}, 3) == ["0", "1", "2"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, GPU-1a"}, 8) == ["3", "GPU-1a"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, 8) == []


def test_runs_hold_different_gpus_and_give_them_back(tmp_path):
    visible = ["0", "1", "2"]
    with reserved_gpus(1, visible, tmp_path) as first:
        with reserved_gpus(2, visible, tmp_path) as second:
            assert sorted(first + second) == visible
            with busy("1 GPUs of 3"), reserved_gpus(1, visible, tmp_path, patience_s=0.2):
                pass
        with reserved_gpus(2, visible, tmp_path, patience_s=0.2) as again:
            assert again == second


def test_half_a_share_is_not_kept(tmp_path):
    with reserved_gpus(1, ["0", "1"], tmp_path):
        with busy("2 GPUs of 2"), reserved_gpus(2, ["0", "1"], tmp_path, patience_s=0.1):
            pass
        with reserved_gpus(1, ["0", "1"], tmp_path, patience_s=0.1) as rest:
            assert rest == ["1"]


def test_more_than_there_are_is_refused_at_once(tmp_path):
    refused = pytest.raises(PipelineError, match="2 GPUs were asked for and 0 are visible")
    with refused, reserved_gpus(2, [], tmp_path):
        pass


def test_a_killed_run_frees_its_gpus(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline().strip() == "0,1"
        with reserved_gpus(1, ["0", "1", "2"], tmp_path, patience_s=0.1) as names:
            assert names == ["2"]
    finally:
        holder.kill()
        holder.wait()
    with reserved_gpus(3, ["0", "1", "2"], tmp_path, patience_s=5) as names:
        assert names == ["0", "1", "2"]


def test_a_process_of_a_run_keeps_the_gpus_of_the_run(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    with gpus_of_this_run(wanted=2, installed=8):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def test_jobs_of_a_batch_system_do_not_wait_for_each_other(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    folder = lock_folder()
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert lock_folder() != folder
