"""A place in object storage that is written to: object by object, each with its SHA-256."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from pipeline.errors import PipelineError
from pipeline.store.object_path import connect, refusal_reason, without_user

_HASH = "sha256"
"""Name of the attribute, ``x-amz-meta-sha256`` in S3's terms."""

_Answer = TypeVar("_Answer")


class Bucket:
    """All objects below a prefix; safe for many threads.

    Attributes:
        url: Such as ``s3://bucket/prefix``, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        """Connect; nothing is asked yet.

        Args:
            url: ``s3://bucket/prefix``, or ``gs://``, ``az://`` or ``file://``.

        Raises:
            PipelineError: It is no such URL, or the environment says too little to connect.
        """
        self.url = url.rstrip("/")
        self._keeps_attributes = not url.startswith("file://")
        self._store: Any = self._guard(lambda: _connect(self.url), "opened")

    @property
    def parent(self) -> str:
        """The URL of the prefix above."""
        return self.url.rpartition("/")[0]

    def bring_up_to_date(self, name: str, file: Path, sha256: str) -> bool:
        """Send a file, unless an object with its content is there.

        Args:
            name: Of the object, below the URL.
            file: Its content.
            sha256: Of the file, hexadecimal.

        Returns:
            Whether it was sent.

        Raises:
            PipelineError: The bucket cannot be reached, or refuses.
        """
        if self._hash_of(name) == (sha256, file.stat().st_size):
            return False
        attributes = {_HASH: sha256} if self._keeps_attributes else None
        try:
            self._guard(
                lambda: obstore.put(self._store, name, file, attributes=attributes), "written"
            )
        except FileNotFoundError:
            raise self._explained("written", "there is no such bucket") from None
        return True

    def read(self, name: str) -> bytes | None:
        """The content of an object; None if there is none."""
        try:
            return self._guard(lambda: bytes(obstore.get(self._store, name).bytes()), "read")
        except FileNotFoundError:
            return None

    def sizes(self) -> dict[str, int]:
        """Bytes of every object by name."""
        pages = self._guard(lambda: list(obstore.list(self._store)), "listed")
        return {entry["path"]: entry["size"] for page in pages for entry in page}

    def _hash_of(self, name: str) -> tuple[str, int] | None:
        """SHA-256 and size of an object; a disk keeps no attributes, so there it is read."""
        head: Any = {"head": True} if self._keeps_attributes else {}
        try:
            answer = self._guard(lambda: obstore.get(self._store, name, options=head), "read")
        except FileNotFoundError:
            return None
        if self._keeps_attributes:
            return str(answer.attributes.get(_HASH, "")), int(answer.meta["size"])
        return hashlib.sha256(answer.bytes()).hexdigest(), int(answer.meta["size"])

    def _guard(self, request: Callable[[], _Answer], verb: str) -> _Answer:
        try:
            return request()
        except NotFoundError:
            raise FileNotFoundError(self.url) from None
        except (BaseError, ValueError, OSError) as error:
            if isinstance(error, FileNotFoundError) and verb != "opened":
                raise FileNotFoundError(self.url) from None
            raise self._explained(verb, refusal_reason(error)) from None

    def _explained(self, verb: str, reason: str) -> PipelineError:
        if self.url.startswith("file://"):
            remedy = "choose another place, or make this one a folder that you may write to"
            return PipelineError(f"{self.url} cannot be {verb} ({reason}); {remedy}")
        endpoint = without_user(os.environ.get("AWS_ENDPOINT_URL", "AWS"))
        return PipelineError(
            f"{self.url} cannot be {verb} ({reason}; endpoint {endpoint}); check that the bucket "
            "exists and that AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY are those of somebody who may write to it"
        )


def _connect(url: str) -> Any:
    if url.startswith("file://"):
        return from_url(url, mkdir=True)
    if url.startswith("s3://"):
        # S3 computes the checksum of what arrives and refuses it if it is not what was sent.
        return connect(url, aws_checksum_algorithm="SHA256")
    return connect(url)
