"""Names of files made from sample ids, which come from tables of users and of other datasets."""

import hashlib
import re
from collections.abc import Iterable

_NO_DEVICE = r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))"
"""Names that Windows keeps for devices, whatever stands behind a dot."""

_FILE = re.compile(_NO_DEVICE + r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,79}")
_KEY = re.compile(_NO_DEVICE + r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_KEPT_LENGTH = 60


def file_stem(sample_id: str) -> str:
    """A name for the files of a sample that is safe on every system.

    Letters, digits, hyphens, underscores and single dots stay; an id with anything else gets a
    checksum.

    Args:
        sample_id: As in the store.
    """
    return sample_id if _FILE.fullmatch(sample_id) else _with_checksum(sample_id)


def file_stems(sample_ids: Iterable[str]) -> dict[str, str]:
    """The name of each sample's files; no two are the same, even where case does not count.

    The first of several keeps its name, so that a store that grows never renames what it had.

    Args:
        sample_ids: Of a whole group, in the order of the store.

    Returns:
        The names by id.
    """
    taken: set[str] = set()
    stems: dict[str, str] = {}
    for sample_id in sample_ids:
        if sample_id in stems:
            continue
        stem, salt = file_stem(sample_id), ""
        while stem.casefold() in taken:
            stem, salt = _with_checksum(sample_id, salt), salt + "\0"
        taken.add(stem.casefold())
        stems[sample_id] = stem
    return stems


def tar_key(sample_id: str) -> str:
    """The key of a sample in a WebDataset, which ends at the first dot: the same without dots.

    Args:
        sample_id: As in the store.
    """
    return sample_id if _KEY.fullmatch(sample_id) else _with_checksum(sample_id)


def _with_checksum(sample_id: str, salt: str = "") -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", sample_id).strip("_-")[:_KEPT_LENGTH]
    checksum = hashlib.sha256(f"{sample_id}{salt}".encode()).hexdigest()[:12]
    return f"{readable}_{checksum}" if readable else f"sample_{checksum}"
