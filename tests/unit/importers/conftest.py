"""Made and real releases."""

import os
from pathlib import Path

import pytest

from tests.unit.importers.releases import location_files

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def real_samples() -> Path:
    """The folder of real samples."""
    folder = ROOT / os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real")
    if not folder.is_dir():
        pytest.skip("sample data are not here; set NOLDO_SAMPLE_DATA")
    return folder


@pytest.fixture(scope="session")
def ssl4eo_folder(tmp_path_factory) -> Path:
    """A folder of SSL4EO-S12 v1.0 with three locations."""
    folder = tmp_path_factory.mktemp("release") / "ssl4eo"
    for location in (7, 12, 30):
        for name, content in location_files(location).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder
