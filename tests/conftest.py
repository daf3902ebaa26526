"""The order of the tests, and their patience.

A worker takes whole modules, in this order (``--no-loadscope-reorder``): those that build whole
datasets come first, so that at the end no worker is left alone with one of them.
"""

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


def _turn(path: Path) -> int:
    folder = path.relative_to(Path(__file__).parent).parts[0]
    return FIRST.index(folder) if folder in FIRST else len(FIRST)
