"""The step as Snakemake runs it."""

import subprocess
import sys

import pytest
import yaml

from pipeline.locations.table import read_locations


@pytest.fixture
def run_step(tmp_path):
    """A function of settings: the finished command and the path it writes to."""

    def run(settings: dict):
        settings_file, output = tmp_path / "settings.yaml", tmp_path / "locations.parquet"
        settings_file.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "pipeline.locations"]
        command += ["--settings", str(settings_file), "--output", str(output)]
        return subprocess.run(command, capture_output=True, text=True, check=False), output

    return run


def test_the_same_settings_give_the_same_bytes(run_step):
    settings = {"locations": {"sampler": "cities", "count": 30}}
    finished, output = run_step(settings)
    assert finished.returncode == 0, finished.stderr
    assert "30 locations" in finished.stderr
    assert len(list(read_locations(output))) == 30
    first = output.read_bytes()
    run_step(settings)
    assert output.read_bytes() == first


def test_a_mistake_is_one_line_and_nothing_is_left_behind(run_step):
    finished, output = run_step({"locations": {"sampler": "area", "area": "nowhere.gpkg"}})
    assert finished.returncode == 1
    assert finished.stderr.strip().count("\n") == 0
    assert finished.stderr.startswith("error: locations.area = 'nowhere.gpkg' is neither")
    assert [path.name for path in output.parent.iterdir()] == ["settings.yaml"]
