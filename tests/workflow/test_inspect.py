"""``python -m pipeline.inspect`` on a finished store."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from PIL import Image


def inspect(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.inspect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_summary_and_pictures(finished, tmp_path):
    run = inspect(finished.store, "--gallery", tmp_path)
    assert run.returncode == 0, run.stderr
    valid = int(xr.open_zarr(finished.store)["valid"].values.sum())
    assert f"{valid} complete of 10" in run.stdout
    assert "not for science" in run.stdout
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) == 3
    assert np.asarray(Image.open(pictures[0])).std() > 10


def test_one_sample_by_its_id(finished, tmp_path):
    store = xr.open_zarr(finished.store)
    index = int(np.flatnonzero(store["valid"].values)[0])
    location_id = str(store["id"].values[index])
    run = inspect(finished.store, "--sample", location_id, "--gallery", tmp_path)
    assert run.returncode == 0, run.stderr
    assert [file.name for file in tmp_path.iterdir()] == [f"sample_{index:06d}.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--sample", "nowhere"], "no sample 'nowhere'"), ([], "there is no Zarr store")],
)
def test_mistakes_are_one_line(finished, tmp_path, arguments, words):
    store = finished.store if arguments else tmp_path / "none.zarr"
    run = inspect(store, *arguments)
    assert run.returncode == 1
    assert words in run.stderr
    assert len(run.stderr.splitlines()) == 1
