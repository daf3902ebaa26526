"""From a fetched picture and a Dynamic World label to a tile's OSM label, verdict and split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.agreement import (
    Agreement,
    Verdict,
    check_numbering,
    judge_tile,
    measure_agreement,
)
from pipeline.osm_landuse.decode import TileStatus, decode_tile
from pipeline.osm_landuse.fetch import FetchRecord, read_fetched
from pipeline.osm_landuse.picture import Rgb
from pipeline.osm_landuse.split import KeptTile, assign_splits
from pipeline.osm_landuse.tile_table import TileRow
from pipeline.osm_landuse.vetoes import Action, Veto, corrected_label
from pipeline.settings.osm_landuse import OsmLanduseSettings


@dataclass(frozen=True, eq=False)
class DwTile:
    """An expert tile as it was published.

    Attributes:
        tile_id: Its name.
        published_split: ``train`` or ``test``.
        grid: Its pixels.
        label: (y, x) uint8 on the grid, ids of ``dynamic_world`` from 0, 255 = no label.
    """

    tile_id: str
    published_split: Literal["train", "test"]
    grid: PatchGrid
    label: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Assessment:
    """What was found about one tile; its label is kept elsewhere.

    Attributes:
        tile_id: The tile.
        published_split: Split of its Dynamic World label.
        verdict: Why it is kept or dropped.
        agreement: Pixel counts.
        class_pixels: Pixels of each OSM class, (classes,) int64.
        unknown_share: Share of its picture in no legend colour.
        unknown_colours: Colours in no legend row that fill a solid block.
        record: Provenance of its picture.
        note: A reviewer's reason, if there is one.
    """

    tile_id: str
    published_split: Literal["train", "test"]
    verdict: Verdict
    agreement: Agreement
    class_pixels: NDArray[np.int64]
    unknown_share: float
    unknown_colours: tuple[Rgb, ...]
    record: FetchRecord
    note: str


def assess_tile(
    tile: DwTile, fetched: Path, settings: OsmLanduseSettings, vetoes: dict[str, Veto]
) -> tuple[Assessment, NDArray[np.uint8]]:
    """Decode a fetched tile, compare it with Dynamic World and judge it.

    A veto has the last word: a dropped tile stays out, a corrected one is judged by its new label.

    Returns:
        The assessment, and the label: (y, x) uint8, ids of ``osm_landuse``, 255 = no label.

    Raises:
        FileNotFoundError: The tile has not been fetched.
        PipelineError: A label does not fit the tile or its legend.
    """
    record, picture = read_fetched(fetched, tile.tile_id)
    decoded = decode_tile(picture, record.request, tile.grid, settings)
    veto = vetoes.get(tile.tile_id)
    label, status = decoded.label, decoded.status
    if veto is not None and veto.label is not None:
        label, status = corrected_label(veto.label, tile.grid), TileStatus.LABELLED
    agreement = measure_agreement(label, tile.label)
    verdict = judge_tile(status, agreement, settings)
    if veto is not None and veto.action is Action.DROP:
        verdict = Verdict.VETOED
    classes = len(load_legend("osm_landuse"))
    assessment = Assessment(
        tile_id=tile.tile_id,
        published_split=tile.published_split,
        verdict=verdict,
        agreement=agreement,
        class_pixels=np.bincount(label[label != UNLABELLED], minlength=classes),
        unknown_share=decoded.unknown_share,
        unknown_colours=decoded.unknown_colours,
        record=record,
        note=veto.note if veto else "",
    )
    return assessment, label


def conclude(
    assessments: Sequence[Assessment], settings: OsmLanduseSettings, seed: int
) -> list[TileRow]:
    """Check the numbering over all tiles, split the kept ones, and list every tile.

    Raises:
        PipelineError: The labels agree too little to be in the right numbering, or the test split
            would leave nothing to train on.
    """
    check_numbering((one.agreement for one in assessments), settings.plausible_agreement)
    kept = [
        KeptTile(one.tile_id, one.published_split, one.class_pixels)
        for one in assessments
        if one.verdict is Verdict.KEPT
    ]
    splits = assign_splits(kept, settings.test_tiles, seed)
    return [_row(one, splits.get(one.tile_id, "")) for one in assessments]


def _row(one: Assessment, split: str) -> TileRow:
    colours = ("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in one.unknown_colours)
    return TileRow(
        tile_id=one.tile_id,
        published_split=one.published_split,
        split=split,
        verdict=one.verdict,
        osm_share=one.agreement.osm_share,
        joint_share=one.agreement.joint_share,
        agreement=one.agreement.share,
        unknown_share=one.unknown_share,
        unknown_colours=" ".join(colours),
        fetched_at=one.record.fetched_at,
        picture_sha256=one.record.sha256,
        note=one.note,
    )
