"""``python -m pipeline.simulator.wms``: OSM land use of the simulated Earth, by WMS on loopback.

Prints one line ``{"url": ...}`` on standard output once it listens.
"""

import argparse
import json
import sys
import threading
from pathlib import Path

from pipeline.errors import PipelineError, run_step


def main() -> None:
    """Serve until interrupted, or until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.simulator.wms", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port, 0 for any free one")
    parser.add_argument("--seed", type=int, default=7, help="another seed is another planet")
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder for rendered tiles, one for each seed"
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when standard input ends"
    )
    arguments = parser.parse_args()
    run_step(lambda: serve(arguments))


def serve(arguments: argparse.Namespace) -> None:
    """Start the server, say where it is, and wait.

    Raises:
        PipelineError: MapProxy is not installed.
    """
    try:
        from pipeline.simulator.osm_layer import SimulatedOsmLayer
        from pipeline.simulator.wms_server import LandUseServer
    except ModuleNotFoundError as error:
        raise PipelineError(
            f"{error.name} is not installed; the simulated WMS needs pip install 'noldo[simulator]'"
        ) from None
    folder = arguments.cache / f"seed-{arguments.seed}"
    with LandUseServer(SimulatedOsmLayer(arguments.seed), folder, arguments.port) as server:
        print(json.dumps({"url": server.url}), flush=True)
        if arguments.exit_with_parent:
            sys.stdin.read()
        else:
            threading.Event().wait()


if __name__ == "__main__":
    main()
