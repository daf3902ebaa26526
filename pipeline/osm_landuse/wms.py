"""A WMS client on plain HTTP: maps and legend by WMS 1.1.1, capabilities by 1.3.0.

1.1.1 for maps because its axis order is always x, y; 1.3.0 for capabilities because only it states
the largest map. The client knows nothing of classes. Every failure becomes a typed error: a service
exception is looked for in the body before the status is believed, since servers send exceptions
with 200 as well as with 500, and what answers the request itself is never asked twice.
"""

import datetime as dt
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import requests
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from pipeline.osm_landuse.capabilities import (
    Capabilities,
    holds_service_exception,
    parse_capabilities,
    service_error,
)
from pipeline.osm_landuse.errors import (
    WmsContractError,
    WmsError,
    WmsPayloadError,
    WmsTransportError,
)
from pipeline.osm_landuse.map_request import WEB_MERCATOR, MapRequest
from pipeline.osm_landuse.picture import read_picture
from pipeline.osm_landuse.rate_limit import RateLimit
from pipeline.settings.osm_landuse import OsmLanduseSettings

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10.0
_LONGEST_PAUSE_S = 60.0
_MOST_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**16
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PASSING = (408, 425, 429)
"""Statuses below 500 that mean "later": time-out, too early, too many (RFC 9110, 8470, 6585)."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class MapAnswer:
    """A picture as the server sent it, checked to be complete and of the asked size.

    Attributes:
        body: The PNG file, byte for byte.
        url: The complete address it was asked from.
        fetched_at: When the answer was complete, UTC.
    """

    body: bytes
    url: str
    fetched_at: dt.datetime


@dataclass(frozen=True)
class _Answer:
    body: bytes
    url: str
    status: int
    content_type: str
    retry_after: str


class WmsClient:
    """Asks one layer of one server; a context manager that closes its connections.

    Attributes:
        url: Address of the service, without parameters.
        settings: Layer, format, rate and patience.
        requests_sent: Requests started so far, repeated ones counted.
    """

    def __init__(self, url: str, settings: OsmLanduseSettings, rate_limit: RateLimit) -> None:
        self.url = url
        self.settings = settings
        self.requests_sent = 0
        self._rate_limit = rate_limit
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"noldo ({settings.contact or 'no contact given'})"
        self._session.trust_env = urlsplit(url).hostname not in _LOOPBACK  # no proxy to ourselves

    def __enter__(self) -> Self:
        """Use as ``with WmsClient(...) as client``."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._session.close()

    def capabilities(self) -> Capabilities:
        """What the server offers.

        Raises:
            WmsError: The server is gone, refuses, or answers something else.
        """
        parameters = {"SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetCapabilities"}
        return self._patiently(lambda: parse_capabilities(self._ask(parameters).body))

    def legend_picture(self) -> bytes:
        """The legend of the layer as a picture file.

        Raises:
            WmsError: The server is gone, has no legend, or answers something else.
        """
        parameters = {
            "SERVICE": "WMS",
            "VERSION": "1.1.1",
            "REQUEST": "GetLegendGraphic",
            "LAYER": self.settings.layer,
            "FORMAT": "image/png",
        }

        def ask() -> bytes:
            body = self._ask(parameters).body
            read_picture(body)
            return body

        return self._patiently(ask)

    def map_picture(self, request: MapRequest) -> MapAnswer:
        """The picture of a window, opaque on white.

        Raises:
            WmsError: The server is gone, refuses, or answers something else.
        """
        parameters = self._map_parameters(request)

        def ask() -> MapAnswer:
            answer = self._ask(parameters)
            rows, columns = read_picture(answer.body).shape[:2]
            if (columns, rows) != (request.width, request.height):
                raise WmsPayloadError(
                    f"asked the WMS for {request.width} x {request.height} pixels, "
                    f"got {columns} x {rows}"
                )
            return MapAnswer(answer.body, answer.url, dt.datetime.now(dt.UTC))

        return self._patiently(ask)

    def _map_parameters(self, request: MapRequest) -> dict[str, str]:
        return {
            "SERVICE": "WMS",
            "VERSION": "1.1.1",
            "REQUEST": "GetMap",
            "LAYERS": self.settings.layer,
            "STYLES": "",
            "SRS": WEB_MERCATOR,
            "BBOX": ",".join(f"{value:.9f}" for value in request.bounds),
            "WIDTH": str(request.width),
            "HEIGHT": str(request.height),
            "FORMAT": self.settings.image_format,
            "TRANSPARENT": "FALSE",
            "BGCOLOR": "0xFFFFFF",
            "EXCEPTIONS": "application/vnd.ogc.se_xml",
        }

    def _patiently(self, ask: Callable[[], Result]) -> Result:
        """Ask until it works, the attempts or the patience run out, or asking is pointless."""
        settings = self.settings
        attempts = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, WmsError) and error.retryable),
            stop=stop_after_attempt(settings.attempts) | stop_before_delay(settings.patience_s),
            wait=self._pause,
            before_sleep=_log_attempt,
            reraise=True,
        )
        return attempts(ask)

    def _pause(self, state: RetryCallState) -> float:
        backoff = wait_random_exponential(self.settings.backoff_s, max=_LONGEST_PAUSE_S)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, WmsError) else None
        return max(backoff, asked or 0.0)

    def _ask(self, parameters: dict[str, str]) -> _Answer:
        """One request; every failure of the way there and back becomes one of our errors."""
        self._rate_limit.wait()
        self.requests_sent += 1
        try:
            answer = self._receive(parameters)
        except requests.RequestException as error:
            raise WmsTransportError(
                f"no complete answer from {self.url}: {type(error).__name__}: {error}"
            ) from None
        self._refuse_failure(answer)
        return answer

    def _receive(self, parameters: dict[str, str]) -> _Answer:
        timeout = self.settings.request_timeout_s
        deadline = time.monotonic() + 2 * timeout  # the time-out of requests is per read
        body = bytearray()
        with self._session.get(
            self.url, params=parameters, timeout=(_CONNECT_TIMEOUT_S, timeout), stream=True
        ) as response:
            for chunk in response.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise WmsPayloadError(f"an answer of more than {_MOST_BYTES} bytes; refused")
                if time.monotonic() > deadline:
                    raise WmsTransportError(f"the answer takes longer than {2 * timeout:g} s")
            headers = response.headers
            return _Answer(
                bytes(body),
                response.url,
                response.status_code,
                headers.get("Content-Type", ""),
                headers.get("Retry-After", ""),
            )

    def _refuse_failure(self, answer: _Answer) -> None:
        failure = _failure(answer)
        if failure is None:
            return
        pause = _retry_after_s(answer.retry_after, dt.datetime.now(dt.UTC))
        if failure.retryable and pause is not None:
            self._rate_limit.hold(pause)
            failure.retry_after_s = pause
        raise failure


def _failure(answer: _Answer) -> WmsError | None:
    """What is wrong with an answer; None if it may be what was asked for."""
    if holds_service_exception(answer.body):
        return service_error(answer.body, answer.status)
    excerpt = answer.body[:80]
    if answer.status in _PASSING or answer.status >= 500:
        return WmsTransportError(f"the WMS answers HTTP {answer.status}: {excerpt!r}")
    if answer.status != 200:
        return WmsContractError(
            f"the WMS answers HTTP {answer.status} to {answer.url}: {excerpt!r}; "
            "check osm_landuse.service and osm_landuse.layer"
        )
    return None


def _retry_after_s(header: str, now: dt.datetime) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3)."""
    if re.fullmatch(r"\s*[0-9]+\s*", header):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - now).total_seconds())


def _log_attempt(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    log.warning("attempt %d: %s; again in %.1f s", state.attempt_number, error, pause)
