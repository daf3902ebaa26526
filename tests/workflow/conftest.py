"""Runs of the real workflow, in folders of their own, against the simulated Earth."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]

TINY: dict[str, Any] = {
    "name": "tiny",
    "grid": {"pixels": 48},
    "locations": {
        "sampler": "area",
        "area": "POLYGON ((11.6 47.6, 12.4 47.6, 12.4 48.2, 11.6 48.2, 11.6 47.6))",
        "count": 10,
    },
    "store": {"shard_size": 4},
}
"""Ten patches of 480 m across two UTM zones, in three shards."""


@dataclass
class Workflow:
    """One working directory and the configuration built in it."""

    directory: Path
    configuration: dict[str, Any] = field(default_factory=lambda: dict(TINY))

    @property
    def folder(self) -> Path:
        results = self.configuration.get("results", "results")
        return self.directory / results / self.configuration["name"]

    @property
    def store(self) -> Path:
        return self.folder / "nol.zarr"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        configfile = self.directory / "configuration.yaml"
        configfile.write_text(yaml.safe_dump(self.configuration))
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        where = ["--directory", str(self.directory), "--configfile", str(configfile)]
        return [*snakemake, *where, "--cores", str(cores), *arguments]

    def run(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, cores=cores),
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=self.environment,
        )

    def build(self, *arguments: str, cores: int = 2) -> str:
        """Run until success; the text of the run."""
        run = self.run(*(arguments or ("build_nol",)), cores=cores)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout + run.stderr

    def digests(self, *patterns: str) -> dict[str, str]:
        """SHA-256 of each file of the dataset that holds data."""
        patterns = patterns or ("nol.zarr/**/*", "selection/*", "shards/*", "nol.index.parquet")
        files = (file for pattern in patterns for file in self.folder.glob(pattern))
        return {
            file.relative_to(self.folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(files)
            if file.is_file()
        }


def executed_rules(text: str) -> dict[str, int]:
    """How often each rule was executed, from Snakemake's job statistics."""
    table = re.search(r"Job stats:\n.*?\n-+ +-+\n(.*?)\ntotal", text, re.DOTALL)
    if not table:
        return {}
    rows = (line.split() for line in table[1].splitlines())
    return {rule: int(count) for rule, count in rows}


def error_lines(run: subprocess.CompletedProcess[str]) -> list[str]:
    """What the steps of a run say went wrong, one line each."""
    lines = run.stderr.splitlines() + run.stdout.splitlines()
    return [line for line in lines if line.startswith("error: ")]


@pytest.fixture
def workflow(tmp_path) -> Workflow:
    return Workflow(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """A finished build that tests look at and leave as it is."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.build()
    return workflow
