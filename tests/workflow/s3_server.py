"""An S3 server on this machine for the time of a test: moto, which speaks the protocol."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.error import URLError

from tests.workflow.slurm_cluster import free_ports

BUCKET = "datasets"

_START_S = 60.0


def server_command() -> Sequence[str] | None:
    """How the server is started; None where it is not installed."""
    if importlib.util.find_spec("moto"):
        return [sys.executable, "-m", "moto.server"]
    program = shutil.which("moto_server")
    return [program] if program else None


@contextmanager
def s3_server(command: Sequence[str]) -> Iterator[dict[str, str]]:
    """Run the server with one empty bucket; give the environment with which it is found."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [*command, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": ""},
    )
    try:
        _make_bucket(url, server)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "unspoken-secret",
        }
    finally:
        server.terminate()
        server.wait()


def _make_bucket(url: str, server: "subprocess.Popen[bytes]") -> None:
    request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
    deadline = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except (URLError, ConnectionError):
            assert server.poll() is None and time.monotonic() < deadline, "moto did not start"
            time.sleep(0.2)
