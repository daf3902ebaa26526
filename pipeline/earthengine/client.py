"""One request at a time through the Earth Engine client, made dependable.

Every attempt is exactly one HTTP call: the client's own retries are off. Around it: a slot of the
adaptive limiter, one of those shared by all processes, one request of the build's budget, tenacity,
and the tally of what it took.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import tenacity

from pipeline.earthengine.budget import Budget, Usage
from pipeline.earthengine.errors import (
    PASSING,
    SERVICE_ERRORS,
    EarthEngineFault,
    Quota,
    classify,
)
from pipeline.earthengine.limiter import AdaptiveLimiter
from pipeline.earthengine.shared_slots import SharedSlots
from pipeline.earthengine.transport import PooledTransport
from pipeline.settings.services import EarthEngineSettings

Raw = TypeVar("Raw")
Answer = TypeVar("Answer")
Item = TypeVar("Item")

_LONGEST_WAIT_S = 60.0
_FIRST_WAIT_S = 0.5
_FIRST_WAIT_THROTTLED_S = 2.0
"""Scale of the random exponential wait: throttling needs longer to pass than a lost connection."""


@dataclass
class Statistics:
    """What the requests of one client took.

    Attributes:
        calls: Attempts, by kind of request.
        retries: Attempts that had to be repeated, by class of fault.
        seconds: Time spent inside HTTP calls, all threads together.
    """

    calls: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Client:
    """The way to Earth Engine for all threads of one process; made by `earth_engine`.

    Attributes:
        slots: Requests in flight that are never exceeded.
        statistics: What the requests so far took.
    """

    def __init__(
        self,
        settings: EarthEngineSettings,
        slots: int,
        budget: Budget,
        transport: PooledTransport,
        shared: SharedSlots,
    ) -> None:
        self.slots = slots
        self.statistics = Statistics()
        self._settings = settings
        self._budget = budget
        self._transport = transport
        self._limiter = AdaptiveLimiter(slots)
        self._shared = shared
        self._counting = threading.Lock()
        self._process = os.getpid()

    @property
    def bytes_received(self) -> int:
        """Bodies of the answers so far, as they came over the wire."""
        return self._transport.bytes_received

    def call(
        self,
        request: Callable[[], Raw],
        check: Callable[[Raw], Answer],
        kind: str,
        repeat: tuple[type[EarthEngineFault], ...] = PASSING,
    ) -> Answer:
        """Send a request until it is answered, patience runs out, or it turns out to be hopeless.

        Args:
            request: Sends exactly one HTTP request through the `ee` client.
            check: Turns its answer into a value; raises `Transient` on garbage.
            kind: ``selection`` or ``pixels``: what the budget and the statistics count it as.
            repeat: Faults after which it is sent again.

        Raises:
            EarthEngineFault: The last fault.
            RuntimeError: The session was inherited through a fork.
        """
        self._refuse_after_fork()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(repeat),
            stop=tenacity.stop_after_attempt(self._settings.attempts)
            | tenacity.stop_before_delay(self._settings.patience_s),
            wait=_wait_s,
            sleep=self._limiter.wait,
            before_sleep=self._count_retry,
            reraise=True,
        )
        return retrying(self._attempt, request, check, kind)

    def map(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[Item, "Future[Answer]"]]:
        """Run a function that calls this client on all slots; give the results as they come.

        At most twice as many items as slots are taken ahead, so memory stays bounded however many
        there are. Leaving the loop early drops what has not started.

        Yields:
            The item and its finished future; ``.result()`` gives the answer or raises its fault.
        """
        self._refuse_after_fork()
        source = iter(items)
        pending: dict[Future[Answer], Item] = {}
        pool = ThreadPoolExecutor(_threads(self.slots), thread_name_prefix="earth-engine")
        try:
            while True:
                for item in islice(source, 2 * self.slots - len(pending)):
                    pending[pool.submit(function, item)] = item
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(future), future
        finally:
            self._limiter.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            self._limiter.restart()

    def _attempt(
        self, request: Callable[[], Raw], check: Callable[[Raw], Answer], kind: str
    ) -> Answer:
        with self._limiter.slot(), self._shared.slot(self._limiter.wait_within):
            self._budget.reserve(kind)
            raw = self._send(request, kind)
        answer = check(raw)
        self._limiter.succeeded()
        return answer

    def _send(self, request: Callable[[], Raw], kind: str) -> Raw:
        """Send one request; what fails elsewhere is no fault of the service."""
        started = time.monotonic()
        try:
            return request()
        except SERVICE_ERRORS as error:
            fault = classify(error)
            if isinstance(fault, Quota):
                self._limiter.throttled(self._bounded(fault.retry_after))
            raise fault from error
        finally:
            with self._counting:
                self.statistics.calls[kind] += 1
                self.statistics.seconds += time.monotonic() - started

    def _bounded(self, pause_s: float | None) -> float | None:
        """A pause for everybody, no longer than anybody is willing to wait."""
        return None if pause_s is None else min(pause_s, self._settings.patience_s)

    def _count_retry(self, state: tenacity.RetryCallState) -> None:
        name = type(_fault_of(state)).__name__
        with self._counting:
            self.statistics.retries[name] += 1
        self._budget.add(Usage(retries=Counter({name: 1})))

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(
                f"this Earth Engine session belongs to process {self._process}; its connections "
                "cannot be shared: start processes by spawn and open a session in each"
            )


def _threads(slots: int) -> int:
    """A quarter more than slots, so that a slot is used while an answer is being worked on."""
    return slots + max(1, slots // 4)


def _wait_s(state: tenacity.RetryCallState) -> float:
    """Random exponential, and at least what the server asks for."""
    fault = _fault_of(state)
    scale = _FIRST_WAIT_THROTTLED_S if isinstance(fault, Quota) else _FIRST_WAIT_S
    random_wait = tenacity.wait_random_exponential(multiplier=scale, max=_LONGEST_WAIT_S)
    return max(random_wait(state), fault.retry_after or 0.0)


def _fault_of(state: tenacity.RetryCallState) -> Any:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt
    return state.outcome.exception()
