"""Opens and closes the one Earth Engine session of a process, real or simulated."""

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import ee
import tenacity

from pipeline.child_server import child_server
from pipeline.earthengine.budget import Budget, Usage
from pipeline.earthengine.client import Client
from pipeline.earthengine.credentials import anonymous_credentials, google_credentials, is_loopback
from pipeline.earthengine.errors import (
    PASSING,
    SERVICE_ERRORS,
    AccessDenied,
    BudgetExhausted,
    EarthEngineFault,
    Transient,
    classify,
)
from pipeline.earthengine.shared_slots import SharedSlots
from pipeline.earthengine.transport import PooledTransport
from pipeline.errors import PipelineError
from pipeline.hopeless import leave_note
from pipeline.settings.services import EarthEngineSettings, SimulatorSettings
from pipeline.settings.tree import Settings

Endpoint = Literal["standard", "high_volume"]

_GOOGLE_URLS: dict[Endpoint, str] = {
    "standard": "https://earthengine.googleapis.com",
    "high_volume": "https://earthengine-highvolume.googleapis.com",
}
"""Source: https://developers.google.com/earth-engine/guides/processing_environments."""

_WORKLOAD_TAGS: dict[Endpoint, str] = {
    "standard": "noldo-selection",
    "high_volume": "noldo-pixels",
}
"""They split the compute usage in Cloud Monitoring."""

_SIMULATED_PROJECT = "simulated-earth"
_CATALOGUE_HOST = "storage.googleapis.com"
"""`ee.Initialize` reads a list of deprecated assets there, whatever URL it is given."""

_CATALOGUE_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)
_session_open = threading.Lock()


@contextmanager
def earth_engine(settings: Settings, endpoint: Endpoint, slots: int) -> Iterator[Client]:
    """Open the session of this process; the `ee` library is usable inside the block.

    Args:
        settings: Which service, which credentials, which budget.
        endpoint: ``standard`` for metadata, ``high_volume`` for pixels.
        slots: Requests in flight that this process never exceeds; all processes of the dataset
            together never exceed `slots` or `selection_slots` of the settings.

    Yields:
        The client that every request goes through.

    Raises:
        PipelineError: No project, no or expired credentials, a server that cannot be reached or
            that is no Earth Engine, an anonymous session off this machine.
        RuntimeError: A session is open already; the `ee` library knows only one per process.
    """
    if not _session_open.acquire(blocking=False):
        raise RuntimeError("an Earth Engine session is open in this process already")
    try:
        with ExitStack() as stack:
            url, project, credentials = _access(settings, endpoint, stack)
            timeout_s = settings.earthengine.request_timeout_s
            transport = PooledTransport(slots, timeout_s, is_loopback(url))
            stack.callback(transport.close)
            stack.callback(ee.Reset)
            with _explained(url):
                _retrying(settings.earthengine)(_initialize, url, project, credentials, transport)
            ee.data.setDefaultWorkloadTag(_WORKLOAD_TAGS[endpoint])
            _log.info("Earth Engine: %s, project %s, %d slots", url, project, slots)
            budget = stack.enter_context(Budget(settings.folder / "usage", settings.earthengine))
            stack.callback(lambda: budget.add(_traffic(transport)))
            shared = stack.enter_context(_shared_slots(settings, endpoint))
            yield Client(settings.earthengine, slots, budget, transport, shared)
    except (AccessDenied, BudgetExhausted) as fault:
        leave_note(settings.folder / "usage", str(fault))
        raise
    finally:
        _session_open.release()


def _shared_slots(settings: Settings, endpoint: Endpoint) -> SharedSlots:
    """The slots that the settings grant to all processes of a dataset together."""
    limits = settings.earthengine
    count = limits.slots if endpoint == "high_volume" else limits.selection_slots
    return SharedSlots(settings.folder / "usage" / "slots" / endpoint, count)


def _access(settings: Settings, endpoint: Endpoint, stack: ExitStack) -> tuple[str, str, Any]:
    """The URL to talk to, the project to bill and the credentials to show."""
    service, project = settings.earthengine.service, settings.earthengine.project
    if service == "google":
        if not project:
            raise AccessDenied(
                "earthengine.project is not set: the real service bills every request to a Google "
                "Cloud project; give yours, registered for Earth Engine"
            )
        url = _GOOGLE_URLS[endpoint]
        with _explained(url):
            retrying = _retrying(settings.earthengine)
            return url, project, retrying(google_credentials, settings.earthengine)
    if service == "simulated":
        service = stack.enter_context(child_server(_simulator_command(settings.simulator)))
    return service, project or _SIMULATED_PROJECT, anonymous_credentials(service)


def _retrying(settings: EarthEngineSettings) -> tenacity.Retrying:
    """Repeat while it may help; the limits are those of any other request."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(PASSING),
        stop=tenacity.stop_after_attempt(settings.attempts)
        | tenacity.stop_before_delay(settings.patience_s),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=30),
        reraise=True,
    )


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """A session that cannot be opened is one line for the user."""
    try:
        yield
    except PipelineError:
        raise
    except EarthEngineFault as fault:
        raise PipelineError(
            f"cannot open a session with Earth Engine at {url}: {fault}; "
            "check the network and run the same command again"
        ) from None


def _initialize(url: str, project: str, credentials: Any, transport: PooledTransport) -> None:
    """Point the `ee` library at a server; three requests."""
    ee.Reset()
    ee.data.setMaxRetries(0)  # the library would repeat without regard to Retry-After
    try:
        with _guarded_catalogue(is_loopback(url)):
            ee.Initialize(
                credentials=credentials, url=url, project=project, http_transport=transport
            )
    except SERVICE_ERRORS as error:
        raise classify(error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The discovery document is turned into Python classes: garbage fails anywhere on the way.
        raise Transient(f"the answer is not that of Earth Engine ({error!r:.200})") from error


@contextmanager
def _guarded_catalogue(loopback: bool) -> Iterator[None]:
    """Keep the library's read of the deprecation list from hanging behind a proxy or firewall.

    That read knows no time limit and follows the proxies of the environment. For a server on this
    machine it is sent past them, where it fails at once without a network.
    """
    timeout = socket.getdefaulttimeout()
    bypass = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    socket.setdefaulttimeout(_CATALOGUE_TIMEOUT_S)
    try:
        if loopback:
            os.environ.update(dict.fromkeys(bypass, f"127.0.0.1,localhost,{_CATALOGUE_HOST}"))
        yield
    finally:
        socket.setdefaulttimeout(timeout)
        for name, value in bypass.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _simulator_command(simulator: SimulatorSettings) -> list[str]:
    command = [sys.executable, "-m", "pipeline.simulator", "--port", "0", "--exit-with-parent"]
    command += ["--seed", str(simulator.seed)]
    if simulator.scenes is not None:
        command += ["--scenes", str(simulator.scenes)]
    if simulator.faults is not None:
        command += ["--faults", str(simulator.faults)]
    if simulator.latency_s:
        command += ["--latency", str(simulator.latency_s)]
    return command


def _traffic(transport: PooledTransport) -> Usage:
    return Usage(bytes_sent=transport.bytes_sent, bytes_received=transport.bytes_received)
