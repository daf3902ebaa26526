"""A folder for the Hub holds the dataset and nothing else, within limits; nothing is sent."""

import shutil
from pathlib import Path, PurePosixPath

import pytest
import xarray as xr

from pipeline.errors import PipelineError
from pipeline.export.__main__ import main
from pipeline.export.hub_folder import dataset_files, place_files
from pipeline.export.hub_limits import (
    ENTRIES_PER_FOLDER_MAX,
    FILE_BYTES_ADVISED,
    FILE_BYTES_MAX,
    FILES_MAX,
    HubFile,
    check_limits,
    check_repository,
)


@pytest.fixture
def results(nol, tiles, tmp_path) -> Path:
    folder = tmp_path / "results"
    shutil.copytree(nol, folder / "nol.zarr")
    shutil.copytree(tiles, folder / "dw.zarr")
    (folder / "README.md").write_text("# a card\n")
    for name in ("nol", "dw"):
        (folder / f"{name}.index.parquet").write_bytes(b"index")
    (folder / "metadata" / "nol").mkdir(parents=True)
    (folder / "metadata" / "nol" / "croissant.json").write_text("{}")
    (folder / "nol.zarr" / ".half.partial").write_bytes(b"half")
    (folder / "settings.yaml").write_text("results: somewhere\n")
    return folder


def made(name: str, size: int = 1) -> HubFile:
    return HubFile(PurePosixPath(name), Path("source"), size)


def test_the_folder_opens_as_the_dataset(results, tmp_path, capsys):
    output = tmp_path / "hub"
    order = [str(results), "--output", str(output), "--repository", "someone/some-name"]
    main(["hub_folder", *order, "--stores", "nol"])
    assert {path.name for path in output.iterdir() if path.name[0] != "."} == {
        *("README.md", "nol.zarr", "nol.index.parquet", "metadata"),
    }
    assert not list(output.rglob("*.partial"))
    assert (output / "metadata/nol/croissant.json").exists()
    assert (output / "nol.zarr/zarr.json").samefile(results / "nol.zarr/zarr.json")
    xr.testing.assert_identical(
        xr.open_zarr(output / "nol.zarr"), xr.open_zarr(results / "nol.zarr")
    )
    text = capsys.readouterr().out
    assert text.endswith(f"hf upload someone/some-name {output} . --repo-type dataset\n")
    assert "nothing was sent" in text and "token" not in text
    assert "note: the card may describe dw, too" in text


def test_a_dry_run_lists_and_makes_nothing(results, tmp_path, capsys):
    main(["hub_folder", str(results), "--output", str(tmp_path / "hub"), "--dry-run"])
    assert not (tmp_path / "hub").exists()
    lines = capsys.readouterr().out.splitlines()
    files = [path for path in (results / "dw.zarr").rglob("*") if path.is_file()]
    assert [line.split()[:2] for line in lines if line.startswith("dw.zarr")] == [
        ["dw.zarr/", str(len(files))]
    ]


def test_the_same_command_repairs_and_forgets(results, tmp_path):
    output = tmp_path / "hub"
    place_files(dataset_files(results, ()), output)
    (output / "nol.zarr" / "zarr.json").unlink()
    place_files(dataset_files(results, ["nol"]), output)
    assert (output / "nol.zarr" / "zarr.json").exists()
    assert not (output / "dw.zarr").exists()
    assert not (output / "dw.index.parquet").exists()


def test_what_others_have_in_the_folder_stays(results, tmp_path):
    output = tmp_path / "clone"
    (output / ".git").mkdir(parents=True)
    (output / ".git" / "config").write_text("mine")
    files = dataset_files(results, ["nol"])
    place_files(files, output)
    assert (output / ".git" / "config").read_text() == "mine"
    (output / "thesis.tex").write_text("mine")
    with pytest.raises(PipelineError, match=r"holds something else \(thesis.tex\)"):
        place_files(files, output)
    assert (output / "thesis.tex").read_text() == "mine"


def test_a_store_that_was_not_placed_here_stays(results, tmp_path):
    output = tmp_path / "stores"
    mine = output / "mine.zarr" / "zarr.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    place_files(dataset_files(results, ()), output)
    place_files(dataset_files(results, ["nol"]), output)
    assert mine.read_text() == "mine"
    assert not (output / "dw.zarr" / "zarr.json").exists()


def test_what_is_missing_or_in_the_way_is_told(results, tmp_path):
    with pytest.raises(PipelineError, match=r"no finished store osm.zarr .* has dw, nol"):
        dataset_files(results, ["osm"])
    with pytest.raises(PipelineError, match="no finished store"):
        dataset_files(results, ["../results/nol"])
    files = dataset_files(results, ["nol"])
    with pytest.raises(PipelineError, match="is the dataset itself"):
        place_files(files, results)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(PipelineError, match="holds something else"):
        place_files(files, tmp_path / "mine")
    (results / "README.md").unlink()
    with pytest.raises(PipelineError, match="no dataset card .*snakemake describe"):
        dataset_files(results, ["nol"])


def test_limits_of_the_hub():
    assert check_limits([made("a", FILE_BYTES_ADVISED)]) == []
    assert "advises files below" in check_limits([made("a", FILE_BYTES_ADVISED + 1)])[0]
    assert "asks to be told" in check_limits([made(f"{k}", 10**10) for k in range(31)])[0]
    with pytest.raises(PipelineError, match=r"big has 50\.0 GB"):
        check_limits([made("big", FILE_BYTES_MAX + 10**7)])
    with pytest.raises(PipelineError, match="store/c has 10,001 entries"):
        check_limits([made(f"store/c/{k}/0") for k in range(ENTRIES_PER_FOLDER_MAX + 1)])
    check_limits([made(f"store/c/{k}/0") for k in range(ENTRIES_PER_FOLDER_MAX)])
    with pytest.raises(PipelineError, match="100,001 files"):
        check_limits([made("a")] * (FILES_MAX + 1))


@pytest.mark.parametrize("name", ["name", "a/b/c", "../x", "a/..", "a b/c", "-a/b", "a/b--c", "a/"])
def test_names_that_the_hub_does_not_take(name):
    with pytest.raises(PipelineError, match="is no name of a repository"):
        check_repository(name)
