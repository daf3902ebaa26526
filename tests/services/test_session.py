"""Opening a session: who may, who may not, and what the user reads when it fails."""

import json
import os
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.earthengine.session import earth_engine
from pipeline.errors import PipelineError
from pipeline.settings.tree import validate_settings
from tests.deaf_port import deaf_port

EXPIRED = json.dumps({"error": "invalid_grant", "error_description": "Token has expired."})


@contextmanager
def server_that_always_says(status, body, hangs_up=0, shown=None):
    """A server with one answer, but none at all to the first few requests.

    What it is shown as credentials is added to a list.
    """
    silent = iter(range(hangs_up))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            if next(silent, None) is not None:
                self.close_connection = True
                return
            if shown is not None:
                shown.append(self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST

        def log_message(self, *_):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(autouse=True)
def a_machine_without_credentials(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


def settings(tmp_path, **earthengine):
    return validate_settings(
        {"results": str(tmp_path), "earthengine": {"attempts": 1, **earthengine}}
    )


def refusal(chosen):
    with pytest.raises(PipelineError) as refused, earth_engine(chosen, "standard", 1):
        pytest.fail("the session opened")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def service_account_key(path, token_url):
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "builder@my-project.iam.gserviceaccount.com",
                "private_key": pem,
                "token_uri": token_url,
            }
        )
    )
    return pem


def test_the_real_service_needs_a_project(tmp_path):
    assert "earthengine.project is not set" in refusal(settings(tmp_path, service="google"))


def test_no_credentials(tmp_path):
    message = refusal(settings(tmp_path, service="google", project="my-project"))
    assert "no valid credentials" in message
    assert "earthengine authenticate" in message


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"type": "authorized_user"}'])
def test_a_key_file_that_is_none(tmp_path, content):
    key = tmp_path / "key.json"
    key.write_text(content)
    message = refusal(settings(tmp_path, service="google", project="p", credentials=str(key)))
    assert f"{key} is not the JSON key of a service account" in message


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_stored_credentials(tmp_path, content):
    stored = tmp_path / ".config" / "earthengine" / "credentials"
    stored.parent.mkdir(parents=True)
    stored.write_text(content)
    assert f"{stored} is damaged" in refusal(settings(tmp_path, service="google", project="p"))


def test_a_key_file_that_is_missing(tmp_path):
    key = tmp_path / "none.json"
    message = refusal(settings(tmp_path, service="google", project="p", credentials=str(key)))
    assert f"{key} cannot be read: No such file or directory" in message


def test_a_broken_private_key_is_not_quoted(tmp_path):
    key = tmp_path / "key.json"
    service_account_key(key, "http://127.0.0.1:9/token")
    values = json.loads(key.read_text())
    values["private_key"] = "SECRET"
    key.write_text(json.dumps(values))
    message = refusal(settings(tmp_path, service="google", project="p", credentials=str(key)))
    assert "is not the JSON key" in message
    assert "SECRET" not in message


def test_an_expired_token_says_how_to_sign_in_again(tmp_path):
    key = tmp_path / "key.json"
    with server_that_always_says(400, EXPIRED) as url:
        pem = service_account_key(key, f"{url}/token")
        message = refusal(settings(tmp_path, service="google", project="p", credentials=str(key)))
    assert "Token has expired" in message
    assert "earthengine authenticate" in message
    assert pem.splitlines()[1] not in message


def test_a_sign_in_that_breaks_off_is_repeated(tmp_path):
    key = tmp_path / "key.json"
    with server_that_always_says(400, EXPIRED, hangs_up=1) as url:
        service_account_key(key, f"{url}/token")
        options = {"credentials": str(key), "attempts": 2}
        message = refusal(settings(tmp_path, service="google", project="p", **options))
    assert "Token has expired" in message


def test_a_service_account_may_be_the_default_of_applications(tmp_path, monkeypatch):
    key = tmp_path / "key.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    missing = refusal(settings(tmp_path, service="google", project="p"))
    assert "no valid credentials" in missing and str(key) in missing
    with server_that_always_says(400, EXPIRED) as url:
        service_account_key(key, f"{url}/token")
        message = refusal(settings(tmp_path, service="google", project="p"))
    assert "Token has expired" in message


def test_what_netrc_says_is_no_part_of_the_sign_in(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    key, shown = tmp_path / "key.json", []
    with server_that_always_says(400, EXPIRED, shown=shown) as url:
        service_account_key(key, f"{url}/token")
        refusal(settings(tmp_path, service="google", project="p", credentials=str(key)))
    assert shown == [None]


def test_sign_in_out_of_reach_is_a_matter_of_the_network(tmp_path):
    key = tmp_path / "key.json"
    with deaf_port() as port:
        service_account_key(key, f"http://127.0.0.1:{port}/token")
        message = refusal(settings(tmp_path, service="google", project="p", credentials=str(key)))
    assert "check the network" in message


@pytest.mark.parametrize(
    "url",
    [
        "https://earthengine.googleapis.com",
        "http://10.0.0.7:8080",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://127.0.0.1@example.org",
    ],
)
def test_nobody_asks_anonymously_beyond_this_machine(tmp_path, url):
    assert "is not on this machine" in refusal(settings(tmp_path, service=url))


def test_nobody_listens(tmp_path):
    with deaf_port() as port:
        url = f"http://127.0.0.1:{port}"
        message = refusal(settings(tmp_path, service=url))
    assert f"cannot open a session with Earth Engine at {url}" in message


@pytest.mark.parametrize("body", ["", "<html>Welcome to the hotel</html>", "[]", '{"a": 1}'])
def test_a_server_that_answers_garbage(tmp_path, body):
    with server_that_always_says(200, body) as url:
        message = refusal(settings(tmp_path, service=url))
    assert f"cannot open a session with Earth Engine at {url}" in message


def test_a_project_that_may_not(tmp_path):
    body = json.dumps({"error": {"code": 403, "message": "Project is not registered."}})
    with server_that_always_says(403, body) as url:
        message = refusal(settings(tmp_path, service=url))
    assert "Project is not registered" in message
    assert "earthengine.project" in message


def test_the_surroundings_are_left_as_they_were(tmp_path, monkeypatch):
    timeout = socket.getdefaulttimeout()
    monkeypatch.setenv("no_proxy", "intranet")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with deaf_port() as port:
        refusal(settings(tmp_path, service=f"http://127.0.0.1:{port}"))
    assert os.environ["no_proxy"] == "intranet"
    assert "NO_PROXY" not in os.environ
    assert socket.getdefaulttimeout() == timeout
