"""A server of ours that runs as a child process for as long as we need it, and no longer."""

import json
import select
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.errors import PipelineError

_START_S = 120.0
_STOP_S = 5.0


@contextmanager
def child_server(command: Sequence[str]) -> Iterator[str]:
    """Run a command that serves HTTP on loopback and give its address.

    The command prints one line ``{"url": ...}`` once it listens, and ends when its standard input
    does: so it ends with us, however we end.

    Raises:
        PipelineError: It does not start.
    """
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us; the open requests still want their answers
    )
    try:
        yield _announced_url(process, command)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _announced_url(process: "subprocess.Popen[str]", command: Sequence[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - opened with a pipe
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline() if ready else ""
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError):
        raise PipelineError(
            "the simulated Earth did not start; its own message stands above, or run "
            f"`{shlex.join(command)}` to see it"
        ) from None
