"""The tutorial does what it prints, in a fresh copy of the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.printed import ROOT, blocks_of, commands_of

SET_UP = {"make setup", "source .venv/bin/activate"}
"""Done before: the tests run in that environment."""

_COPIED = ["Snakefile", "workflow", "pipeline", "training", "profiles", "envs", "pyproject.toml"]


@pytest.fixture
def fresh_copy(tmp_path: Path) -> Path:
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_tutorial_runs_as_printed(fresh_copy: Path) -> None:
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    }
    typed = []
    for block in blocks_of(ROOT / "docs" / "tutorial.md"):
        if block.title:
            (fresh_copy / block.title).write_text(block.text)
        for command in commands_of(block) if block.language == "console" else []:
            typed.append(command)
            if command in SET_UP:
                continue
            ended = subprocess.run(
                ["bash", "-c", command],
                cwd=fresh_copy,
                env=environment,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
            assert ended.returncode == 0, (
                f"{command}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
            )
    assert set(typed) >= SET_UP
    assert (fresh_copy / "results/my-region/nol.zarr/zarr.json").is_file()
    assert (fresh_copy / "results/my-region/runs/midF/encoders/s2.safetensors").is_file()
