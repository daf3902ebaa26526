"""The simulated Earth Engine: a loopback HTTP server for the unmodified ``ee`` client.

::

    with SimulatedEarthEngine(ProceduralArchive(seed=7)) as server:
        ee.Initialize(AnonymousCredentials(), project="any", url=server.url)

It answers what `pipeline.simulator.rest` implements and refuses everything else by name with a
status of 400, which the client does not retry. It can also answer badly: late, throttled above a
number of requests in flight, or with the faults of a declared plan.
"""

import gzip
import json
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from pipeline.simulator.faults import KINDS, FaultPlan, FaultRule
from pipeline.simulator.journal import WORK, Journal, RequestRecord
from pipeline.simulator.refusal import BAD_REQUEST, EarthEngineError
from pipeline.simulator.rest import JSON, MAX_REQUEST_BYTES, Answer, RestApi, request_kind
from pipeline.simulator.scene import Archive

LOOPBACK = "127.0.0.1"
RECURSION_LIMIT = 20_000
"""A stack of hundreds of images is an expression that nests hundreds of calls."""

_COMPUTED_AT_ONCE = 2
"""Answers in the making. Numpy lets go of the interpreter at every call, and forty threads that all
wait for it spend four times the CPU of two on passing it round."""

_GZIP_ABOVE_BYTES = 2_048
_QUOTA_STATUS = ("x-earth-engine-quota-status", "parallelism_restricted=true")
_HTML = b"<!DOCTYPE html><html><title>502 Server Error</title><h1>Bad Gateway</h1></html>"
_GARBAGE = b"\x00\xffneither JSON nor pixels" * 40
_ABORT_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST


