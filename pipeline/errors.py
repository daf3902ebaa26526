"""Errors meant for the person at the keyboard, and the one place that prints them."""

import errno
import sys
from collections.abc import Callable
from typing import NoReturn

_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space and run the same command again"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
        + (errno.ENOTEMPTY,),
        "choose another place, or make this one a folder that you may write to",
    ),
}
"""What to do about the errors of a disk that are nobody's defect."""


class PipelineError(Exception):
    """Something the user can mend: one line with the value, the limit and the remedy."""


def fail(message: str) -> NoReturn:
    """Print one line on standard error and leave with exit code 1."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def run_step(step: Callable[[], None]) -> None:
    """Run the body of a ``python -m pipeline.<step>`` command.

    A `PipelineError`, a full disk or a place that cannot be written to ends in one line and exit
    code 1, Ctrl-C in exit code 130.
    Anything else is a defect of ours and keeps its traceback.
    """
    try:
        step()
    except PipelineError as error:
        fail(" ".join(str(error).split("\n")))
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        fail(f"cannot write {error.filename or 'a file'}: {error.strerror}; {remedy}")
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
