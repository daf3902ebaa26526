"""Settings of the locations' own sections, and the real list of places."""

import os
from pathlib import Path

import pytest

from pipeline.settings.tree import Settings, validate_settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def location_settings():
    """A function of the section `locations` and of other sections: checked settings."""

    def build(locations: dict, **sections) -> Settings:
        return validate_settings({"locations": locations, **sections})

    return build


@pytest.fixture
def write_csv(tmp_path):
    """A function of lines: the path of a file that holds them."""

    def write(*lines: str) -> Path:
        path = tmp_path / "points.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def ssl4eo_list() -> Path:
    """The published metadata of 2,176 places."""
    folder = ROOT / os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real")
    path = folder / "ssl4eo_v11_val_metadata.parquet"
    if not path.exists():
        pytest.skip("sample data are not here; set NOLDO_SAMPLE_DATA")
    return path
