"""Declared faults: which requests fail, how, and how often; the same ones in every run.

A plan is a JSON text::

    {
      "seed": 7,
      "by": "content",
      "requests": ["compute", "pixels", "features"],
      "times": 2,
      "faults": [
        {"kind": "throttled", "share": 0.05},
        {"kind": "throttled_retry_after", "share": 0.05, "seconds": 1},
        {"kind": "reset", "positions": [0, 7], "requests": ["pixels"]},
        {"kind": "refused", "about": "0000004"}
      ]
    }

``share`` is the probability that a request of the kinds in ``requests`` meets the fault, and
``positions`` are explicit numbers of such requests, counted from 0; ``about`` is a text, such as
the id of a place, and every request that holds it meets the fault. ``by`` says what decides:
``content`` draws from the request's path and body and from how often it came before, so it does
not matter in which order the threads of a client come; ``sequence`` draws from the number of the
request. ``times`` limits how often the same request can fail.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.simulator.journal import WORK


@dataclass(frozen=True)
class FaultKind:
    """How a fault of one kind looks to the client.

    Attributes:
        status: HTTP status of an answer that replaces the real one, or None.
        grpc_status: Name of the status in its JSON body.
        message: Message in its JSON body.
        meaning: In words.
    """

    meaning: str
    status: int | None = None
    grpc_status: str = ""
    message: str = ""


KINDS: Mapping[str, FaultKind] = {
    "throttled": FaultKind(
        "429 without Retry-After", 429, "RESOURCE_EXHAUSTED", "Too many requests. Try again later."
    ),
    "throttled_retry_after": FaultKind(
        "429 with Retry-After: `seconds`",
        429,
        "RESOURCE_EXHAUSTED",
        "Too many requests. Try again later.",
    ),
    "error_500": FaultKind("500", 500, "INTERNAL", "An internal error has occurred"),
    "error_502": FaultKind("502 with a JSON body", 502, "UNAVAILABLE", "Bad gateway"),
    "error_503": FaultKind("503", 503, "UNAVAILABLE", "The service is currently unavailable."),
    "error_504": FaultKind("504", 504, "DEADLINE_EXCEEDED", "Deadline exceeded"),
    "memory_limit": FaultKind(
        "400, too much for one request", 400, "INVALID_ARGUMENT", "User memory limit exceeded."
    ),
    "computation_timeout": FaultKind(
        "400, too slow for one request", 400, "INVALID_ARGUMENT", "Computation timed out."
    ),
    "refused": FaultKind(
        "400, whose cause is in the request",
        400,
        "INVALID_ARGUMENT",
        "Geometry.area: Unable to perform this geometry operation.",
    ),
    "unauthenticated": FaultKind(
        "401, an expired token",
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials.",
    ),
    "permission_denied": FaultKind(
        "403", 403, "PERMISSION_DENIED", "The caller does not have permission"
    ),
    "html_502": FaultKind("502 with the HTML page of a proxy"),
    "html_200": FaultKind("200 with an HTML page"),
    "reset": FaultKind("the connection is reset"),
    "truncated": FaultKind("half of the body, although Content-Length tells the whole"),
    "truncated_no_length": FaultKind("half of the body, without Content-Length"),
    "garbage": FaultKind("200 with bytes that mean nothing"),
    "slow": FaultKind("the right answer after `seconds`"),
    "restricted": FaultKind("the right answer, marked as of a project beyond its quota"),
}
"""All kinds of faults by name."""

_DEFAULT_SECONDS = {"throttled_retry_after": 1.0, "slow": 2.0}
_PLAN_KEYS = {"seed", "by", "requests", "times", "faults"}
_RULE_KEYS = {"kind", "share", "positions", "about", "requests", "seconds"}
_DEFAULT_REQUESTS = ("compute", "pixels", "features")
_REQUEST_KINDS = WORK | {"discovery", "algorithms"}


@dataclass(frozen=True)
class FaultRule:
    """One kind of fault and the requests it falls on.

    Attributes:
        kind: A name of `KINDS`.
        share: Probability per request, 0 to 1.
        positions: Numbers of requests, among those of the rule's kinds, that fail for certain.
        requests: Kinds of requests it can fall on.
        seconds: The wait of ``slow`` and of ``throttled_retry_after``.
        about: A text; the requests of the rule's kinds that hold it fail for certain.
    """

    kind: str
    share: float = 0.0
    positions: frozenset[int] = frozenset()
    requests: frozenset[str] = frozenset(_DEFAULT_REQUESTS)
    seconds: float = 0.0
    about: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PipelineError(
                f"fault plan: unknown kind '{self.kind}'; known kinds: {', '.join(KINDS)}"
            )
        if not 0.0 <= self.share <= 1.0:
            raise PipelineError(
                f"fault plan: share {self.share} of '{self.kind}'; give a number from 0 to 1"
            )
        if unknown := self.requests - _REQUEST_KINDS:
            raise PipelineError(
                f"fault plan: unknown kind of request {sorted(unknown)} of '{self.kind}'; "
                f"known kinds: {', '.join(sorted(_REQUEST_KINDS))}"
            )

    def is_about(self, content: bytes) -> bool:
        """Whether a request holds the text that the rule names."""
        return bool(self.about) and self.about.encode() in content


class FaultPlan:
    """Draws the fault of each request.

    Args:
        rules: The faults; where several would fall on a request, the first does.
        seed: Seed of the draws.
        by_content: Draw from the request's content and repetition, else from its number.
        times: How often the same request can fail; None = without limit.

    Raises:
        PipelineError: The shares that can meet in one kind of request add up to more than 1.
    """

    def __init__(
        self,
        rules: Iterable[FaultRule] = (),
        seed: int = 0,
        by_content: bool = True,
        times: int | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self._seed = seed
        self._by_content = by_content
        self._times = times
        self._position: Counter[int] = Counter()
        self._repetitions: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        for kind in sorted(_REQUEST_KINDS):
            total = sum(rule.share for rule in self.rules if kind in rule.requests)
            if total > 1.0 + 1e-9:
                raise PipelineError(
                    f"fault plan: the shares for '{kind}' requests add up to {total:g}; at most 1"
                )

    @classmethod
    def from_json(cls, text: str) -> "FaultPlan":
        """Read a plan.

        Raises:
            PipelineError: Not JSON, unknown keys or kinds, values out of range.
        """
        plan = _parse_json(text)
        _refuse_unknown(plan, _PLAN_KEYS, "the plan")
        by = plan.get("by", "content")
        if by not in ("content", "sequence"):
            raise PipelineError(f"fault plan: by '{by}'; use 'content' or 'sequence'")
        requests = plan.get("requests", _DEFAULT_REQUESTS)
        try:
            rules = [_parse_rule(entry, requests) for entry in plan.get("faults", [])]
            times = plan.get("times")
            return cls(
                rules,
                int(plan.get("seed", 0)),
                by == "content",
                None if times is None else int(times),
            )
        except (TypeError, ValueError) as error:
            raise PipelineError(f"fault plan: a value of the wrong type: {error}") from None

    @classmethod
    def from_file(cls, path: Path) -> "FaultPlan":
        """Read a plan from a file.

        Raises:
            PipelineError: It cannot be read, or is no plan.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PipelineError(f"fault plan {path}: {error}") from None

    def draw(self, request_kind: str, sequence: int, content: bytes) -> FaultRule | None:
        """The fault that falls on a request, or None.

        Args:
            request_kind: Its kind.
            sequence: Its number in order of arrival.
            content: Its path and body.
        """
        rules = [rule for rule in self.rules if request_kind in rule.requests]
        if not rules:
            return None
        digest = hashlib.sha256(content).hexdigest()
        with self._lock:
            repetition = self._repetitions[digest]
            self._repetitions[digest] += 1
            certain = self._placed(request_kind) or _first_about(rules, content)
            if self._times is not None and self._failures[digest] >= self._times:
                return None
            label = f"{digest}/{repetition}" if self._by_content else str(sequence)
            fault = certain or _pick(rules, _uniform(f"{self._seed}/{label}"))
            self._failures[digest] += fault is not None
            return fault

    def _placed(self, request_kind: str) -> FaultRule | None:
        """The rule whose explicit position this is; every rule counts its own requests."""
        found = None
        for number, rule in enumerate(self.rules):
            if request_kind not in rule.requests:
                continue
            if found is None and self._position[number] in rule.positions:
                found = rule
            self._position[number] += 1
        return found


