"""A place in object storage that is read like a folder on disk.

Whatever takes the path of a store to read from takes a URL as well: `store_path` makes an
`ObjectPath` of ``s3://bucket/nol.zarr`` and a `pathlib.Path` of everything else. Both answer to the
part of pathlib's names that reading a store needs. Endpoint, region and credentials come from where
AWS's own tools look for them: ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` and
``AWS_SECRET_ACCESS_KEY`` in the environment, or the role of the machine; ``gs://`` works alike with
its own. Shards cannot be read from ``az://``: Azure gives no last bytes of an object.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import BaseError, NotFoundError, PreconditionError
from obstore.store import ObjectStore, from_url

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from zarr.storage import ObjectStore as ZarrObjectStore

_RETRIES = 10
_PATIENCE = timedelta(seconds=60)
"""How often, and how long at most, a request is tried again after errors of the server (throttling
too) or of the connection, with growing pauses: two to ten seconds in all."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class ObjectPath:
    """One object, or all objects below a prefix.

    Attributes:
        url: Such as ``s3://bucket/nol.zarr``, without a slash at the end.
    """

    url: str

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        """The last part without its last suffix."""
        return Path(self.name).stem

    @property
    def parent(self) -> "ObjectPath":
        """Everything before the last part."""
        return ObjectPath(self.url.rsplit("/", 1)[0])

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        try:
            self._ask(obstore.head)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there are objects below."""
        bucket, key = self._split()
        found = self._guard(lambda: obstore.list_with_delimiter(_bucket(bucket), key))
        return bool(found["objects"] or found["common_prefixes"])

    def exists(self) -> bool:
        """Whether there is an object of this name, or some below."""
        return self.is_file() or self.is_dir()

    def below(self) -> list[str]:
        """The names of all objects below, relative to here, ascending."""
        return sorted(self.sizes_below())

    def sizes_below(self) -> dict[str, int]:
        """Bytes of all objects below, by name relative to here."""
        bucket, key = self._split()
        pages = self._guard(lambda: list(obstore.list(_bucket(bucket), f"{key}/" if key else None)))
        return {
            entry["path"].removeprefix(f"{key}/"): entry["size"] for page in pages for entry in page
        }

    def version(self) -> tuple[int, str]:
        """Size of the object, bytes, and what changes with its content; raises as `read_bytes`."""
        head = self._ask(obstore.head)
        return head["size"], head["e_tag"] or str(head["last_modified"])

    def read_bytes(self) -> bytes:
        """The content of the object.

        Raises:
            FileNotFoundError: There is none.
            PipelineError: The object store does not answer, or refuses.
        """
        return bytes(self._ask(lambda bucket, key: obstore.get(bucket, key).bytes()))

    def read_range(self, start: int, length: int, e_tag: str | None = None) -> memoryview:
        """Some bytes of the object; raises as `read_bytes` does.

        Args:
            start: The first of them.
            length: How many.
            e_tag: Of `read_tail`: an object that was written again since is refused.
        """
        part: Any = {"range": (start, start + length)} | ({"if_match": e_tag} if e_tag else {})
        return memoryview(
            self._ask(lambda bucket, key: obstore.get(bucket, key, options=part).bytes())
        )

    def read_tail(self, length: int) -> tuple[bytes, str | None]:
        """The last bytes of the object, fewer if it is shorter, and what changes with its content.

        Raises as `read_bytes` does.
        """
        last: Any = {"range": {"suffix": length}}
        answer = self._ask(lambda bucket, key: obstore.get(bucket, key, options=last))
        content = self._guard(lambda: bytes(answer.bytes()))
        return content, answer.meta["e_tag"]

    def _ask(self, question: Callable[[Any, str], _Answer]) -> _Answer:
        bucket, key = self._split()
        return self._guard(lambda: question(_bucket(bucket), key))

    def _guard(self, request: Callable[[], _Answer]) -> _Answer:
        if _forked:
            # The threads of the client stay behind in the parent; a request would wait for ever.
            raise PipelineError(
                f"{self.url} cannot be read in a forked process; spawn workers instead, as with "
                "multiprocessing_context='spawn' of a DataLoader"
            )
        try:
            return request()
        except (FileNotFoundError, NotFoundError):
            raise FileNotFoundError(f"there is no object {self.url}") from None
        except PreconditionError:
            raise PipelineError(
                f"{self.url} was written again while it was read, and its index is another one "
                "now; start again"
            ) from None
        except BaseError as error:
            raise refusal(self.url, error) from None

    def _split(self) -> tuple[str, str]:
        """The URL of the bucket, and the key inside it."""
        scheme, _, rest = self.url.partition("://")
        bucket, _, key = rest.partition("/")
        return f"{scheme}://{bucket}", key


def refusal(url: str, error: BaseError) -> PipelineError:
    """What to tell a person whom object storage does not give what lies at a URL."""
    return PipelineError(
        f"{url} cannot be read ({refusal_reason(error)}); check the URL, the network, and the "
        "endpoint and credentials in the environment (AWS_ENDPOINT_URL, AWS_REGION, "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    )


def refusal_reason(error: Exception) -> str:
    """What object storage says, without the document of its answer and passwords in URLs."""
    return without_user(re.split(r"\n|:? *<\?xml", str(error).strip())[0])


def without_user(text: str) -> str:
    """A message without what stands before the host in its URLs: it may be a password."""
    return re.sub(r"://[^/@\s]+@", "://", text)


StorePath = Path | ObjectPath
"""Where a store lies that is read: a folder, or a prefix in object storage."""


def store_path(text: str | Path) -> StorePath:
    """The place that settings or a command line name: a folder, or a URL with ``://``."""
    if isinstance(text, str) and "://" in text:
        return ObjectPath(text.rstrip("/"))
    return Path(text)


def zarr_source(path: StorePath) -> "Path | ZarrObjectStore[Any]":
    """What zarr and xarray open to read a store at a place."""
    if isinstance(path, Path):
        return path
    from zarr.storage import ObjectStore as ZarrObjectStore  # late: Snakemake reads this module

    return ZarrObjectStore(connect(path.url), read_only=True)


_forked = False


def _note_fork() -> None:
    global _forked  # noqa: PLW0603
    _forked = _bucket.cache_info().currsize > 0


os.register_at_fork(after_in_child=_note_fork)


@lru_cache(maxsize=8)
def _bucket(url: str) -> ObjectStore:
    """The connections to a bucket, shared by all threads of a process."""
    return connect(url)


def connect(url: str, **options: str) -> ObjectStore:
    """Connections to everything below a URL, with the endpoint and credentials of the environment.

    Args:
        url: A bucket, or a prefix in one; ``file://`` is a folder on disk.
        options: Of object storage alone, by obstore's names, such as ``aws_checksum_algorithm``.
    """
    if url.startswith("file://"):
        return from_url(url)
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return from_url(
        url,
        config=options,  # type: ignore[call-overload]
        client_options={"allow_http": plain},
        retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
    )
