"""What can go wrong with one request to Earth Engine, told apart by what has to happen next.

The client library loses the HTTP status: it raises an `ee.EEException` with a text, and an HTML
error page of a proxy arrives with the text ``Ok``. The status is still on the `HttpError` that the
exception was raised from, so it is taken from there; texts are only read to tell the many meanings
of 400 apart.
"""

import email.utils
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import ee
import google.auth.exceptions as google_errors
import googleapiclient.errors
import httplib2

from pipeline.errors import PipelineError
from pipeline.ledger import Reason


class EarthEngineFault(Exception):
    """One request did not bring an answer.

    Attributes:
        reason: What the ledger says of a season whose last attempt ended like this.
        status: HTTP status, or None if there was no answer.
        retry_after: Seconds the server asks us to stay away, or None.
    """

    reason: ClassVar[Reason] = Reason.SERVER_ERROR

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Quota(EarthEngineFault):
    """Throttled: everybody slows down, the same request is sent again."""

    reason = Reason.QUOTA


class Transient(EarthEngineFault):
    """A server error, a broken connection or a garbled answer: send it again."""


class Garbled(Transient):
    """An answer that is not what was asked for, or one place of it that is not."""


class TimedOut(EarthEngineFault):
    """No answer in time: send half of it, or send it again."""

    reason = Reason.TIMEOUT


class TooBig(EarthEngineFault):
    """More than one request may compute or return: send it in parts."""


PASSING = (Quota, Transient, TimedOut)
"""Faults after which the same request is worth sending again."""


class Missing(EarthEngineFault):
    """The archive does not have the asset: asking again would change nothing."""

    reason = Reason.GONE


class Fatal(EarthEngineFault, PipelineError):
    """Refused: the same request would be again."""


class AccessDenied(Fatal):
    """No, expired or insufficient credentials, or none or a wrong project: end the whole build."""


class BudgetExhausted(EarthEngineFault, PipelineError):
    """The request or compute budget of the build is used up: stop the run cleanly."""

    reason = Reason.BUDGET


SERVICE_ERRORS = (
    EarthEngineFault,
    ee.EEException,
    google_errors.GoogleAuthError,
    googleapiclient.errors.Error,
    httplib2.HttpLib2Error,
    OSError,
)
"""What a request through the client may raise; anything else is a defect and is not caught."""

_TOO_BIG = (
    "user memory limit",
    "computation timed out",
    "total request size",
    "request payload size",
    "too many pixels",
    "output of image computation is too large",
    "collection query aborted after accumulating",
)
"""Texts of status 400 that ask for less at once.

Source: https://developers.google.com/earth-engine/guides/debugging, "Scaling errors".
"""

_INTERNAL_ERROR = 500
"""A defect of the service that a request may bring out each time; 502 to 504 tell that it is away.
Source: RFC 9110, section 15.6."""

_CANCELLED = 499
"""The server gave the operation up. Source: google.rpc.Code, CANCELLED,
https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto."""

_THROTTLED = ("quota exceeded", "too many concurrent aggregations", "too many requests")
_RATE_LIMIT_REASONS = ("ratelimitexceeded", "rate limit exceeded", "quota exceeded")
_MISSING = ("not found (does not exist or caller does not have access)", "asset not found")
_ACCESS_REMEDY = (
    "check earthengine.project and that this account may use Earth Engine there, "
    "sign in again with `earthengine authenticate`, then run the same command"
)

UNANSWERED_REMEDY = (
    "run the same command again; a place that never comes can be named in locations.leave_out"
)
"""What to do about places that the service did not answer for."""

_NAMED = 8
"""Places that an error names."""


def name_places(location_ids: Sequence[str]) -> str:
    """The first of some places, for an error's one line."""
    return ", ".join(location_ids[:_NAMED]) + (", ..." if len(location_ids) > _NAMED else "")


def may_be_of_one_place(fault: EarthEngineFault) -> bool:
    """Whether a request about several places may have failed because of one of them.

    Throttling, a service that is away, and access that is denied have nothing to do with a place.
    """
    if isinstance(fault, AccessDenied | BudgetExhausted):
        return False
    return isinstance(fault, Fatal | Garbled) or fault.status == _INTERNAL_ERROR


def classify(error: BaseException) -> EarthEngineFault:
    """Name the fault behind an exception of the client library.

    Args:
        error: One of `SERVICE_ERRORS`.

    Returns:
        A new fault, or the error itself if it is one already. What is not recognised is `Fatal`:
        it is neither retried for ever nor taken for an empty archive.
    """
    if isinstance(error, EarthEngineFault):
        return error
    response = _response_of(error)
    if response is not None:
        return _classify_answer(str(error), response)
    if isinstance(error, TimeoutError):
        return TimedOut(f"no answer in time: {error}")
    if isinstance(error, google_errors.GoogleAuthError):
        return _classify_sign_in(error)
    if isinstance(error, OSError | httplib2.HttpLib2Error):
        return Transient(f"connection failed: {error}")
    if isinstance(error, googleapiclient.errors.Error):
        return Garbled(f"garbled answer: {_one_line(error) or type(error).__name__}")
    return Fatal(f"Earth Engine refused a request: {_one_line(error)}")


def access_denied(detail: str) -> AccessDenied:
    """The fault that tells the user how to get access."""
    return AccessDenied(f"Earth Engine denied access ({detail}); {_ACCESS_REMEDY}")


def _classify_answer(text: str, response: Any) -> EarthEngineFault:
    status = int(response.status)
    lower = text.lower()
    message = f"HTTP {status}: {_one_line(text)}"
    wait = _retry_after(response)
    if status == 429 or (status == 403 and any(word in lower for word in _RATE_LIMIT_REASONS)):
        return Quota(message, status, wait)
    if status in (408, 504):
        return TimedOut(message, status, wait)
    if status == _CANCELLED or status >= 500:
        return Transient(message, status, wait)
    if status in (401, 403):
        return access_denied(message)
    if status in (400, 404) and any(word in lower for word in _MISSING):
        return Missing(message, status)
    if status in (400, 413) and any(word in lower for word in _TOO_BIG):
        return TooBig(message, status)
    if status == 400 and any(word in lower for word in _THROTTLED):
        return Quota(message, status, wait)
    return Fatal(f"Earth Engine refused a request ({message})", status)


def _classify_sign_in(error: google_errors.GoogleAuthError) -> EarthEngineFault:
    if isinstance(error, google_errors.TransportError) or getattr(error, "retryable", False):
        return Transient(f"sign-in failed: {_one_line(error)}")
    return access_denied(_one_line(error))


def _response_of(error: BaseException) -> Any | None:
    """The HTTP response that an exception, or one it was raised from, carries."""
    for link in _chain(error):
        response = getattr(link, "resp", None)
        if getattr(response, "status", None) is not None:
            return response
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _retry_after(response: Any) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110, section 10.2.3)."""
    value = str(response.get("retry-after", "")).strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _one_line(text: object, limit: int = 300) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
