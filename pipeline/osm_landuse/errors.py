"""What can go wrong between us and a WMS server, and whether asking again may help."""

from typing import ClassVar

from pipeline.errors import PipelineError

_PERMANENT_CODES = frozenset(
    {
        "LayerNotDefined",
        "StyleNotDefined",
        "InvalidSRS",
        "InvalidCRS",
        "InvalidFormat",
        "InvalidDimensionValue",
        "InvalidParameterValue",
        "MissingParameterValue",
        "OperationNotSupported",
        "LayerNotQueryable",
    }
)
"""Exception codes that answer the request itself.

Source: OGC 01-068r3 (WMS 1.1.1), table A.1, and OGC 06-042 (WMS 1.3.0), table E.1.
"""

_PERMANENT_WORDS = ("too large", "out of range", "invalid", "missing", "unsupported")
"""Wording of permanent exceptions that MapServer 8 and MapProxy 7 send without a code."""


_BUSY = (429, 503)
"""Statuses by which a server says that it is not the request's fault, whatever the text says."""


class WmsError(PipelineError):
    """A WMS server did not give what was asked for.

    Attributes:
        retryable: Whether asking again may help.
        retry_after_s: What the server asked us to wait, seconds; None when it did not say.
    """

    retryable: bool = False
    retry_after_s: float | None = None


class WmsTransportError(WmsError):
    """Time-out, reset, cut body, or a status 408, 425, 429 or 5xx without a service exception."""

    retryable = True


class WmsPayloadError(WmsError):
    """Status 200, but not the document or picture that was asked for."""

    retryable = True


class WmsServiceError(WmsError):
    """An OGC service exception, whatever HTTP status it came with.

    Attributes:
        code: The exception's code, None when it has none.
        text: Its message, white space collapsed.
        status: HTTP status: MapServer and MapProxy before 2 send 200, MapProxy 7 sends 500.
    """

    permanent_codes: ClassVar[frozenset[str]] = _PERMANENT_CODES

    def __init__(self, code: str | None, text: str, status: int) -> None:
        super().__init__(f"the WMS refused: {code or 'no code'} (HTTP {status}): {text}")
        self.code = code
        self.text = text
        self.status = status
        worded = any(word in text.lower() for word in _PERMANENT_WORDS)
        permanent = code in self.permanent_codes or (code is None and worded)
        self.retryable = status in _BUSY or not permanent


class WmsContractError(WmsError):
    """The server is not the one that the settings describe."""


class LegendMismatchError(WmsContractError):
    """The legend picture and the class table disagree."""
