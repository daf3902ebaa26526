"""Large files from the web: resumed where they broke off, believed only by their checksum."""

import functools
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import requests
import tenacity

from pipeline.atomic_file import PARTIAL_SUFFIX
from pipeline.errors import PipelineError

_CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16
"""Received at a time; of a transfer that breaks off, whole pieces are kept."""

_TIMEOUT_S = 60.0
_ATTEMPTS = 8
_TOLD_EVERY_S = 10.0
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}

_log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """The transfer broke off or the server is busy; the rest may be asked for again."""


def download(url: str, path: Path, checksum: str | None, pause_s: float = 2.0) -> None:
    """Fetch a file, unless it is there.

    What an earlier attempt received stays beside the file, ``.<name>.partial``, and is continued
    with a Range request. The file takes its name once its checksum is right.

    Args:
        url: http or https.
        path: Where to.
        checksum: ``sha256:<hex>`` or ``md5:<hex>``, or the beginning of one where no more of it
            is published. None takes what comes, and what is there, as it is.
        pause_s: Scale of the random exponential pause between attempts, seconds.

    Raises:
        PipelineError: The server refuses, cannot be reached, or gives another file.
    """
    if path.is_file() and _agrees(path, checksum):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Interrupted),
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=pause_s, max=60),
        before_sleep=functools.partial(_tell_pause, url),
        reraise=True,
    )
    try:
        retrying(_receive, url, partial)
    except _Interrupted as error:
        kept = partial.stat().st_size if partial.exists() else 0
        raise PipelineError(
            f"{url} could not be fetched ({error}); {kept} bytes are kept, "
            "run the same command again"
        ) from None
    if checksum is not None and not _agrees(partial, checksum):
        found = file_checksum(partial, checksum)[: len(checksum)]
        partial.unlink()
        raise PipelineError(
            f"{url} has the checksum {found}, not {checksum}; is it another version?"
        )
    partial.replace(path)


def _agrees(path: Path, checksum: str | None) -> bool:
    return checksum is None or file_checksum(path, checksum).startswith(checksum.lower())


def file_checksum(path: Path, like: str) -> str:
    """The checksum of a file by the algorithm of another one.

    Args:
        path: The file.
        like: ``<algorithm>:<hex>``.
    """
    algorithm = like.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
    return f"{algorithm}:{digest.hexdigest()}"


def _receive(url: str, partial: Path) -> None:
    """One request for what is missing."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
            _write_answer(url, answer, partial, have)
    except requests.RequestException as error:
        raise _Interrupted(_in_words(error)) from error


def _in_words(error: requests.RequestException) -> str:
    match error:
        case requests.Timeout():
            return f"no answer for {_TIMEOUT_S:.0f} s"
        case requests.exceptions.ChunkedEncodingError():
            return "the transfer broke off"
        case requests.ConnectionError():
            return "no connection"
    return type(error).__name__


def _tell_pause(url: str, state: tenacity.RetryCallState) -> None:
    """Say why nothing happens for a while."""
    reason = state.outcome.exception() if state.outcome else None
    pause_s = state.next_action.sleep if state.next_action else 0.0
    _log.warning(
        "%s: %s; attempt %d of %d in %.0f s",
        url,
        reason,
        state.attempt_number + 1,
        _ATTEMPTS,
        pause_s,
    )


def _write_answer(url: str, answer: requests.Response, partial: Path, have: int) -> None:
    if answer.status_code == 416:  # nothing after what we have: complete, or another file
        if answer.headers.get("Content-Range") == f"bytes */{have}":
            return
        partial.unlink()
        raise _Interrupted("the file on the server is another one")
    if answer.status_code in _PASSING_STATUS:
        raise _Interrupted(f"status {answer.status_code}")
    if answer.status_code not in (200, 206):
        raise PipelineError(f"{url} answers {answer.status_code} {answer.reason}")
    resumed = answer.status_code == 206
    start = have if resumed else 0
    expected = start + int(answer.headers.get("Content-Length", -1 - start))
    tell = _teller(url, expected)
    with partial.open("ab" if resumed else "wb") as file:
        for piece in answer.iter_content(_PIECE_BYTES):
            file.write(piece)
            tell(file.tell())
        file.flush()
        os.fsync(file.fileno())
        received = file.tell()
    if expected >= 0 and received != expected:
        raise _Interrupted(f"{received} of {expected} bytes")


def _teller(url: str, expected: int) -> Callable[[int], None]:
    """A line now and then on how far a transfer is."""
    told = time.monotonic()

    def tell(received: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _TOLD_EVERY_S:
            told = time.monotonic()
            _log.info("%s: %.1f of %.1f MB", url, received / 1e6, max(expected, received) / 1e6)

    return tell
