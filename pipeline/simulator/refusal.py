"""How the simulated Earth Engine says no: a message, an HTTP status and a gRPC status name."""

BAD_REQUEST = 400
NOT_FOUND = 404


class EarthEngineError(Exception):
    """A refusal that the client shows to its user as an ``EEException``.

    Attributes:
        http_status: Status code of the answer. The client retries 429 and everything from 500 up,
            so a refusal that would be the same next time is a 400.
        status: Name of the gRPC status, as Google's JSON errors carry it.
    """

    def __init__(
        self, message: str, http_status: int = BAD_REQUEST, status: str = "INVALID_ARGUMENT"
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.status = status


def not_implemented(what: str) -> EarthEngineError:
    """The refusal of something that Earth Engine can do and the simulated one cannot."""
    message = f"Simulated Earth Engine: {what} is not implemented."
    return EarthEngineError(message, BAD_REQUEST, "UNIMPLEMENTED")


def missing_asset(
    asset_id: str, subject: str = "Asset", http_status: int = NOT_FOUND
) -> EarthEngineError:
    """The refusal of an asset that does not exist, in Earth Engine's words.

    Args:
        asset_id: Its id.
        subject: What is missing, e.g. ``Image.load: Image asset``.
        http_status: 404 for an asset in the path of a request, 400 for one in an expression.
    """
    text = f"{subject} '{asset_id}' not found (does not exist or caller does not have access)."
    return EarthEngineError(text, http_status, "NOT_FOUND")


def wrong_type(where: str, expected: str, value: object) -> EarthEngineError:
    """The refusal of an argument of the wrong type, in Earth Engine's words."""
    actual = type(value).__name__
    return EarthEngineError(
        f"{where}: Invalid type.\nExpected type: {expected}.\nActual type: {actual}."
    )
