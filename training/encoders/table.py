"""The encoders that can be compared, as data: ``encoders.csv`` and ``encoder_inputs.csv``.

The first has one row per name and modality: where the weights come from, under which licence, in
which layout. The second has what their authors trained them on, band by band.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast, get_args

from pipeline.errors import PipelineError
from training.cromss.fusion import Modality
from training.loading.inputs import UNITS, InputContract, InputScale, contract_of

TransformerKind = Literal["scalemae_vit_large", "satmae_vit_large", "dofa_vit_large"]
EncoderKind = Literal["resnet50", TransformerKind]
KeyMap = Literal[
    "none",
    "torchvision",
    "cromss_mid",
    "cromss_late",
    "scalemae",
    "satmae",
    "satmae_pp",
    "dofa",
]
"""The layouts of files: names and containers, as `published_weights` knows them."""

STORE_STATISTICS = "store"
"""Stands in the column ``inputs`` of encoders that are scaled by the store they are tried on."""


@dataclass(frozen=True)
class EncoderEntry:
    """One row of ``encoders.csv``.

    Attributes:
        name: What users write in their settings; with the modality, it names one encoder.
        modality: "s1" or "s2".
        kind: The network.
        bands: Names, in the order of the channels.
        inputs: Rows of ``encoder_inputs.csv``, or "store" for the statistics of the store.
        unit: Of the values before scaling.
        scaling: As in `InputContract`.
        size: Rows and columns of the images trained on, pixels; None where that means nothing.
        keys: How names in the file become names of the network (`published_weights`).
        url: Where the file is downloaded, empty if there is none.
        torchgeo: The same weights in torchgeo, empty if there are none.
        licence: SPDX name, or "unverified".
        noncommercial: Whether the licence forbids commercial use.
        sha256: Of the file, or the first digits of it where only those are published; empty where
            nothing is.
        checksum: "full", "prefix" or "unverified".
        source: Where all of this is written.
    """

    name: str
    modality: Modality
    kind: EncoderKind
    bands: tuple[str, ...]
    inputs: str
    unit: str
    scaling: InputScale
    size: int | None
    keys: KeyMap
    url: str
    torchgeo: str
    licence: str
    noncommercial: bool
    sha256: str
    checksum: Literal["full", "prefix", "unverified"]
    source: str

    def contract(
        self, bands: tuple[str, ...], statistics: Mapping[str, Mapping[str, float]] | None
    ) -> InputContract:
        """What to feed this encoder.

        Args:
            bands: In the order of the channels.
            statistics: Of the store by band, needed where the table says "store".

        Raises:
            PipelineError: The store's statistics are needed and lacking.
        """
        if self.inputs == STORE_STATISTICS:
            return contract_of(self.modality, bands, self.scaling, statistics or {})
        rows = _band_inputs()[self.inputs]
        return InputContract(
            modality=self.modality,
            bands=bands,
            unit=UNITS[self.modality],
            scaling=self.scaling,
            mean=tuple(row.mean for row in rows),
            std=tuple(row.std for row in rows),
            low=tuple(row.low for row in rows if row.low is not None),
            high=tuple(row.high for row in rows if row.high is not None),
        )

    @property
    def wavelengths(self) -> tuple[float, ...]:
        """Of each band in micrometres, for encoders that are told; else empty."""
        rows = _band_inputs().get(self.inputs, ())
        return tuple(row.wavelength for row in rows if row.wavelength is not None)


@dataclass(frozen=True)
class _BandInput:
    mean: float
    std: float
    low: float | None
    high: float | None
    wavelength: float | None


@cache
def encoder_table() -> tuple[EncoderEntry, ...]:
    """Every encoder that can be named, in the order of the table."""
    return tuple(_entry(row) for row in _rows("encoders.csv"))


def find_entry(name: str, modality: Modality) -> EncoderEntry:
    """The encoder of a name and modality.

    Raises:
        PipelineError: There is none; the message lists what there is.
    """
    found = [entry for entry in encoder_table() if entry.name == name]
    for entry in found:
        if entry.modality == modality:
            return entry
    if found:
        raise PipelineError(f"encoder {name} exists for {found[0].modality} only, not {modality}")
    known = ", ".join(entry.name for entry in encoder_table() if entry.modality == modality)
    raise PipelineError(
        f"there is no encoder {name!r} and no such file; for {modality} there are {known}"
    )


@cache
def _band_inputs() -> dict[str, tuple[_BandInput, ...]]:
    """Rows of ``encoder_inputs.csv`` by their id, in the order of the channels."""
    inputs: dict[str, list[_BandInput]] = {}
    for row in sorted(_rows("encoder_inputs.csv"), key=lambda row: int(row["position"])):
        numbers = {
            name: float(row[name]) if row[name] else None for name in ("low", "high", "wavelength")
        }
        band = _BandInput(float(row["mean"]), float(row["std"]), **numbers)
        inputs.setdefault(row["inputs"], []).append(band)
    return {name: tuple(bands) for name, bands in inputs.items()}


def _entry(row: dict[str, str]) -> EncoderEntry:
    checksum = row["checksum"]
    if row["kind"] not in get_args(EncoderKind) or row["keys"] not in get_args(KeyMap):
        raise ValueError(f"encoders.csv: kind or keys of {row['name']} do not exist")
    return EncoderEntry(
        name=row["name"],
        modality=cast(Modality, row["modality"]),
        kind=cast(EncoderKind, row["kind"]),
        bands=tuple(row["bands"].split()),
        inputs=row["inputs"],
        unit=row["unit"],
        scaling=cast(InputScale, row["scaling"]),
        size=int(row["size"]) if row["size"] else None,
        keys=cast(KeyMap, row["keys"]),
        url=row["url"],
        torchgeo=row["torchgeo"],
        licence=row["licence"],
        noncommercial=row["noncommercial"] == "yes",
        sha256=row["sha256"],
        checksum=cast(Literal["full", "prefix", "unverified"], checksum),
        source=row["source"],
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = files("training.encoders").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def table_text() -> str:
    """The encoders in columns, for people to choose from."""
    rows = [("name", "sensor", "network", "bands", "licence", "checksum", "torchgeo")]
    rows += [
        (
            entry.name,
            entry.modality,
            entry.kind,
            str(len(entry.bands)),
            entry.licence + (" (needs consent)" if entry.noncommercial else ""),
            entry.checksum if entry.url else "-",
            entry.torchgeo or "-",
        )
        for entry in encoder_table()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


if __name__ == "__main__":
    print(table_text())
