"""A running simulated Earth Engine, and the real client pointed at it."""

import socket
import time
from contextlib import contextmanager

import ee
import pytest
from google.auth.credentials import AnonymousCredentials

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.faults import FaultPlan
from pipeline.simulator.server import SimulatedEarthEngine

PROJECT = "offline-test"


@pytest.fixture(scope="package", autouse=True)
def loopback_only():
    """Keep `ee.Initialize` from waiting for a proxy or for a host that cannot be reached."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", "127.0.0.1,localhost,storage.googleapis.com")
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(60)
        yield
        socket.setdefaulttimeout(before)


@contextmanager
def _client_of(server):
    """The `ee` module initialised to a server, without retries of its own."""
    ee.Reset()
    ee.Initialize(credentials=AnonymousCredentials(), url=server.url, project=PROJECT)
    ee.data.setMaxRetries(0)
    try:
        yield ee
    finally:
        ee.Reset()


@pytest.fixture(scope="session")
def client_of():
    """A context manager: the real client, initialised to the server it is given."""
    return _client_of


@pytest.fixture(scope="session")
def _running_server():
    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as server:
        yield server


@pytest.fixture
def simulated_earth_engine(_running_server):
    """The server of the session, set back to good behaviour after each test."""
    yield _running_server
    _running_server.faults = FaultPlan()
    _running_server.latency_s = 0.0
    _running_server.max_concurrent = None
    _running_server.restricted = False
    while _running_server.in_flight_log and _running_server.in_flight_log[-1][1]:
        time.sleep(0.01)  # a test has left a request behind


@pytest.fixture
def ee_client(simulated_earth_engine):
    """The real client, initialised to `simulated_earth_engine`."""
    with _client_of(simulated_earth_engine) as client:
        yield client
