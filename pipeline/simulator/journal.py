"""What a simulated server writes down about its requests."""

import threading
import time
from dataclasses import dataclass, field

WORK = frozenset({"compute", "pixels", "features", "assets"})
"""Kinds of requests that take one of the slots of a project."""


@dataclass
class RequestRecord:
    """One request.

    Attributes:
        sequence: Its number in order of arrival, from 0.
        method: ``GET`` or ``POST``.
        path: Path and query.
        kind: ``discovery``, ``algorithms``, ``compute``, ``pixels``, ``features`` or ``assets``;
            ``unknown`` for a path that is none of these.
        bytes_in: Size of its body.
        bytes_out: Size of the answer's body, as sent.
        status: HTTP status of the answer; None until it is sent, and if none was.
        fault: Kind of the fault that was played, or None.
        started: Time of arrival, seconds since 1970.
        seconds: From arrival to the last byte.
        workload_tag: The tag that the client gave it.
    """

    sequence: int
    method: str
    path: str
    kind: str
    bytes_in: int = 0
    bytes_out: int = 0
    status: int | None = None
    fault: str | None = None
    started: float = field(default_factory=time.time)
    seconds: float = 0.0
    workload_tag: str | None = None


class Journal:
    """The records of a server and its count of requests in flight; safe between threads.

    Only requests of the kinds `WORK` count as in flight.

    Attributes:
        records: In order of arrival.
        in_flight_log: (seconds of the monotonic clock, requests in flight from then on).
        peak: The most requests that were in flight at one time.
    """

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []
        self.in_flight_log: list[tuple[float, int]] = []
        self.peak = 0
        self._in_flight = 0
        self._lock = threading.Lock()

    def begin(self, method: str, path: str, kind: str) -> tuple[RequestRecord, int]:
        """Note the arrival of a request; gives its record and how many are now in flight."""
        with self._lock:
            record = RequestRecord(len(self.records), method, path, kind)
            self.records.append(record)
            if kind in WORK:
                self._count(1)
            return record, self._in_flight

    def end(self, record: RequestRecord) -> None:
        """Note that a request is answered."""
        record.seconds = time.time() - record.started
        if record.kind in WORK:
            with self._lock:
                self._count(-1)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self.peak = max(self.peak, self._in_flight)
        self.in_flight_log.append((time.monotonic(), self._in_flight))
