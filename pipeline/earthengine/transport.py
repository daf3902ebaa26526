"""The HTTP transport beneath the Earth Engine client: a connection pool with time limits.

Given to `ee.Initialize(http_transport=...)`. The client's own transport keeps ten connections,
has no time limit, and cannot say how many bytes went over the wire.
"""

import gzip
import socket
import threading
import time
import zlib
from typing import Any

import httplib2
import requests
import urllib3
from urllib3.connection import HTTPConnection

_CONNECT_TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 18

_KEEP_ALIVE_S = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 15}
"""Seconds without a word after which the other end is asked whether it is there, and between such
questions; TCP_KEEPALIVE is macOS's name of the first. The service computes for up to five minutes
in silence, and routers forget a silent connection after four (Azure NAT) to six minutes (AWS NAT);
a machine that slept learns within two that its connections are dead."""

_SOCKET_OPTIONS = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, option), seconds)
        for option, seconds in _KEEP_ALIVE_S.items()
        if hasattr(socket, option)
    ),
]


class _KeptAlive(requests.adapters.HTTPAdapter):
    """Pools connections that the system keeps alive."""

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        """Open the pool with the socket options."""
        super().init_poolmanager(*sizes, **options, socket_options=_SOCKET_OPTIONS)


class PooledTransport:
    """An `httplib2.Http` look-alike on one pooled `requests.Session`, safe for many threads.

    Attributes:
        bytes_sent: Bodies of the requests so far.
        bytes_received: Bodies of the answers so far, as they came over the wire.
    """

    def __init__(self, connections: int, timeout_s: float, loopback: bool) -> None:
        """Open the pool.

        Args:
            connections: Connections kept open, one for each request in flight.
            timeout_s: Longest time between sending a request and having its whole answer.
            loopback: The server is on this machine: proxies of the environment are not for it.
        """
        self.bytes_sent = 0
        self.bytes_received = 0
        self._timeout_s = timeout_s
        self._counting = threading.Lock()
        self._session = plain_session()
        self._session.trust_env = not loopback
        adapter = _KeptAlive(pool_connections=4, pool_maxsize=connections)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        redirections: int | None = None,
        connection_type: Any = None,
    ) -> tuple[httplib2.Response, bytes]:
        """Send one request, as `httplib2.Http.request` does; redirects are not followed.

        Raises:
            TimeoutError: The whole answer was not there in time.
            ConnectionError: The connection failed, or the answer broke off.
        """
        started = time.monotonic()
        try:
            with self._session.request(
                method,
                uri,
                data=body,
                headers={**(headers or {}), "accept-encoding": "gzip"},
                timeout=(_CONNECT_TIMEOUT_S, self._timeout_s),
                stream=True,
                allow_redirects=False,
            ) as response:
                body_received = self._read(response, started)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise TimeoutError(str(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionError(str(error)) from error
        self._count(len(body or b""), len(body_received))
        fields = {name.lower(): value for name, value in response.headers.items()}
        content = _decode(body_received, fields.pop("content-encoding", ""))
        return httplib2.Response({**fields, "status": response.status_code}), content

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def _read(self, response: requests.Response, started: float) -> bytes:
        """Read the body in the pieces that arrive, so that a trickle meets the time limit too."""
        pieces = []
        while piece := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            pieces.append(piece)
            if time.monotonic() - started > self._timeout_s:
                raise TimeoutError(f"answer not complete after {self._timeout_s:g} s")
        return b"".join(pieces)

    def _count(self, sent: int, received: int) -> None:
        with self._counting:
            self.bytes_sent += sent
            self.bytes_received += received


def plain_session() -> requests.Session:
    """A session that sends the Authorization header it is given, or none.

    Requests' own takes the entry of the host, or the one called ``default``, from ``~/.netrc``
    instead of the access token.
    """
    session = requests.Session()
    session.auth = _as_it_is
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _decode(body: bytes, encoding: str) -> bytes:
    """Unzip a whole body; requests does it piece by piece and does not notice a missing end."""
    if encoding in ("", "identity"):
        return body
    try:
        if encoding == "gzip":
            return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise ConnectionError(f"the answer broke off: {error}") from error
    raise ConnectionError(f"the answer is encoded as {encoding!r}, asked for gzip")
