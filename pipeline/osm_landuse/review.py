"""A page that shows the test tiles, so that a person can veto or correct one.

Whoever reviews needs a browser only: the page holds one picture per tile and saves the vetoes as
the CSV file that the build reads.
"""

import html
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.atomic_file import write_atomically
from pipeline.gallery import paint_classes
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.agreement import load_crosswalk, measure_agreement
from pipeline.osm_landuse.fetch import tile_path
from pipeline.osm_landuse.vetoes import VETO_COLUMNS

_AGREE_RGB = (60, 160, 70)
_CONTRADICT_RGB = (214, 39, 40)
_NOT_JOINT_RGB = (225, 225, 225)
_GAP = 6


@dataclass(frozen=True, eq=False)
class ReviewTile:
    """What the page shows of one tile; all on one grid.

    Attributes:
        tile_id: The tile.
        image: (y, x, 3) uint8, Sentinel-2 in natural colour.
        osm: (y, x) uint8, ids of ``osm_landuse``, 255 = no label.
        dw: (y, x) uint8, ids of ``dynamic_world``, 255 = no label.
    """

    tile_id: str
    image: NDArray[np.uint8]
    osm: NDArray[np.uint8]
    dw: NDArray[np.uint8]


def write_review(
    folder: Path,
    tiles: Iterable[ReviewTile],
    earlier: Sequence[Sequence[str]] = (),
    simulated: bool = False,
) -> Path:
    """Write ``index.html`` and a picture per tile; one tile is in memory at a time.

    Args:
        folder: Pictures of tiles that are not shown any more are removed from it.
        tiles: What the page shows.
        earlier: Rows of the vetoes that the tiles were chosen by; the page saves them, too, as the
            dropped tiles among them cannot be ticked any more.
        simulated: Whether the page has to say so.

    Returns:
        The page.

    Raises:
        PipelineError: A tile's id cannot be a file name, or a label is outside its legend.
    """
    figures, pictures = [], []
    for tile in tiles:
        picture = tile_path(folder, tile.tile_id, ".png")
        pictures.append(picture)
        body = io.BytesIO()
        Image.fromarray(_montage(tile)).save(body, "PNG")
        write_atomically(picture, body.getvalue())
        figures.append(_figure(tile))
    template = Template(files("pipeline.osm_landuse").joinpath("review.html").read_text())
    page = template.substitute(
        mark="SIMULATED: " if simulated else "",
        osm_legend=_legend("osm_landuse"),
        dw_legend=_legend("dynamic_world"),
        tile_count=len(figures),
        tiles="\n".join(figures),
        earlier=json.dumps([list(row) for row in earlier]).replace("<", "\\u003c"),
        earlier_count=len(earlier),
        columns=json.dumps(",".join(VETO_COLUMNS)),
    )
    write_atomically(folder / "index.html", page.encode())
    for leftover in {*folder.glob("*.png")} - {*pictures}:
        leftover.unlink()
    return folder / "index.html"


def paint_disagreement(osm: NDArray[np.uint8], dw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where the labels of a tile agree by Table I, and where not: (y, x, 3) uint8."""
    joint = (osm != UNLABELLED) & (dw != UNLABELLED)
    agree = np.zeros(osm.shape, bool)
    agree[joint] = load_crosswalk()[osm[joint], dw[joint]]
    picture = np.full((*osm.shape, 3), _NOT_JOINT_RGB, np.uint8)
    picture[joint] = _CONTRADICT_RGB
    picture[agree] = _AGREE_RGB
    return picture


def _montage(tile: ReviewTile) -> NDArray[np.uint8]:
    panels = [
        tile.image,
        paint_classes(tile.osm, "osm_landuse"),
        paint_classes(tile.dw, "dynamic_world"),
        paint_disagreement(tile.osm, tile.dw),
    ]
    gap = np.full((tile.osm.shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([panels[0], *(part for panel in panels[1:] for part in (gap, panel))])


def _figure(tile: ReviewTile) -> str:
    agreement = measure_agreement(tile.osm, tile.dw)
    name = html.escape(tile.tile_id, quote=True)
    share = f"{agreement.share:.1%}" if agreement.joint else "undefined"
    return (
        f'<figure data-tile="{name}"><figcaption><label><input type="checkbox"> '
        f"<strong>{name}</strong></label><span>agreement {share} of "
        f"{agreement.joint_share:.0%} labelled in both</span>"
        f'<input type="text" placeholder="why?"></figcaption>'
        f'<img loading="lazy" src="{name}.png" alt="{name}"></figure>'
    )


def _legend(legend: str) -> str:
    return " ".join(
        f'<span><i style="background:{row.color}"></i>{html.escape(row.name)}</span>'
        for row in load_legend(legend)
    )
