"""The transport against a bare socket server that answers as it is told, byte by byte."""

import gzip
import os
import socket
import socketserver
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.earthengine.transport import PooledTransport
from tests.deaf_port import deaf_port


def answer(body, length=None, *headers):
    length = len(body) if length is None else length
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % length, *headers, b"", b""]
    return b"\r\n".join(lines) + body


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            length, self.authorization = 0, b""
            while (header := self.rfile.readline()).strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
                if header.lower().startswith(b"authorization:"):
                    self.authorization = header.split(b":")[1].strip()
            self.rfile.read(length)
            if not self.reply(line.split()[1].decode()):
                return

    def reply(self, path):
        """Whether the connection stays open."""
        if path == "/plain":
            self.wfile.write(answer(b"plain", None, b"Retry-After: 7"))
        elif path == "/authorization":
            self.wfile.write(answer(self.authorization))
        elif path == "/zipped":
            body = gzip.compress(b"x" * 100_000)
            self.wfile.write(answer(body, None, b"Content-Encoding: gzip"))
        elif path == "/cut":
            self.wfile.write(answer(b"half", 8))
        elif path == "/cut-zipped":
            body = gzip.compress(b"x" * 100_000)
            self.wfile.write(answer(body[:50], None, b"Content-Encoding: gzip") + body[50:60])
        elif path == "/reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif path == "/silent":
            time.sleep(30.0)
        elif path == "/trickle":
            self.wfile.write(answer(b"", 1000))
            for _ in range(600):
                self.wfile.write(b".")
                time.sleep(0.05)
        return path in ("/plain", "/zipped")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, *arguments):
        self.clients = []
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.clients.append(client_address)
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        """A client that hangs up is what these tests are about."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def transport():
    opened = PooledTransport(connections=8, timeout_s=60, loopback=True)
    yield opened
    opened.close()


def test_status_headers_and_body_arrive(transport, url):
    response, body = transport.request(f"{url}/plain", "POST", body="question")
    assert (response.status, response["retry-after"], body) == (200, "7", b"plain")
    assert (transport.bytes_sent, transport.bytes_received) == (8, 5)


def test_bytes_are_counted_as_they_came_over_the_wire(transport, url):
    _, body = transport.request(f"{url}/zipped")
    assert body == b"x" * 100_000
    assert 0 < transport.bytes_received < 1000


@pytest.mark.parametrize("path", ["cut", "cut-zipped", "reset"])
def test_a_broken_answer_is_a_connection_error(transport, url, path):
    with pytest.raises(ConnectionError):
        transport.request(f"{url}/{path}")


@pytest.mark.parametrize("path", ["silent", "trickle"])
def test_an_answer_that_takes_too_long_is_a_timeout(url, path):
    transport = PooledTransport(connections=1, timeout_s=0.6, loopback=True)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        transport.request(f"{url}/{path}")
    assert time.monotonic() - started < 20.0  # the answer would take half a minute
    transport.close()


def test_nobody_there_is_a_connection_error(transport):
    with deaf_port() as port, pytest.raises(ConnectionError):
        transport.request(f"http://127.0.0.1:{port}/plain")


def test_threads_share_a_pool_of_open_connections(transport, server, url):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: transport.request(f"{url}/plain")[1], range(200)))
    assert answers == [b"plain"] * 200
    assert transport.bytes_received == 1000
    assert len(server.clients) <= 8


def test_the_access_token_stays_whatever_netrc_says(server, url, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    transport = PooledTransport(connections=1, timeout_s=60, loopback=False)
    _, told = transport.request(f"{url}/authorization", headers={"authorization": "Bearer token"})
    transport.close()
    assert told == b"Bearer token"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="read from Linux's list of sockets")
def test_a_silent_connection_is_kept_alive(transport, server, url):
    transport.request(f"{url}/plain")
    (client,) = server.clients
    ports = [f"{port:04X}" for _, port in (client, server.server_address)]
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (ours,) = [fields for fields in sockets if [end[-4:] for end in fields[1:3]] == ports]
    timer, due = ours[5].split(":")
    assert timer == "02"  # keep-alive, see proc_net_tcp.txt of the kernel
    assert 0 < int(due, 16) <= 30 * os.sysconf("SC_CLK_TCK")


def test_proxies_of_the_environment_are_not_for_this_machine(url, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    transport = PooledTransport(connections=1, timeout_s=60, loopback=True)
    assert transport.request(f"{url}/plain")[1] == b"plain"
    transport.close()
