"""Labels from Earth Engine for imported scenes: ``python -m pipeline.importers.ssl4eo_labels``.

The Dynamic World label of every Sentinel-2 scene of a store of SSL4EO-S12 is asked for by the
scene's own id, which is how the pretraining set of the CromSS paper came about; a location counts
once all four of its scenes have one.

Where the pixels of a label lie: v1.1 records UTM grids, and the label is asked for on these. v1.0
records longitude and latitude, but its pixels are those of the scene's own UTM grid (they were cut
out of it and the outline was written down afterwards), so the label is asked for in the scene's
zone, 10 m, around the recorded centre.
"""

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import EarthEngineFault, Missing
from pipeline.earthengine.pixels import fetch_label
from pipeline.earthengine.session import earth_engine
from pipeline.errors import PipelineError, run_step
from pipeline.grid import PatchGrid, crs_transformer, mgrs_epsg
from pipeline.importers.command import show_summary
from pipeline.importers.inventory import read_inventory
from pipeline.importers.label_part import StoredScenes, add_labels
from pipeline.importers.scenes import mgrs_tile
from pipeline.importers.ssl4eo import finish_import, read_plan, work_folder
from pipeline.importers.units import Decoded, Key, Unit, Wanted
from pipeline.legend import UNLABELLED
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import load_settings

_PIXEL_M = 10.0
_WGS84 = 4326

_log = logging.getLogger(__name__)


def label_from_earth_engine(store: Path, client: Client) -> str:
    """Add the labels of all scenes of a store; the new summary.

    Args:
        store: Made by `import_ssl4eo`.
        client: A session on the high-volume endpoint.

    Raises:
        PipelineError: The store was not imported here, or some labels could not be fetched; what
            was fetched is kept for the next run.
    """
    target, _ = read_plan(store)
    scenes = StoredScenes(store)
    locations = scenes.locations()

    def units(wanted: Wanted) -> Iterator[Unit]:
        places = [sample for sample in locations if wanted(Key("", sample, "label"))]
        known = ((sample, scenes.of(sample) or {}) for sample in places)
        fetch = partial(_fetch_location, client, target.patch_pixels)
        failed = 0
        for (sample, _), future in client.map(fetch, known):
            try:
                decoded = future.result()
            except PipelineError:
                raise
            except EarthEngineFault as fault:
                _log.warning("labels of %s: %s", sample, fault)
                failed += 1
                continue
            yield Unit(Key("", sample, "label"), lambda decoded=decoded: decoded)  # type: ignore[misc]
        if failed:
            raise PipelineError(
                f"the labels of {failed} of {len(places)} locations could not be fetched; "
                "run the same command again"
            )

    add_labels(store, "Dynamic World V1, from Earth Engine", locations, units)
    return finish_import(store, read_inventory(work_folder(store) / "inventory.json"))


def label_grid(known: Mapping[str, Any], scene: str, pixels: int) -> PatchGrid:
    """The UTM grid of the pixels of one scene; see the module.

    Args:
        known: Facts of the location: ``epsg``, ``left``, ``top``, ``x_step``, ``centre``.
        scene: Index of the Sentinel-2 scene.
        pixels: Rows and columns.
    """
    if known["epsg"] != _WGS84:
        return PatchGrid(known["epsg"], known["left"], known["top"], pixels, pixels)
    epsg = mgrs_epsg(mgrs_tile(scene))
    easting, northing = crs_transformer(_WGS84, epsg).transform(*known["centre"])
    half = pixels * _PIXEL_M / 2
    left, top = (
        round(corner / _PIXEL_M) * _PIXEL_M for corner in (easting - half, northing + half)
    )
    return PatchGrid(epsg, left, top, pixels, pixels)


def _fetch_location(client: Client, pixels: int, place: tuple[str, Mapping[str, Any]]) -> Decoded:
    """Labels of the seasons of one location; a scene without label stays unlabelled."""
    _, known = place
    label = np.full((SEASONS, pixels, pixels), UNLABELLED, np.uint8)
    labelled = [""] * SEASONS
    for season, scene in enumerate(known["scenes"]):
        if scene:
            try:
                label[season] = fetch_label(client, scene, label_grid(known, scene, pixels))
                labelled[season] = scene
            except Missing:
                _log.info("%s has no Dynamic World label", scene)
    return Decoded({"label": label}, {"scenes": labelled})


def main(arguments: Sequence[str] | None = None) -> None:
    """Label a store from the command line."""
    parser = argparse.ArgumentParser(
        "python -m pipeline.importers.ssl4eo_labels", description=__doc__
    )
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--store", type=Path, required=True, help="imported store to label")
    parser.add_argument("--slots", type=int, default=8, help="requests in flight at most")
    parser.add_argument("--summary", type=Path, help="file for the summary, beside the screen")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    read_plan(options.store)
    with earth_engine(load_settings(options.settings), "high_volume", options.slots) as client:
        show_summary(label_from_earth_engine(options.store, client), options.summary)


if __name__ == "__main__":
    run_step(main)
