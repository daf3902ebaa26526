import subprocess
import sys

import pytest

from pipeline.errors import PipelineError
from training.run.sole_run import sole_run

HOLD = """
import sys
from pathlib import Path
from training.run.sole_run import sole_run
with sole_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused_until_the_first_has_died(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(PipelineError, match="another process trains in"), sole_run(tmp_path):
            pass
        first.kill()
    with sole_run(tmp_path):
        pass


@pytest.mark.parametrize("rank", [{"LOCAL_RANK": "1"}, {"SLURM_PROCID": "3"}])
def test_the_other_processes_of_a_training_pass(tmp_path, rank):
    with sole_run(tmp_path, {}), sole_run(tmp_path, rank):
        pass


def test_another_run_trains_beside_it(tmp_path):
    with sole_run(tmp_path / "midF"), sole_run(tmp_path / "lateF"):
        pass
