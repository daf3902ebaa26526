"""A tiny build with planted defects and its report, made once for the tests of a process."""

import json
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.legend import UNLABELLED
from pipeline.report.__main__ import main
from pipeline.settings.tree import Settings
from pipeline.verify.__main__ import main as verify
from tests.small_build import TILE, make_build
from tests.unit.verify.painted_store import (
    PATCH,
    offset,
    paint,
    paint_tile,
    relabelled,
    shifted,
    swapped,
)

GRASS = 2
SHIFTED, SWAPPED, RELABELLED, RAISED = (3, 1), (4, 3), (6, 2), (7, 0)
"""Samples and seasons with a planted defect."""

DEFECTS = {
    SHIFTED: ("alignment", shifted("s2_10m")),
    SWAPPED: ("bands", swapped("s1", 0, 1)),
    RELABELLED: ("classes", relabelled({4: 77})),
    RAISED: ("offset", offset("s2_10m", "s2_20m", "s2_60m")),
}
"""What is planted in each, and the check that has to find it."""


def painted_season(sample, season):
    """A painted landscape, defective in four scenes; labels change along its edges."""
    _, change = DEFECTS.get((sample, season), (None, lambda scene: scene))
    scene = change(paint(sample, season))
    label = scene.label.copy()
    label[: 6 * season] = GRASS
    label[-4 * season - 1 :] = UNLABELLED
    return replace(scene, label=label)


def painted_tile(split, sample):
    """A painted tile without label along one edge."""
    tile = paint_tile(10 * len(split) + sample, TILE)
    tile["label"][:, :3] = UNLABELLED
    return tile


class Numbers(HTMLParser):
    """Collects the numbers, pictures, links and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.numbers, self.images, self.resources, self.findings = {}, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "data-number" in values:
            assert values["data-number"] not in self.numbers, values["data-number"]
            self.numbers[values["data-number"]] = float(values["value"])
        if "data-finding" in values:
            self.findings.append(values["data-finding"])
        if tag == "img":
            self.images.append(values["src"])
        if tag in ("script", "link", "iframe", "source"):
            self.resources += [values[name] for name in ("src", "href") if name in values]


@dataclass(frozen=True)
class Report:
    """A build with its page."""

    settings: Settings
    page: Path

    @property
    def folder(self) -> Path:
        return self.settings.folder

    @property
    def text(self) -> str:
        return self.page.read_text()

    @property
    def parsed(self) -> Numbers:
        return Numbers(self.text)

    def sums(self):
        return json.loads((self.folder / "report" / "label_sums.json").read_bytes())


def write_report(settings: Settings) -> Path:
    folder = settings.folder
    page = folder / "report" / "index.html"
    words = ["--settings", str(folder / "settings.yaml"), "--output", str(page)]
    main([*words, "--label-sums", str(folder / "report" / "label_sums.json")])
    return page


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Report:
    """The report of a build with four defects in one store, as `verify` finds them."""
    folder = tmp_path_factory.mktemp("report")
    settings = make_build(folder, PATCH, painted_season, painted_tile)
    for name in ("nol", "dw"):
        output = settings.folder / "verify" / f"{name}.json"
        verify([str(settings.folder / f"{name}.zarr"), "--report-only", "--output", str(output)])
    return Report(settings, write_report(settings))
