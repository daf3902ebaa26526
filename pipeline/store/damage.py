"""Stored bytes that are lost, cut short, altered or out of reach: one line for whoever reads them.

Zarr takes a file that is not there, or has no bytes, for one without data. Of a sample that says it
is valid that is never so: every shard of ours has its file, also where all its pixels are nodata.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from pipeline.errors import PipelineError
from pipeline.store.object_path import StorePath, refusal

_DAMAGE = (ValueError, RuntimeError, KeyError, TypeError, IndexError, EOFError, MemoryError)
"""What zarr and the codecs raise on bytes that are not what was written; a length that is none asks
for more memory than there is."""


class LostFile(PipelineError):
    """A file of a store is not there, or empty, that holds what was asked for."""


def lost_file(file: object) -> LostFile:
    """The error about a file that is not there or empty, by its path."""
    return LostFile(f"{file} is missing or empty; copy the store as a whole or build it again")


@contextmanager
def told_if_damaged(place: StorePath, what: str = "the array") -> Iterator[None]:
    """Read through zarr: what is wrong with the files becomes one line.

    Args:
        place: Of the array that is read.
        what: Stands before its name.

    Raises:
        PipelineError: It is damaged, or object storage does not give it.
    """
    try:
        yield
    except BaseError as error:
        raise refusal(str(place), error) from None
    except _DAMAGE as error:
        reason = str(error).strip().partition("\n")[0]
        raise PipelineError(
            f"{what} {place.name!r} in {place.parent} is damaged ({reason}); build the store again"
        ) from None
