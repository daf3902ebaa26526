"""`classify` sees exceptions as the client library raises them: the status is on the context."""

import json
from email.utils import formatdate
from time import time

import ee
import google.auth.exceptions
import httplib2
import pytest
from googleapiclient.errors import HttpError

from pipeline.earthengine.errors import (
    AccessDenied,
    Fatal,
    Missing,
    Quota,
    TimedOut,
    TooBig,
    Transient,
    classify,
)
from pipeline.errors import PipelineError
from pipeline.ledger import Reason

GONE = "Image.load: Image asset 'X/Y' not found (does not exist or caller does not have access)."


def refusal(status: int, text: str, **headers: str) -> ee.EEException:
    response = httplib2.Response({"status": status, **headers})
    body = json.dumps({"error": {"code": status, "message": text}}).encode()
    try:
        try:
            raise HttpError(response, body)
        except HttpError:
            raise ee.EEException(text)  # noqa: B904 - as ee.data does it
    except ee.EEException as error:
        return error


@pytest.mark.parametrize(
    ("status", "text", "fault", "reason"),
    [
        (429, "Ok", Quota, Reason.QUOTA),
        (429, GONE, Quota, Reason.QUOTA),
        (403, "Rate Limit Exceeded", Quota, Reason.QUOTA),
        (400, "Too many concurrent aggregations.", Quota, Reason.QUOTA),
        (500, "An internal error has occurred", Transient, Reason.SERVER_ERROR),
        (502, "Ok", Transient, Reason.SERVER_ERROR),
        (503, GONE, Transient, Reason.SERVER_ERROR),
        (504, "Deadline exceeded", TimedOut, Reason.TIMEOUT),
        (408, "Request timeout", TimedOut, Reason.TIMEOUT),
        (499, "The operation was cancelled.", Transient, Reason.SERVER_ERROR),
        (400, "User memory limit exceeded.", TooBig, Reason.SERVER_ERROR),
        (400, "Computation timed out.", TooBig, Reason.SERVER_ERROR),
        (413, "Request payload size exceeds the limit: 10485760 bytes.", TooBig, None),
        (400, GONE, Missing, Reason.GONE),
        (404, GONE, Missing, Reason.GONE),
        (404, "Not Found", Fatal, None),
        (400, "Unknown function 'Image.brew'.", Fatal, None),
        (401, "Request had invalid authentication credentials.", AccessDenied, None),
        (403, "Permission 'earthengine.computations.create' denied", AccessDenied, None),
    ],
)
def test_the_status_decides_before_the_text(status, text, fault, reason):
    found = classify(refusal(status, text))
    assert type(found) is fault
    assert found.status == status or fault is AccessDenied
    assert reason is None or found.reason is reason


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TimeoutError("read"), TimedOut),
        (ConnectionResetError("reset"), Transient),
        (ConnectionError("broken"), Transient),
        (httplib2.ServerNotFoundError("dns"), Transient),
        (google.auth.exceptions.TransportError("no route"), Transient),
        (google.auth.exceptions.RefreshError("busy", retryable=True), Transient),
        (google.auth.exceptions.RefreshError("invalid_grant: Token has expired"), AccessDenied),
        (google.auth.exceptions.InvalidOperation("anonymous"), AccessDenied),
        (ee.EEException("no answer was involved"), Fatal),
    ],
)
def test_without_an_answer_the_kind_of_exception_decides(error, fault):
    assert type(classify(error)) is fault


def test_what_the_user_can_mend_is_one_line_with_the_remedy():
    error = classify(refusal(403, "Caller does not have\nrequired permission"))
    assert isinstance(error, PipelineError)
    assert "\n" not in str(error)
    assert "earthengine authenticate" in str(error)
    assert "earthengine.project" in str(error)


def test_retry_after_is_read_as_a_number_or_a_date():
    assert classify(refusal(429, "", **{"retry-after": "17"})).retry_after == 17
    in_a_minute = formatdate(time() + 60, usegmt=True)
    assert 55 < classify(refusal(503, "", **{"retry-after": in_a_minute})).retry_after <= 61
    assert classify(refusal(429, "", **{"retry-after": "soon"})).retry_after is None
    assert classify(refusal(429, "")).retry_after is None


def test_a_fault_stays_itself():
    fault = Quota("slow down", 429, 3.0)
    assert classify(fault) is fault
