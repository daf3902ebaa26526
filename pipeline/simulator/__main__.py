"""``python -m pipeline.simulator``: serve the simulated Earth Engine until told to stop.

Prints one line of JSON, ``{"url": "http://127.0.0.1:PORT"}``, on standard output as soon as it
answers. It ends on SIGTERM or Ctrl-C and, with ``--exit-with-parent``, when its standard input
ends, which happens when the process that holds the other end dies in whatever way.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.errors import PipelineError, run_step
from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.faults import FaultPlan
from pipeline.simulator.mounted import CombinedArchive, MountedArchive
from pipeline.simulator.scene import Archive
from pipeline.simulator.server import SimulatedEarthEngine

_STOP_WAIT_S = 10.0


def main() -> None:
    """Parse the command line and serve."""
    options = _parser().parse_args()
    run_step(lambda: serve(options))


def serve(options: argparse.Namespace) -> None:
    """Serve until a signal or the end of standard input.

    Raises:
        PipelineError: A bad fault plan or manifest, or a port that is taken.
    """
    stop = _stop_event(options.exit_with_parent)
    with ExitStack() as running:
        server = running.enter_context(_server(options))
        port = int(server.url.rpartition(":")[2])
        for _ in range(options.workers - 1):
            running.enter_context(_worker(options, port))
        print(json.dumps({"url": server.url}), flush=True)
        stop.wait()


def _server(options: argparse.Namespace) -> SimulatedEarthEngine:
    faults = FaultPlan.from_file(options.faults) if options.faults else None
    try:
        return SimulatedEarthEngine(
            _archive(options.seed, options.scenes),
            options.port,
            options.latency,
            options.max_concurrent,
            faults,
            share_port=options.share_port or options.workers > 1,
        )
    except OSError as error:
        raise PipelineError(
            f"port {options.port} cannot be served: {error.strerror}; use --port 0 for a free one"
        ) from None


def _archive(seed: int, scenes: Path | None) -> Archive:
    earth = ProceduralArchive(seed)
    return earth if scenes is None else CombinedArchive(earth, MountedArchive(scenes))


def _stop_event(exit_with_parent: bool) -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if exit_with_parent:
        threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()
    return stop


def _wait_for_parent(stop: threading.Event) -> None:
    """Set the event at the end of standard input."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()


@contextmanager
def _worker(options: argparse.Namespace, port: int) -> Iterator[None]:
    """One more process on the same port; it dies with this one."""
    arguments = [f"--port={port}", f"--seed={options.seed}", f"--latency={options.latency}"]
    arguments += ["--share-port", "--exit-with-parent"]
    arguments += [f"--scenes={options.scenes}"] if options.scenes else []
    arguments += [f"--faults={options.faults}"] if options.faults else []
    if options.max_concurrent:
        arguments.append(f"--max-concurrent={options.max_concurrent}")
    command = [sys.executable, "-m", "pipeline.simulator", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603  (our own module)
        try:
            if process.stdout is None or not process.stdout.readline():
                raise PipelineError("a worker of the simulated Earth Engine did not start")
            yield
        finally:
            process.terminate()
            process.wait(_STOP_WAIT_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.simulator",
        description="Serve a simulated Earth Engine on the loopback interface.",
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="TCP port; 0 (default) takes a free one")
    add("--seed", type=int, default=0, help="seed of the simulated Earth (default 0)")
    add("--scenes", type=Path, metavar="DIR", help="folder of real scenes with a manifest")
    add("--faults", type=Path, metavar="FILE", help="fault plan, JSON")
    add("--latency", type=float, default=0.0, metavar="S", help="seconds per request (default 0)")
    add("--max-concurrent", type=_at_least_one, metavar="N", help="answer 429 above N in flight")
    add(
        "--workers",
        type=_at_least_one,
        default=1,
        metavar="N",
        help="processes that share the port; each counts requests and faults for itself",
    )
    add("--exit-with-parent", action="store_true", help="end when standard input ends")
    add("--share-port", action="store_true", help=argparse.SUPPRESS)
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    main()
