"""Who asks: Google credentials for the real service, nobody for a server on this machine."""

import ipaddress
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth
import google.auth.exceptions as google_errors
import google.auth.transport.requests
from ee import oauth
from google.auth.credentials import AnonymousCredentials, with_scopes_if_required
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from pipeline.earthengine.errors import AccessDenied, access_denied, classify
from pipeline.earthengine.transport import plain_session
from pipeline.settings.services import EarthEngineSettings

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
"""All that computing needs; the client asks for Drive and Cloud Storage, too.
Source: https://developers.google.com/earth-engine/reference/rest/v1/projects.image/computePixels,
"Authorization scopes"."""


def google_credentials(settings: EarthEngineSettings) -> Any:
    """Service-account key if one is given, else the user's own or application-default credentials.

    A first access token is fetched, so that expired or revoked credentials show before any work.

    Raises:
        PipelineError: There are none, they cannot be read, or Google does not accept them; with
            the remedy.
        Transient: Google could not be asked just now.
    """
    key = settings.credentials
    credentials = _stored_credentials() if key is None else _service_account(key)
    try:
        credentials.refresh(google.auth.transport.requests.Request(plain_session()))
    except google_errors.GoogleAuthError as error:
        raise classify(error) from None
    return credentials


def anonymous_credentials(url: str) -> Any:
    """Nobody's credentials, for a server on this machine only.

    Raises:
        PipelineError: The URL leads off this machine.
    """
    if not is_loopback(url):
        raise AccessDenied(
            f"earthengine.service {url!r} is not on this machine: only http://127.0.0.1:PORT is "
            "asked without credentials; for the real service write google"
        )
    return AnonymousCredentials()


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine: 127.0.0.0/8, ::1 or localhost."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _service_account(path: Path) -> Any:
    try:
        return service_account.Credentials.from_service_account_file(str(path), scopes=_SCOPES)
    except OSError as error:
        raise AccessDenied(
            f"earthengine.credentials {path} cannot be read: {error.strerror}"
        ) from None
    except (ValueError, KeyError, AttributeError, google_errors.MalformedError):
        # What the library says may quote the file, and with it the private key.
        raise AccessDenied(
            f"earthengine.credentials {path} is not the JSON key of a service account; download "
            "one from the Google Cloud console"
        ) from None


def _stored_credentials() -> Any:
    """What `earthengine authenticate` stored, else application-default credentials.

    Not by way of `ee.data.get_persistent_credentials`: that takes a sign-in that failed for the
    moment for no credentials, and service accounts among the application's defaults for invalid.
    """
    try:
        stored = oauth.get_credentials_arguments()
    except OSError:
        stored = {}
    except (ValueError, TypeError, AttributeError):
        raise AccessDenied(
            f"{oauth.get_credentials_path()} is damaged; run `earthengine authenticate`"
        ) from None
    if stored.get("refresh_token"):
        return user_credentials.Credentials(None, **stored)
    return _application_default()


def _application_default() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            credentials, _ = google.auth.default()
        except google_errors.DefaultCredentialsError as error:
            raise access_denied(f"no valid credentials on this machine: {error}") from None
    return with_scopes_if_required(credentials, _SCOPES)
