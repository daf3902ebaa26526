"""Who asks: Google credentials for the real service, nobody for a server on this machine."""

import ipaddress
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ee
import google.auth.exceptions as google_errors
import google.auth.transport.requests
from ee import oauth
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account

from pipeline.earthengine.errors import access_denied, classify
from pipeline.errors import PipelineError
from pipeline.settings.services import EarthEngineSettings


def google_credentials(settings: EarthEngineSettings) -> Any:
    """Service-account key if one is given, else the user's own or application-default credentials.

    A first access token is fetched, so that expired or revoked credentials show before any work.

    Raises:
        PipelineError: There are none, they cannot be read, or Google does not accept them; with
            the remedy.
    """
    try:
        if settings.credentials is None:
            return _stored_credentials()
        credentials = _service_account(settings.credentials)
        credentials.refresh(google.auth.transport.requests.Request())
        return credentials
    except google_errors.GoogleAuthError as error:
        fault = classify(error)
        if isinstance(fault, PipelineError):
            raise fault from None
        raise PipelineError(f"{fault}; check the network and run the same command again") from None


def anonymous_credentials(url: str) -> Any:
    """Nobody's credentials, for a server on this machine only.

    Raises:
        PipelineError: The URL leads off this machine.
    """
    if not is_loopback(url):
        raise PipelineError(
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
        return service_account.Credentials.from_service_account_file(str(path), scopes=oauth.SCOPES)
    except OSError as error:
        raise PipelineError(
            f"earthengine.credentials {path} cannot be read: {error.strerror}"
        ) from None
    except (ValueError, KeyError, AttributeError, google_errors.MalformedError):
        # What the library says may quote the file, and with it the private key.
        raise PipelineError(
            f"earthengine.credentials {path} is not the JSON key of a service account; download "
            "one from the Google Cloud console"
        ) from None


def _stored_credentials() -> Any:
    """What `earthengine authenticate` stored, else application-default credentials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ee.data.get_persistent_credentials()
        except ee.EEException:
            raise access_denied("no valid credentials on this machine") from None
        except (ValueError, TypeError, AttributeError):
            raise PipelineError(
                f"{oauth.get_credentials_path()} is damaged; run `earthengine authenticate`"
            ) from None
