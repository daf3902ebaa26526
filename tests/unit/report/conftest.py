"""A tiny build and its report, made once for the tests of a process."""

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.report.__main__ import main
from pipeline.settings.tree import Settings
from pipeline.verify.findings import Finding, verification, write_verification
from tests.small_build import make_build

DEFECTS = (
    Finding("alignment", "s1", "0003", 1, "1.0 px", "0.5 px", "shifted by one pixel"),
    Finding("band order", "s2_10m", "0004", None, "B3 is B4", "", "bands are swapped"),
    Finding("label range", "label", "0006", 2, "77", "0 to 8", "no class has this id"),
    Finding("offset", "s2_10m", "0007", 0, "+1000", "0", "offset of baseline 04.00 left in"),
)
"""As `verify` tells of a shift, a swapped band, a wrong class id and an offset."""


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
    """The report of a build in which `verify` found four defects in one store."""
    settings = make_build(tmp_path_factory.mktemp("report"))
    examined = [(finding.check, 9, f"what {finding.check} means") for finding in DEFECTS]
    found = verification("nol.zarr", True, "0.1.0", examined, DEFECTS)
    write_verification(settings.folder / "verify" / "nol.json", found)
    clean = verification("dw.zarr", True, "0.1.0", examined, [])
    write_verification(settings.folder / "verify" / "dw.json", clean)
    return Report(settings, write_report(settings))
