"""Which code and which bytes: the version of this code and the hashes of files."""

import hashlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pipeline

_READ_BYTES = 1 << 20


@cache
def code_version() -> str:
    """The package's version and, in a git checkout of its own, the commit.

    Returns:
        E.g. ``0.1.0``, ``0.1.0+g1a2b3c4d5e6f`` or, with uncommitted changes to tracked files,
        ``0.1.0+g1a2b3c4d5e6f.dirty`` (a local version label of PEP 440).
    """
    checkout = Path(pipeline.__file__).resolve().parents[1]
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return pipeline.__version__
    commit = _git_output(git, checkout, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return pipeline.__version__
    changes = _git_output(git, checkout, "status", "--porcelain", "--untracked-files=no")
    return f"{pipeline.__version__}+g{commit}{'.dirty' if changes else ''}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _git_output(git: str, checkout: Path, *arguments: str) -> str:
    # A checkout owned by another user, or a repository without commits, makes git fail: the
    # version then goes without a commit.
    answer = subprocess.run(  # noqa: S603  (fixed arguments, no shell)
        [git, "-C", str(checkout), *arguments], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""