def _first_about(rules: Iterable[FaultRule], content: bytes) -> FaultRule | None:
    return next((rule for rule in rules if rule.is_about(content)), None)


def _pick(rules: Iterable[FaultRule], draw: float) -> FaultRule | None:
    """The rule in whose part of [0, 1) the draw falls; the parts lie side by side."""
    edge = 0.0
    for rule in rules:
        edge += rule.share
        if draw < edge:
            return rule
    return None


def _uniform(label: str) -> float:
    """A number in [0, 1) that depends on nothing but the label."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") / 2.0**64


def _parse_json(text: str) -> dict[str, Any]:
    try:
        plan = json.loads(text)
    except json.JSONDecodeError as error:
        raise PipelineError(f"fault plan: not JSON: {error}") from None
    if not isinstance(plan, dict):
        raise PipelineError("fault plan: the JSON must be an object with a list 'faults'")
    return plan


def _parse_rule(entry: Any, default_requests: Iterable[str]) -> FaultRule:
    if not isinstance(entry, dict) or "kind" not in entry:
        raise PipelineError(f"fault plan: {entry!r} is no fault; it needs a 'kind'")
    _refuse_unknown(entry, _RULE_KEYS, f"the fault '{entry['kind']}'")
    kind = str(entry["kind"])
    return FaultRule(
        kind,
        float(entry.get("share", 0.0)),
        frozenset(int(position) for position in entry.get("positions", ())),
        frozenset(entry.get("requests", default_requests)),
        float(entry.get("seconds", _DEFAULT_SECONDS.get(kind, 0.0))),
        str(entry.get("about", "")),
    )


def _refuse_unknown(given: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := sorted(given.keys() - known):
        raise PipelineError(
            f"fault plan: unknown key {unknown} in {what}; known keys: {', '.join(sorted(known))}"
        )
