"""Figures 1 and 2 from stores of both kinds."""

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.figures.__main__ import figure_one, main
from pipeline.figures.subject import open_subject
from pipeline.inspect import find_sample, open_groups, summary_table, valid_samples
from tests.small_build import make_build


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_build(tmp_path_factory.mktemp("figures")).folder


def texts(figure):
    found = [text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))]
    return set(filter(None, found))


def test_both_figures_are_drawn_and_marked(folder, tmp_path):
    stores = [str(folder / f"{name}.zarr") for name in ("nol", "dw", "osm")]
    main([*stores, "--output", str(tmp_path)])
    names = {"figure1_nol", "figure2_dw_osm"}
    assert {file.stem for file in tmp_path.glob("*.svg")} == names
    for name in names:
        picture = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
        assert picture.std() > 20
        mark = np.abs(picture[:40, -140:].astype(int) - [163, 59, 0]).sum(axis=-1)
        assert (mark < 40).any()


def test_counts_are_those_of_the_labels(folder):
    for name, group in (("nol", None), ("osm", "train")):
        data = xr.open_zarr(folder / f"{name}.zarr", group=group, mask_and_scale=False)
        kept = data["label"].values[data["valid"].values & (data["split"].values == "train")]
        counts = open_subject(folder / f"{name}.zarr").counts["train"][:13]
        assert counts.tolist() == np.bincount(kept.ravel(), minlength=256)[:13].tolist()


def test_figure_says_how_many_samples_and_which_classes(folder):
    subject = open_subject(folder / "nol.zarr")
    found = texts(figure_one(subject))
    assert {"6 samples", "Built", "Snow and ice", "S1", "S2", "label"} <= found
    shares = subject.counts["train"][:9] / subject.counts["train"][:9].sum()
    assert f"{shares[6]:.1%}" in found


def test_a_store_without_samples_is_told(tmp_path):
    with pytest.raises(PipelineError, match="no Zarr store"):
        main([str(tmp_path / "none.zarr")])


def test_inspect_knows_stores_of_tiles(folder):
    groups = open_groups(folder / "dw.zarr")
    assert len(valid_samples(groups)) == 7
    place = find_sample(groups, "test-2")
    assert (place.group, place.index) == ("test", 2)
    with pytest.raises(PipelineError, match=r"train-1 was rejected \(nodata\)"):
        find_sample(groups, "train-1")
    cells = summary_table(groups, folder / "dw.zarr").columns[1].cells
    assert {"4 complete of 5", "nodata 1", "YES, not for science"} <= set(cells)
