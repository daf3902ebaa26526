"""The WMS of a run: a real one by its address, or the simulated one, started for the run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.child_server import child_server
from pipeline.settings.osm_landuse import OsmLanduseSettings


@contextmanager
def open_service(settings: OsmLanduseSettings, seed: int, cache: Path) -> Iterator[str]:
    """Give the address of the WMS, and close the simulated one afterwards.

    Args:
        settings: Says which service.
        seed: Of the simulated Earth.
        cache: Folder for the simulated server's tiles.

    Raises:
        PipelineError: The simulated server does not start.
    """
    if settings.service != "simulated":
        yield settings.service
        return
    command = [sys.executable, "-m", "pipeline.simulator.wms", "--port", "0"]
    command += ["--exit-with-parent", "--seed", str(seed), "--cache", str(cache)]
    with child_server(command) as url:
        yield url
