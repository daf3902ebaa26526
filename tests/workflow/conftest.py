"""Runs of the real workflow, in folders of their own, against the simulated Earth."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine

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
        """Of its processes; they see no git, so that a commit meanwhile changes no stored byte."""
        own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GIT_DIR": os.devnull}
        return os.environ | own

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

    def copied_to(self, directory: Path, **changes: Any) -> "Workflow":
        """The same build in another directory, ages of the files included.

        Args:
            directory: Of the copy.
            changes: Sections of the configuration that take the place of those of this one.
        """
        shutil.copytree(self.directory, directory, dirs_exist_ok=True)
        return Workflow(directory, self.configuration | changes)

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
def built_once(tmp_path_factory):
    """A function of a name, settings and targets: their finished build.

    Whichever test process comes first builds it, the others wait and share it: so it is to be
    looked at and never changed. Run Snakemake in a copy (`Workflow.copied_to`).
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def build(name: str, configuration: dict[str, Any], *targets: str) -> Workflow:
        workflow = Workflow(shared / f"built_{name}", dict(configuration))
        workflow.directory.mkdir(exist_ok=True)
        built = shared / f"built_{name}.done"
        with FileLock(shared / f"built_{name}.lock"):
            if not built.exists():
                workflow.build(*targets)
                built.touch()
        return workflow

    return build


@pytest.fixture(scope="session")
def finished(built_once) -> Workflow:
    """A finished build, each step of which started a simulated Earth of its own."""
    return built_once("finished", TINY)


@pytest.fixture(scope="session")
def simulated_earth():
    """The address of a simulated Earth that is running already: steps need not start their own."""
    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as server:
        yield server.url


@pytest.fixture(scope="session")
def half(built_once, simulated_earth) -> Workflow:
    """A finished build of the first six locations: a shard that is full, and half of one.

    Another process may have built it, whose simulated Earth is gone; a copy asks one of its own.
    """
    locations = TINY["locations"] | {"count": 6}
    service = {"service": simulated_earth}
    return built_once("half", TINY | {"locations": locations, "earthengine": service})


@pytest.fixture
def copy(finished, simulated_earth, tmp_path) -> Workflow:
    """A copy of the finished build, for tests that change it."""
    return finished.copied_to(tmp_path / "copy", earthengine={"service": simulated_earth})