class SimulatedEarthEngine:
    """A running server; use it as a context manager.

    Args:
        archive: The scenes it serves.
        port: TCP port on the loopback interface; 0 = any free one.
        latency_s: Seconds from the arrival of a request to a project to the first byte of its
            answer; the computing is done within them, as far as it fits.
        max_concurrent: Requests in flight above which it answers 429.
        faults: Declared faults.
        restricted: Mark every answer as of a project beyond its monthly quota.
        share_port: Let other processes serve the same port (SO_REUSEPORT).

    Attributes:
        url: Where the client has to be pointed.
        latency_s: As given; may be changed while it runs.
        max_concurrent: As given; may be changed while it runs.
        faults: As given; may be changed while it runs.
        restricted: As given; may be changed while it runs.

    Raises:
        PipelineError: The installed client does not ship the signatures of its functions.
        OSError: The port is taken.
    """

    def __init__(
        self,
        archive: Archive,
        port: int = 0,
        latency_s: float = 0.0,
        max_concurrent: int | None = None,
        faults: FaultPlan | None = None,
        restricted: bool = False,
        share_port: bool = False,
    ) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
        self.api = RestApi(archive)
        self.latency_s = latency_s
        self.max_concurrent = max_concurrent
        self.faults = faults or FaultPlan()
        self.restricted = restricted
        self.notes = Journal()
        self.computing = threading.BoundedSemaphore(_COMPUTED_AT_ONCE)
        self._http = _HttpServer((LOOPBACK, port), self, share_port)
        self.url = f"http://{LOOPBACK}:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def journal(self) -> list[RequestRecord]:
        """All requests in order of arrival."""
        return self.notes.records

    @property
    def peak(self) -> int:
        """The most requests that were in flight at one time."""
        return self.notes.peak

    @property
    def in_flight_log(self) -> list[tuple[float, int]]:
        """Seconds of the monotonic clock, and the requests in flight from then on."""
        return self.notes.in_flight_log

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _HttpServer(ThreadingHTTPServer):
    """One thread per connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self, address: tuple[str, int], owner: SimulatedEarthEngine, share_port: bool
    ) -> None:
        self.owner = owner
        self.allow_reuse_port = share_port
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "SimulatedEarthEngine"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are noted in the journal, not on the terminal."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._respond()

    def do_POST(self) -> None:
        """Answer a POST."""
        self._respond()

    def _respond(self) -> None:
        owner = self.server.owner
        kind = request_kind(self.path)
        self._record, in_flight = owner.notes.begin(self.command, self.path, kind)
        self._open = True
        self._due = 0.0
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._record.bytes_in = len(body)
            self._record.workload_tag = _workload_tag(body)
            fault = owner.faults.draw(kind, self._record.sequence, self.path.encode() + body)
            self._record.fault = fault.kind if fault else None
            if owner.max_concurrent and kind in WORK and in_flight > owner.max_concurrent:
                self._refuse(_too_many_requests(), ())
                return
            if kind in WORK:
                self._due = time.monotonic() + owner.latency_s
            self._answer_or_fail(body, fault)
        finally:
            self._close_record()

    def _answer_or_fail(self, body: bytes, fault: FaultRule | None) -> None:
        """The answer, or what the fault makes of it."""
        name = fault.kind if fault else None
        if fault and KINDS[fault.kind].status is not None:
            self._send_fault_status(fault)
        elif name == "html_502":
            self._send(502, _HTML, "text/html")
        elif name == "html_200":
            self._send(200, _HTML, "text/html")
        elif name == "garbage":
            self._send(200, _GARBAGE, JSON)
        elif name == "reset":
            self._reset()
        elif name in ("truncated", "truncated_no_length"):
            self._send_half(self._computed(body), with_length=name == "truncated")
        else:
            if fault and name == "slow":
                time.sleep(fault.seconds)
            marked = name == "restricted" or self.server.owner.restricted
            self._send_computed(body, (_QUOTA_STATUS,) if marked else ())

    def _send_computed(self, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
        try:
            answer = self._computed(body)
        except EarthEngineError as refusal:
            self._refuse(refusal, headers)
        else:
            self._send(200, answer.body, answer.content_type, headers)

    def _computed(self, body: bytes) -> Answer:
        """The right answer; a defect of ours becomes a loud refusal that is not retried."""
        owner = self.server.owner
        try:
            with owner.computing:
                return owner.api.answer(self.path, body)
        except EarthEngineError:
            raise
        except Exception as error:  # noqa: BLE001  (the server goes on, the traceback is printed)
            traceback.print_exc()
            message = f"Simulated Earth Engine: internal error {type(error).__name__}: {error}"
            raise EarthEngineError(message, BAD_REQUEST, "INTERNAL") from None

    def _refuse(self, refusal: EarthEngineError, headers: tuple[tuple[str, str], ...]) -> None:
        body = _error_body(refusal.http_status, str(refusal), refusal.status)
        self._send(refusal.http_status, body, JSON, headers)

    def _send_fault_status(self, fault: FaultRule) -> None:
        kind = KINDS[fault.kind]
        if kind.status is None:
            raise ValueError(f"'{fault.kind}' is not a status")
        wait = fault.kind == "throttled_retry_after"
        headers = (("Retry-After", f"{fault.seconds:g}"),) if wait else ()
        self._send(
            kind.status, _error_body(kind.status, kind.message, kind.grpc_status), JSON, headers
        )

    def _send(
        self,
        status: int,
        body: bytes,
        content_type: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Send an answer.

        The request stops counting as in flight just before its last byte leaves, so that a client
        that sends the next one as soon as it has the answer never finds its slot still taken.
        """
        accepts_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if accepts_gzip and content_type == JSON and len(body) > _GZIP_ABOVE_BYTES:
            body = gzip.compress(body, compresslevel=1)
            headers = (*headers, ("Content-Encoding", "gzip"))
        self._begin(status, content_type, (*headers, ("Content-Length", str(len(body)))))
        self._record.bytes_out = len(body)
        self.wfile.write(body[:-1])
        self.wfile.flush()
        self._close_record()
        self.wfile.write(body[-1:])
        self.wfile.flush()

    def _send_half(self, answer: Answer, with_length: bool) -> None:
        half = answer.body[: len(answer.body) // 2]
        header = (
            ("Content-Length", str(len(answer.body))) if with_length else ("Connection", "close")
        )
        self._begin(200, answer.content_type, (header,))
        self._record.bytes_out = len(half)
        self.close_connection = True
        self._close_record()
        self.wfile.write(half)
        self.wfile.flush()

    def _begin(self, status: int, content_type: str, headers: tuple[tuple[str, str], ...]) -> None:
        self._await_due()
        self._record.status = status
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _reset(self) -> None:
        self._await_due()
        self._close_record()
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT_ON_CLOSE)
        self.connection.close()

    def _await_due(self) -> None:
        """Hold the answer back until its latency is over."""
        time.sleep(max(0.0, self._due - time.monotonic()))

    def _close_record(self) -> None:
        if self._open:
            self._open = False
            self.server.owner.notes.end(self._record)


def _workload_tag(body: bytes) -> str | None:
    """The tag of a request's JSON body; a body that is no JSON is refused later."""
    if b'"workloadTag"' not in body or len(body) > MAX_REQUEST_BYTES:
        return None
    try:
        request: Mapping[str, Any] = json.loads(body)
    except ValueError:
        return None
    return request.get("workloadTag")


def _too_many_requests() -> EarthEngineError:
    """Source of the text: answers of the service quoted in public issue threads."""
    return EarthEngineError(
        "Quota exceeded for quota metric 'Concurrent requests' "
        "of service 'earthengine.googleapis.com'.",
        429,
        "RESOURCE_EXHAUSTED",
    )


def _error_body(code: int, message: str, status: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status}}).encode()
