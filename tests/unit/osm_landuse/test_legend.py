import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.legend import load_legend
from pipeline.osm_landuse.errors import LegendMismatchError, WmsPayloadError
from pipeline.osm_landuse.legend import find_swatches, verify_legend

CLASSES = load_legend("osm_landuse")


def drawn(rows, *, border=False, background="white", scale=1.0, kind="PNG", mode="RGB"):
    picture = Image.new("RGB", (300, 24 * len(rows)), background)
    pen = ImageDraw.Draw(picture)
    for index, (rgb, name) in enumerate(rows):
        box = (5, 24 * index + 5, 24, 24 * index + 18)
        pen.rectangle(box, rgb, outline="black" if border else rgb)
        pen.text((32, 24 * index + 5), name, "black")
    size = round(picture.width * scale), round(picture.height * scale)
    picture = picture.resize(size, Image.Resampling.BICUBIC) if scale != 1 else picture
    body = io.BytesIO()
    picture.convert(mode, palette=Image.Palette.ADAPTIVE).save(body, kind)
    return body.getvalue()


ROWS = [(row.rgb, row.name) for row in CLASSES]


@pytest.mark.parametrize(
    "style",
    [{}, {"border": True}, {"background": "red"}, {"scale": 1.5}, {"mode": "P"}],
    ids=str,
)
def test_every_style_of_legend_is_read(style):
    assert verify_legend(drawn(ROWS, **style), CLASSES) == list(range(13))


def test_the_order_of_rows_is_reported_not_believed():
    assert verify_legend(drawn(ROWS[::-1]), CLASSES) == list(range(12, -1, -1))


def test_a_changed_colour_is_named():
    changed = [
        ((200, 10, 10), name) if index == 8 else (rgb, name)
        for index, (rgb, name) in enumerate(ROWS)
    ]
    with pytest.raises(LegendMismatchError, match=r"Pastures.*\(200, 10, 10\)"):
        verify_legend(drawn(changed), CLASSES)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:-1], "Coastal wetlands"),
        ([*ROWS, ((120, 120, 120), "Other")], "120, 120, 120"),
        ([*ROWS, ROWS[3]], r"doubled ids \[3\]"),
    ],
)
def test_a_missing_added_or_doubled_row_is_refused(rows, message):
    with pytest.raises(LegendMismatchError, match=message):
        verify_legend(drawn(rows), CLASSES)


def test_a_lossy_legend_proves_nothing():
    with pytest.raises(LegendMismatchError):
        verify_legend(drawn(ROWS, kind="JPEG"), CLASSES)


def test_lettering_is_no_swatch():
    assert len(find_swatches(drawn(ROWS))) == 13


def test_what_is_no_picture_is_refused():
    with pytest.raises(WmsPayloadError, match="expected a picture"):
        verify_legend(b"<html>", CLASSES)


def test_the_colours_are_far_enough_apart_for_the_largest_colour_limit():
    colours = np.array([*(row.rgb for row in CLASSES), (255, 255, 255)])
    distance = np.abs(colours[:, None] - colours[None]).max(axis=-1)
    assert distance[~np.eye(len(colours), dtype=bool)].min() == 25
