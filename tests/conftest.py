"""The order of the tests, their patience, and their way to the servers that they start.

A worker takes whole modules, in this order (``--no-loadscope-reorder``): those that build whole
datasets come first, so that at the end no worker is left alone with one of them.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
"""A wrong answer fails a test, a busy machine does not."""

FIRST = ("workflow", "training", "services", "docs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders with the longest modules first; within a folder nothing changes."""
    items.sort(key=lambda item: _turn(item.path))


@pytest.fixture(scope="session", autouse=True)
def straight_to_this_machine() -> Iterator[None]:
    """Ask the servers of tests directly, also where all else goes through a proxy."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("no_proxy", "NO_PROXY"):
            beside = os.environ.get(name, "")
            environment.setenv(name, f"{beside},127.0.0.1,localhost".lstrip(","))
        yield


def _turn(path: Path) -> int:
    folder = path.relative_to(Path(__file__).parent).parts[0]
    return FIRST.index(folder) if folder in FIRST else len(FIRST)
