"""What the page about other tools prints, runs as printed: every command, every snippet."""

import runpy
import shlex
import sys

import pytest

from pipeline.store.sample_index import index_store
from tests.docs.printed import ROOT, blocks_of, commands_of
from tests.placed_store import write_placed_store
from tests.training.finished_run import write_run

PAGE = ROOT / "docs" / "interoperability.md"
PATCH = 132
SNIPPETS = [block.text for block in blocks_of(PAGE) if block.language == "python"]
COMMANDS = [
    command
    for block in blocks_of(PAGE)
    if block.language == "console"
    for command in commands_of(block)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place like the one after `make demo`, with every command of the page carried out."""
    folder = tmp_path_factory.mktemp("demo")
    results = folder / "results" / "demo"
    store = write_placed_store(results / "nol.zarr", PATCH)
    index_store(store, results / "nol.index.parquet")
    (results / "README.md").write_text("# the dataset\n")
    write_run(results / "runs" / "midF")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        for command in COMMANDS:
            python, option, module, *arguments = shlex.split(command)
            assert (python, option) == ("python", "-m")
            here.setattr(sys, "argv", [module, *arguments])
            runpy.run_module(module, run_name="__main__")
    return folder


def test_the_page_loads_encoders_with_three_libraries_in_three_lines_each():
    three = [text for text in SNIPPETS if len(text.strip().splitlines()) == 3]
    for library in ("segmentation_models_pytorch", "import timm", "torchgeo.models"):
        assert any(library in text and "s2.safetensors" in text for text in three), library
    assert any("dataset.plot" in text for text in three)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs_as_printed(folder, monkeypatch, number):
    for optional in ("torchgeo", "webdataset"):
        if optional in SNIPPETS[number]:
            pytest.importorskip(optional)
    monkeypatch.chdir(folder)
    names = {}
    exec(compile(SNIPPETS[number], f"{PAGE.name}, snippet {number}", "exec"), names)
    for made in ("network", "encoder", "dataset", "sample"):
        assert names.get(made, "not in this snippet") is not None


def test_the_commands_leave_what_the_page_says(folder):
    assert len(list(folder.glob("qgis/0001/0001_t?_label.qml"))) == 4
    assert (folder / "shards" / "train" / "train-000000.tar").is_file()
    assert (folder / "hub" / "midF-s2" / "model.safetensors").is_file()
    assert (folder / "hub" / "demo" / "nol.zarr" / "zarr.json").is_file()
    assert len(COMMANDS) == 4
