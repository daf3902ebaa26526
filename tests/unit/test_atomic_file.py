import subprocess
import sys

import pytest
import yaml

from pipeline.atomic_file import atomic_file, remove_partial_files, write_atomically


def test_the_file_appears_whole_when_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "file"
    with atomic_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".0.123.partial").touch()
    (tmp_path / "0.456.partial").touch()
    (tmp_path / "partial").touch()
    assert remove_partial_files(tmp_path) == 2
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == ["a", "partial"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 40 kB, where mounting is allowed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_in_one_line_and_nothing_half_written(tiny_disk, tmp_path, small_settings):
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(small_settings.model_dump(mode="json")))
    command = [sys.executable, "-m", "pipeline.store.create", "--count", "8"]
    command += ["--settings", str(settings), "--store", str(tiny_disk / "nol.zarr")]
    command += ["--record", str(tiny_disk / "layout.json")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("error: cannot write ") and run.stderr.count("\n") == 1
    assert "nol.zarr" in run.stderr and "No space left on device" in run.stderr
    assert not list(tiny_disk.rglob("*.partial"))
    assert not (tiny_disk / "nol.zarr" / "zarr.json").exists()
