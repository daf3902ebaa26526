"""Takes the pictures of the report for the documentation: ``python -m tests.screenshots``.

Needs Chromium and a finished report, by default that of ``make demo``.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pipeline.errors import PipelineError, run_step
from tests.browser import DESKTOP, PHONE, find_chromium, offline_page

PHONE_PLACES = ("top", "places", "classes", "nol-9")
DESKTOP_PLACES = ("top", "agreement", "nol-9")
"""Sections of the page, and the ninth sample of its gallery: one drawn at random."""
_GAP = 18
_QUALITY = 78


def take_pictures(report: Path, size: tuple[int, int], places: Sequence[str]) -> list[Image.Image]:
    """The window of a browser at some places of the page: ``top``, or the id of a section."""
    pictures = []
    with offline_page(report, size) as (page, _):
        for place in places:
            target = "0" if place == "top" else f"document.getElementById('{place}').offsetTop - 64"
            page.evaluate(f"window.scrollTo({{top: {target}, behavior: 'instant'}})")
            page.wait_for_timeout(200)
            pictures.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    return pictures


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in a row."""
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), "white")
    for number, picture in enumerate(pictures):
        row.paste(picture, (number * (width + _GAP), 0))
    return row


def one_below_the_other(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in a column."""
    width, height = pictures[0].size
    column = Image.new("RGB", (width, len(pictures) * (height + _GAP) - _GAP), "white")
    for number, picture in enumerate(pictures):
        column.paste(picture, (0, number * (height + _GAP)))
    return column


def main() -> None:
    """Write ``report_phone.jpg`` and ``report_desktop.jpg``."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("results/demo/report/index.html"))
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    if not options.report.is_file():
        raise PipelineError(f"{options.report} does not exist; run `make demo` first")
    if find_chromium() is None:
        raise PipelineError("no Chromium found; install the package chromium")
    phone = side_by_side(take_pictures(options.report, PHONE, PHONE_PLACES))
    desktop = one_below_the_other(take_pictures(options.report, DESKTOP, DESKTOP_PLACES))
    desktop = desktop.resize((desktop.width * 3 // 4, desktop.height * 3 // 4), Image.LANCZOS)
    for name, picture in (("report_phone", phone), ("report_desktop", desktop)):
        file = options.output / f"{name}.jpg"
        picture.save(file, quality=_QUALITY, optimize=True)
        print(f"picture {file}")


if __name__ == "__main__":
    run_step(main)
