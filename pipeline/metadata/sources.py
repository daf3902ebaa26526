"""What a store was made from, and what follows: licences, credits, citations.

The rows come from ``pipeline/store/attribution.csv``, one per source, with the arrays that hold it;
the works to cite from ``references.bib``.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pipeline.errors import PipelineError

SHARE_ALIKE_NOTICE = (
    "Share-alike ({arrays}): derived from OpenStreetMap. Whoever makes this public, alone or "
    "within the store, has to offer it under the Open Database License 1.0, keep the credit "
    '"(c) OpenStreetMap contributors", and offer databases that are derived from it under the '
    "same licence (ODbL 1.0, sections 4.2 to 4.4). The other arrays are independent of it and keep "
    "their own terms (a collective database, section 4.5a). Figures and, as we read it, models "
    "trained on it are produced works, which need the notice of section 4.3. This is our reading "
    "and no legal advice; the terms of the map service itself were not verified."
)

UNKNOWN_NOTICE = (
    "Unknown terms: for {data} no licence could be verified. Ask its authors before you pass it on."
)


@dataclass(frozen=True)
class Source:
    """One row of ``attribution.csv``.

    Attributes:
        stores: Kinds of stores that hold data of it.
        key: Short name.
        data: Name for people.
        arrays: Names of the arrays that hold data of it.
        licence: In words.
        spdx: Identifier of the licence, empty if it has none.
        licence_url: Where the terms stand.
        attribution: The credit to give.
        share_alike: Whether databases derived from it must keep the licence: ``yes``, ``no`` or
            ``unknown``.
        citation: The work to cite, in words.
        url: Of the work or the data.
        references: Keys of ``references.bib``.
        checked: What of the row was looked up, and where.
    """

    stores: tuple[str, ...]
    key: str
    data: str
    arrays: tuple[str, ...]
    licence: str
    spdx: str
    licence_url: str
    attribution: str
    share_alike: str
    citation: str
    url: str
    references: tuple[str, ...]
    checked: str

    def covers(self, array: str) -> bool:
        """Whether an array holds data of this source."""
        return array in self.arrays


@cache
def all_sources() -> tuple[Source, ...]:
    """Every row of ``attribution.csv``."""
    table = files("pipeline.store").joinpath("attribution.csv").read_text(encoding="utf-8")
    return tuple(_source(row) for row in csv.DictReader(table.splitlines()))


def sources_of(kind: str) -> tuple[Source, ...]:
    """What a kind of store was made from: ``nol``, ``dw``, ``osm``, or an imported one.

    Raises:
        PipelineError: The table names no source of it.
    """
    found = tuple(source for source in all_sources() if kind in source.stores)
    if not found:
        known = sorted({name for source in all_sources() for name in source.stores})
        raise PipelineError(
            f"no source of {kind}.zarr is known, only of {', '.join(known)}; give the store one "
            "of these names or add its sources to pipeline/store/attribution.csv"
        )
    return found


def licence_notices(sources: tuple[Source, ...], arrays: list[str]) -> list[str]:
    """What the licences of a store's sources ask of those who pass it on, beyond credit.

    Args:
        sources: Of the store.
        arrays: Names of its arrays.
    """
    notices = []
    for source in sources:
        held = ", ".join(f"`{name}`" for name in arrays if source.covers(name))
        if source.share_alike == "yes":
            notices.append(SHARE_ALIKE_NOTICE.format(arrays=held))
        if source.share_alike == "unknown":
            notices.append(UNKNOWN_NOTICE.format(data=source.data))
    return notices


def bibtex_entries(sources: tuple[Source, ...]) -> list[str]:
    """The BibTeX entries of the works to cite, each once, in the order of the sources."""
    known = _bibliography()
    keys = dict.fromkeys(key for source in sources for key in source.references)
    return [known[key] for key in keys]


def publications(sources: tuple[Source, ...]) -> list[dict[str, str]]:
    """DOI and title of every work to cite that has a DOI."""
    found = []
    for entry in bibtex_entries(sources):
        doi = re.search(r"^  doi = \{(.+?)\},?$", entry, re.MULTILINE)
        title = re.search(r"^  title = \{(.+)\},$", entry, re.MULTILINE)
        if doi and title:
            found.append({"doi": doi[1], "citation": title[1]})
    return found


def latest_possible_year(sources: tuple[Source, ...]) -> int | None:
    """The year in which the first work on the sources appeared; their pixels are no younger."""
    years = re.findall(r"^  year = \{(\d{4})\}", "\n".join(bibtex_entries(sources)), re.MULTILINE)
    return min(map(int, years), default=None)


@cache
def _bibliography() -> dict[str, str]:
    text = files("pipeline.metadata").joinpath("references.bib").read_text(encoding="utf-8")
    entries = [part.strip() for part in text.split("\n\n") if part.lstrip().startswith("@")]
    return {entry.split("{", 1)[1].split(",", 1)[0]: entry for entry in entries}


def _source(row: dict[str, str]) -> Source:
    return Source(
        stores=tuple(row["stores"].split()),
        key=row["key"],
        data=row["data"],
        arrays=tuple(row["arrays"].split()),
        licence=row["licence"],
        spdx=row["spdx"],
        licence_url=row["licence_url"],
        attribution=row["attribution"],
        share_alike=row["share_alike"],
        citation=row["citation"],
        url=row["url"],
        references=tuple(row["reference"].split()),
        checked=row["checked"],
    )
