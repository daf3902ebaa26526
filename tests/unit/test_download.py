"""Downloads: resumed with Range, believed by checksum, refused in one line."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from pipeline.download import download
from pipeline.errors import PipelineError

BODY = np.random.default_rng(1).bytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
MD5 = "md5:" + hashlib.md5(BODY, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `BODY`, with Range; breaks off, or answers other statuses, as its server says."""

    def do_GET(self):  # noqa: N802
        server = self.server
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        server.starts.append(start)
        status = server.statuses.pop(0) if server.statuses else 0
        if status:
            self.send_error(status)
            return
        if start >= len(BODY):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(BODY)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        ranged = start and server.ranges
        rest = BODY[start:] if ranged else BODY
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else len(rest)
        self.wfile.write(rest[:cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.starts, running.statuses, running.cuts, running.ranges = [], [], [], True
    running.url = f"http://127.0.0.1:{running.server_port}/tiles.zip"
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_file_is_fetched_once(server, tmp_path, checksum):
    path = tmp_path / "a" / "tiles.zip"
    download(server.url, path, checksum)
    download(server.url, path, checksum)
    assert path.read_bytes() == BODY
    assert server.starts == [0]
    assert [file.name for file in path.parent.iterdir()] == ["tiles.zip"]


def test_what_broke_off_is_continued_and_told(server, tmp_path, caplog):
    server.cuts = [100_000, 150_000]
    download(server.url, tmp_path / "tiles.zip", SHA256, pause_s=0.01)
    first, second = caplog.messages
    assert first == f"{server.url}: the transfer broke off; attempt 2 of 8 in 0 s"
    assert "attempt 3 of 8" in second
    assert (tmp_path / "tiles.zip").read_bytes() == BODY
    assert server.starts == sorted(set(server.starts)) and len(server.starts) == 3


def test_a_server_without_ranges_begins_again(server, tmp_path):
    server.cuts, server.ranges = [100_000], False
    download(server.url, tmp_path / "tiles.zip", SHA256, pause_s=0.01)
    assert (tmp_path / "tiles.zip").read_bytes() == BODY


def test_a_complete_partial_file_is_recognised(server, tmp_path):
    (tmp_path / ".tiles.zip.partial").write_bytes(BODY)
    download(server.url, tmp_path / "tiles.zip", SHA256)
    assert (tmp_path / "tiles.zip").read_bytes() == BODY


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    download(server.url, tmp_path / "tiles.zip", SHA256, pause_s=0.01)
    assert len(server.starts) == 3


def test_another_file_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(PipelineError, match="another version"):
        download(server.url, tmp_path / "tiles.zip", "sha256:" + "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_not_found_is_asked_once(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(PipelineError, match="404"):
        download(server.url, tmp_path / "tiles.zip", SHA256)
    assert len(server.starts) == 1


def test_a_server_that_is_gone_is_one_line_and_keeps_what_arrived(server, tmp_path):
    (tmp_path / ".tiles.zip.partial").write_bytes(BODY[:1000])
    server.statuses = [503] * 20
    with pytest.raises(PipelineError, match="1000 bytes are kept"):
        download(server.url, tmp_path / "tiles.zip", SHA256, pause_s=0.001)
    assert (tmp_path / ".tiles.zip.partial").stat().st_size == 1000
