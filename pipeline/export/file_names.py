"""Names of files made from sample ids, which come from tables of users and of other datasets."""

import hashlib
import re

_FILE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,79}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_KEPT_LENGTH = 60


def file_stem(sample_id: str) -> str:
    """A name for the files of a sample that is safe on every system.

    Letters, digits, hyphens, underscores and single dots stay; an id with anything else gets a
    checksum, so that two ids never share a name.

    Args:
        sample_id: As in the store.
    """
    return sample_id if _FILE.fullmatch(sample_id) else _with_checksum(sample_id)


def tar_key(sample_id: str) -> str:
    """The key of a sample in a WebDataset, which ends at the first dot: the same without dots.

    Args:
        sample_id: As in the store.
    """
    return sample_id if _KEY.fullmatch(sample_id) else _with_checksum(sample_id)


def _with_checksum(sample_id: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", sample_id).strip("_-")[:_KEPT_LENGTH]
    checksum = hashlib.sha256(sample_id.encode()).hexdigest()[:12]
    return f"{readable}_{checksum}" if readable else f"sample_{checksum}"
