"""How much of the land use that a WMS server shows comes back, by decoding procedure.

Five tiles of 510 x 510 pixels from the equator to 69 N, about 1,950 polygons each, served by
MapProxy with its defaults (bicubic resampling, palette PNGs), sharp and antialiased. The truth is
the majority of 100 sub-pixels. Limits are those of the default procedure.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED
from pipeline.osm_landuse.cleaning import opened, sieved
from pipeline.osm_landuse.decode import classify_colours, majority_label, without_hairlines
from pipeline.osm_landuse.map_request import MapRequest, aligned_request, released_request
from pipeline.osm_landuse.picture import read_picture
from pipeline.osm_landuse.rate_limit import RateLimit
from pipeline.osm_landuse.released import decode_as_released
from pipeline.osm_landuse.wms import WmsClient
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.simulator.polygon_painter import PolygonPainter
from pipeline.simulator.wms_server import LandUseServer
from tests.services.synthetic_land_use import (
    KINDS,
    PLACES,
    LandUse,
    Truth,
    compare,
    land_use,
    recall_by_kind,
    truth_of,
)

MIN_ACCURACY, MIN_RECALL, MAX_INVENTED = 0.995, 0.985, 0.0
DEFAULT = "aligned, majority (default)"
COLOUR_LIMIT = 8

Label = NDArray[np.uint8]


@dataclass(frozen=True)
class Procedure:
    """What is asked for, and what is made of the answer."""

    name: str
    request: Callable[[PatchGrid], MapRequest]
    decode: Callable[[NDArray[np.uint8], MapRequest, PatchGrid], Label]


def majority(picture: NDArray[np.uint8], request: MapRequest, grid: PatchGrid) -> Label:
    """The default decoding without cleaning."""
    ids = without_hairlines(classify_colours(picture, COLOUR_LIMIT))
    return majority_label(ids, request, grid)


def aligned(grid: PatchGrid) -> MapRequest:
    """On the pixel grid of the server's cache, at the default resolution."""
    return aligned_request(grid, OsmLanduseSettings().ground_resolution_m)


def unaligned(grid: PatchGrid) -> MapRequest:
    """The released window at four pixels per tile pixel: the server resamples."""
    request = released_request(grid)
    return replace(request, width=2 * request.width, height=2 * request.height)


PROCEDURES = (
    Procedure("released, without its faults", released_request, decode_as_released),
    Procedure("unaligned, majority", unaligned, majority),
    Procedure(DEFAULT, aligned, majority),
    Procedure("aligned at 5 m, majority", lambda grid: aligned_request(grid, 5.0), majority),
    Procedure(
        "aligned, majority, opening",
        aligned,
        lambda picture, request, grid: opened(majority(picture, request, grid), UNLABELLED),
    ),
    Procedure(
        "aligned, majority, sieve",
        aligned,
        lambda picture, request, grid: sieved(majority(picture, request, grid)),
    ),
)


def main() -> None:
    """Print a row per server and procedure; fail if the default one is beyond its limits."""
    scenes = [land_use(grid, seed) for seed, grid in enumerate(PLACES.values())]
    truths = [truth_of(scene) for scene in scenes]
    coverage = np.mean([(truth.label != UNLABELLED).mean() for truth in truths])
    print(f"true coverage {coverage:.3f}; recall by kind in the last four columns")
    columns = ("coverage", "accuracy", "recall", "invented", *KINDS, "s/tile")
    print(f"{'':42}" + "".join(f"{name.replace('object ', ''):>17}" for name in columns))
    beyond = []
    for antialiased in (False, True):
        with served(scenes, antialiased) as client:
            for procedure in PROCEDURES:
                figures, worst = measured(client, procedure, scenes, truths)
                edges = "antialiased" if antialiased else "sharp"
                title = f"{edges}: {procedure.name}"
                print(f"{title:42}" + "".join(f"{figure:17.4f}" for figure in figures))
                accuracy, recall, invented = worst
                if procedure.name == DEFAULT and (
                    accuracy < MIN_ACCURACY or recall < MIN_RECALL or invented > MAX_INVENTED
                ):
                    beyond.append(f"{edges}: worst tile {worst}")
    if beyond:
        sys.exit("; ".join(beyond))


@contextmanager
def served(scenes: list[LandUse], antialiased: bool) -> Iterator[WmsClient]:
    """A client of a server that shows all scenes."""
    polygons = [shape for scene in scenes for shape in scene.mercator_polygons()]
    ids = [number for scene in scenes for number in scene.ids]
    settings = OsmLanduseSettings(requests_per_second=100)
    with tempfile.TemporaryDirectory() as directory:
        limit = RateLimit(Path(directory) / "rate", 100)
        painter = PolygonPainter(polygons, ids, antialiased)
        with (
            LandUseServer(painter, Path(directory)) as server,
            WmsClient(server.url, settings, limit) as client,
        ):
            yield client


def measured(
    client: WmsClient, procedure: Procedure, scenes: list[LandUse], truths: list[Truth]
) -> tuple[list[float], tuple[float, float, float]]:
    """Means over the tiles, with decoding time; and the worst accuracy, recall and invention."""
    rows = []
    for scene, truth in zip(scenes, truths, strict=True):
        request = procedure.request(scene.grid)
        picture = read_picture(client.map_picture(request).body)
        started = time.perf_counter()
        label = procedure.decode(picture, request, scene.grid)
        seconds = time.perf_counter() - started
        found = compare(label, truth)
        kinds = recall_by_kind(label, truth, scene)
        overall = [found.coverage, found.accuracy, found.recall, found.invented]
        rows.append([*overall, *(kinds[kind] for kind in KINDS), seconds])
    table = np.array(rows)
    worst = (float(table[:, 1].min()), float(table[:, 2].min()), float(table[:, 3].max()))
    return [float(figure) for figure in table.mean(axis=0)], worst


if __name__ == "__main__":
    main()
