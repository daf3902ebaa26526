import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from pipeline.fingerprints import code_version, file_sha256

ASK = (
    "import pipeline, pipeline.fingerprints as p; print(pipeline.__file__); print(p.code_version())"
)


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the two modules in a folder of their own."""
    package = Path(pipeline.__file__).parent
    (tmp_path / "pipeline").mkdir()
    for name in ("__init__.py", "fingerprints.py"):
        shutil.copy(package / name, tmp_path / "pipeline" / name)
    return tmp_path


def version_in(folder):
    run = subprocess.run(
        [sys.executable, "-c", ASK], cwd=folder, capture_output=True, text=True, check=True
    )
    file, version = run.stdout.splitlines()
    assert Path(file).is_relative_to(folder)
    return version


def test_without_a_checkout_it_is_the_version_of_the_package(checkout):
    assert version_in(checkout) == pipeline.__version__


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_in_a_checkout_it_names_the_commit_and_uncommitted_changes(checkout):
    git(checkout, "init", "-q")
    assert version_in(checkout) == pipeline.__version__
    git(checkout, "add", "pipeline/__init__.py", "pipeline/fingerprints.py")
    git(checkout, "commit", "-q", "-m", "one")
    clean = version_in(checkout)
    assert re.fullmatch(re.escape(pipeline.__version__) + r"\+g[0-9a-f]{12}", clean)
    with (checkout / "pipeline" / "fingerprints.py").open("a") as file:
        file.write("\n")
    assert version_in(checkout) == f"{clean}.dirty"


def test_the_version_is_a_valid_one():
    assert re.fullmatch(r"[0-9.]+(\+g[0-9a-f]{12}(\.dirty)?)?", code_version())


def test_the_hash_is_that_of_the_whole_file(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
