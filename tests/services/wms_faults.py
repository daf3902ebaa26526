"""A WMS server that misbehaves on request: a WSGI wrapper around a working one."""

import io
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[str, list[tuple[str, str]], bytes]
Fault = Callable[[Wsgi, dict[str, Any]], Answer]


class FaultyWms:
    """Answers the next ``remaining`` maps by ``fault``, everything else as it should be."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.remaining = 0
        self.requests = 0
        self.maps: list[float] = []
        self.user_agents: set[str] = set()
        self._application: Wsgi | None = None

    def wrap(self, application: Wsgi) -> Wsgi:
        self._application = application
        return self._serve

    def fail(self, fault: Fault, times: int) -> None:
        self.fault, self.remaining, self.maps = fault, times, []

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        assert self._application is not None
        self.requests += 1
        self.user_agents.add(environ.get("HTTP_USER_AGENT", ""))
        if "GetMap" not in environ["QUERY_STRING"]:
            return self._application(environ, start)
        self.maps.append(time.monotonic())
        if self.fault is None or self.remaining <= 0:
            return self._application(environ, start)
        self.remaining -= 1
        status, headers, body = self.fault(self._application, environ)
        start(status, headers)
        return [body]


def fixed(status: str, content_type: str, body: bytes, **headers: str) -> Fault:
    given = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda application, environ: (status, [("Content-Type", content_type), *given], body)


def exception(status: str, text: str, code: str = "", **headers: str) -> Fault:
    attribute = f' code="{code}"' if code else ""
    body = (
        '<?xml version="1.0"?><ServiceExceptionReport version="1.1.1">'
        f"<ServiceException{attribute}><![CDATA[{text}]]></ServiceException>"
        "</ServiceExceptionReport>"
    )
    return fixed(status, "application/vnd.ogc.se_xml", body.encode(), **headers)


def working_answer(application: Wsgi, environ: dict[str, Any]) -> Answer:
    started: list[Any] = []
    body = b"".join(application(environ, lambda *start: started.extend(start)))
    return started[0], started[1], body


def truncated(share: float, declared: bool) -> Fault:
    """Part of the picture, with the length of the whole one declared or none at all."""

    def fault(application: Wsgi, environ: dict[str, Any]) -> Answer:
        status, headers, body = working_answer(application, environ)
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        if declared:
            kept.append(("Content-Length", str(len(body))))
        return status, kept, body[: int(len(body) * share)]

    return fault


def slow(seconds: float) -> Fault:
    def fault(application: Wsgi, environ: dict[str, Any]) -> Answer:
        time.sleep(seconds)
        return working_answer(application, environ)

    return fault


def reset(application: Wsgi, environ: dict[str, Any]) -> Answer:
    """Close the connection without a byte."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return working_answer(application, environ)


def flat(rgb: tuple[int, int, int]) -> Fault:
    """A picture of the right size in one colour."""

    def fault(application: Wsgi, environ: dict[str, Any]) -> Answer:
        _, _, body = working_answer(application, environ)
        size = Image.open(io.BytesIO(body)).size
        return "200 OK", [("Content-Type", "image/png")], png(np.full((*size[::-1], 3), rgb))

    return fault


def png(picture: Any) -> bytes:
    body = io.BytesIO()
    Image.fromarray(np.asarray(picture, np.uint8)).save(body, "PNG")
    return body.getvalue()
