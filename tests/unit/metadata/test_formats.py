"""The page on formats says what the code does."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.metadata.formats import main, page_with_tables

PAGE = Path("docs/formats.md")


def test_the_page_is_up_to_date():
    text = PAGE.read_text()
    assert page_with_tables(text) == text, (
        "docs/formats.md is stale: run python -m pipeline.metadata.formats docs/formats.md"
    )


def test_the_tables_say_shapes_chunks_shards_and_codecs():
    text = PAGE.read_text()
    fine = "`s2_10m` | sample, time, band_10m, y, x | N × 4 × 4 × 264 × 264 | uint16 | 0 | "
    assert fine + "1 × 1 × 4 × 264 × 264 | 64 × 4 × 4 × 264 × 264 | bytes, blosc(" in text
    assert "| `train/label` | sample, y, x | N × 510 × 510 | uint8 | 255 |" in text
    assert "| `osm.zarr` | [OSMLanduse]" in text


def test_the_command_mends_a_stale_page(tmp_path):
    page = tmp_path / "formats.md"
    shutil.copy(PAGE, page)
    page.write_text(page.read_text().replace("uint16", "uint8"))
    main([str(page)])
    assert page.read_text() == PAGE.read_text()


def test_an_unknown_table_is_named():
    with pytest.raises(PipelineError, match="no table nol_colours"):
        page_with_tables("<!-- table: nol_colours -->\n<!-- end -->")
