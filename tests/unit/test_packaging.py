"""The three places that name dependencies agree: pyproject, conda environments, pins."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {
    "matplotlib": ["matplotlib-base"],
    "torch": ["pytorch"],
    "snakemake": ["snakemake-minimal"],
    "dask": ["dask", "distributed"],
}


def conda_specifiers(path: Path) -> dict[str, str]:
    """Name to version bounds of a conda environment, those for pip included."""
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    lines = [line for line in dependencies if isinstance(line, str)]
    for block in dependencies:
        if isinstance(block, dict):
            lines += [line for line in block["pip"] if not line.startswith("--")]
    found = (re.match(r"([A-Za-z0-9_.-]+) *(.*)", line) for line in lines)
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def expected_specifiers(requirements: list[str]) -> dict[str, str]:
    wanted = {}
    for requirement in map(Requirement, requirements):
        bound = ",".join(sorted(map(str, requirement.specifier), reverse=True))
        for name in CONDA_NAMES.get(requirement.name, [requirement.name]):
            wanted[canonicalize_name(name)] = bound
    return wanted


@pytest.mark.parametrize(
    ("environment", "requirements"),
    [
        ("build.yaml", PROJECT["dependencies"]),
        (
            "train.yaml",
            [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["train"]],
        ),
    ],
)
def test_conda_environment_agrees_with_pyproject(environment, requirements):
    stated = conda_specifiers(ROOT / "envs" / environment)
    assert stated.pop("python") == ",".join(
        sorted(PROJECT["requires-python"].split(","), reverse=True)
    )
    stated.pop("pip", None)
    assert stated == expected_specifiers(requirements)


def pinned_versions() -> dict[str, str]:
    lines = (ROOT / "envs/constraints.txt").read_text().split()
    pins = dict(line.split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in pins.items()}


def stated_requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines]


def applicable_requirements(name: str, extras: set[str], version: str | None) -> list[Requirement]:
    """What this version of a package asks for on this machine; nothing if it is not installed."""
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []
    lines = (package.requires or []) if package.version == version else []
    return [
        requirement
        for requirement in map(Requirement, lines)
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""})
    ]


def test_every_dependency_is_pinned_within_its_bounds():
    pinned = pinned_versions()
    for requirement in stated_requirements():
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} excludes its pin {version}"


def test_what_dependencies_bring_along_is_pinned():
    pinned, waiting, seen = pinned_versions(), stated_requirements(), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        package = name, frozenset(requirement.extras)
        if package not in seen:
            seen.add(package)
            waiting += applicable_requirements(name, requirement.extras, pinned.get(name))
    assert {name for name, _ in seen} - set(pinned) == set()


def test_pins_name_no_host_and_no_path():
    assert not re.search(r"://|@|/", (ROOT / "envs/constraints.txt").read_text())


def test_every_bound_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    for line in text.splitlines():
        if re.match(r'    "[a-z].*>=.*",', line):
            assert re.search(r"# \S+", line), line


def test_version_is_stated_once_everywhere():
    import pipeline

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert pipeline.__version__ == PROJECT["version"] == citation["version"]
