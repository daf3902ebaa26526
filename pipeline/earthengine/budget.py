"""The request and compute budget of a build, shared by all of its processes.

One small counter file beside the dataset, guarded by a lock file. A process takes requests from it
in blocks, so that the file is touched about once a second at 40 requests a second, and gives back
what it did not use. What a killed process had taken stays taken: the budget is never overshot.
"""

import dataclasses
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import filelock

from pipeline.atomic_file import write_atomically
from pipeline.earthengine.errors import BudgetExhausted
from pipeline.errors import PipelineError
from pipeline.settings.services import EarthEngineSettings

SELECTION = "selection"
PIXELS = "pixels"

_BLOCK = 32
"""Requests taken at a time while plenty are left."""

_BLOCKS_LEFT = 64
"""Blocks shrink to this fraction of what is left, so that no process sits on the last requests."""

_LOCK_TIMEOUT_S = 60.0


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a build has asked of Earth Engine so far.

    Attributes:
        requests: Requests sent, by kind (``selection``, ``pixels``), attempts counted one by one.
        reserved: Requests taken from the budget, by kind; more than sent only where processes
            are running or were killed.
        retries: Attempts that had to be repeated, by fault (``Quota``, ``TimedOut``, ...).
        bytes_sent: Bodies of requests.
        bytes_received: Bodies of answers, as they came over the wire.
    """

    requests: Counter[str] = dataclasses.field(default_factory=Counter)
    reserved: Counter[str] = dataclasses.field(default_factory=Counter)
    retries: Counter[str] = dataclasses.field(default_factory=Counter)
    bytes_sent: int = 0
    bytes_received: int = 0

    def plus(self, other: "Usage") -> "Usage":
        """The sum of two usages; negative counts give back."""
        return Usage(
            _sum(self.requests, other.requests),
            _sum(self.reserved, other.reserved),
            _sum(self.retries, other.retries),
            self.bytes_sent + other.bytes_sent,
            self.bytes_received + other.bytes_received,
        )


def read_usage(folder: Path) -> Usage:
    """Read the usage of a build; nothing used where nothing was asked yet.

    Args:
        folder: ``results/<name>/usage``.

    Raises:
        PipelineError: The counter file is damaged.
    """
    path = _counter_file(folder)
    try:
        values = json.loads(path.read_text())
        return Usage(
            requests=_counter(values["requests"]),
            reserved=_counter(values["reserved"]),
            retries=_counter(values["retries"]),
            bytes_sent=int(values["bytes_sent"]),
            bytes_received=int(values["bytes_received"]),
        )
    except FileNotFoundError:
        return Usage()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"the request counter {path} is damaged ({error!r}); delete it to count from 0"
        ) from None


class Budget:
    """This process's hand in the shared counter; safe for many threads.

    Use as a context manager: leaving gives back what was reserved and not used.
    """

    def __init__(self, folder: Path, limits: EarthEngineSettings) -> None:
        """Join the budget of a build.

        Args:
            folder: ``results/<name>/usage``, made if need be.
            limits: ``request_budget``, ``eecu_budget_hours`` and ``eecu_seconds_per_request``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._limits = limits
        self._file_lock = filelock.FileLock(folder / "requests.lock", timeout=_LOCK_TIMEOUT_S)
        self._thread_lock = threading.Lock()
        self._left: Counter[str] = Counter()
        self._unwritten = Usage()

    def __enter__(self) -> "Budget":
        return self

    def __exit__(self, *_: object) -> None:
        with self._thread_lock:
            self._merge(Usage(reserved=Counter({kind: -n for kind, n in self._left.items()})))
            self._left.clear()

    def reserve(self, kind: str) -> None:
        """Take one request of a kind from the budget, before it is sent.

        Raises:
            BudgetExhausted: Nothing is left, in one line that says what and how to go on.
        """
        with self._thread_lock:
            if not self._left[kind]:
                self._left[kind] = self._take_block(kind)
            self._left[kind] -= 1
            self._unwritten.requests[kind] += 1

    def add(self, usage: Usage) -> None:
        """Note retries and bytes; they reach the file with the next block or at the end."""
        with self._thread_lock:
            self._unwritten = self._unwritten.plus(usage)

    def _take_block(self, kind: str) -> int:
        with self._locked():
            usage = read_usage(self._folder)
            left = self._remaining(usage, kind)
            if left <= 0:
                raise BudgetExhausted(self._explain(usage))
            block = max(1, min(_BLOCK, left // _BLOCKS_LEFT))
            self._write(usage, Usage(reserved=Counter({kind: block})))
        return block

    def _merge(self, change: Usage) -> None:
        with self._locked():
            self._write(read_usage(self._folder), change)

    def _write(self, usage: Usage, change: Usage) -> None:
        total = usage.plus(self._unwritten).plus(change)
        text = json.dumps(vars(total), indent=1, sort_keys=True)
        write_atomically(_counter_file(self._folder), text.encode())
        self._unwritten = Usage()

    def _remaining(self, usage: Usage, kind: str) -> int:
        left = [_BLOCK * _BLOCKS_LEFT]
        if self._limits.request_budget is not None:
            left.append(self._limits.request_budget - usage.reserved.total())
        if kind == PIXELS and self._limits.eecu_budget_hours is not None:
            left.append(self._affordable_pixel_requests() - usage.reserved[PIXELS])
        return min(left)

    def _affordable_pixel_requests(self) -> int:
        seconds = (self._limits.eecu_budget_hours or 0.0) * 3600.0
        return int(seconds / self._limits.eecu_seconds_per_request + 1e-9)

    def _explain(self, usage: Usage) -> str:
        spent = usage.reserved
        limits = {
            "request_budget": self._limits.request_budget,
            "eecu_budget_hours": self._limits.eecu_budget_hours,
        }
        given = ", ".join(
            f"earthengine.{key} = {value:g}" for key, value in limits.items() if value is not None
        )
        return (
            f"budget used up: {spent[SELECTION]} selection and {spent[PIXELS]} pixel requests "
            f"made, {given}; raise it and run the same command again, everything fetched is kept"
        )

    def _locked(self) -> Any:
        try:
            return self._file_lock.acquire()
        except filelock.Timeout:
            raise PipelineError(
                f"{self._file_lock.lock_file} has been locked by another process for "
                f"{_LOCK_TIMEOUT_S:g} s; end that process and run the same command again"
            ) from None


def _counter(values: dict[str, int]) -> Counter[str]:
    return Counter({key: int(count) for key, count in values.items()})


def _counter_file(folder: Path) -> Path:
    return folder / "requests.json"


def _sum(one: Counter[str], other: Counter[str]) -> Counter[str]:
    """Both counters together, zero and negative counts kept (unlike ``+``)."""
    total = Counter(one)
    total.update(other)
    return total
