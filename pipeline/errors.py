"""Errors meant for the person at the keyboard, and the one place that prints them."""

import errno
import os
import re
import select
import sys
from collections.abc import Callable
from typing import NoReturn

_WRITING = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space and run the same command again"),
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) and run the same command again",
    **dict.fromkeys(
        (errno.EROFS, errno.EEXIST, errno.ENOTEMPTY),
        "choose another place, or make this one a folder that you may write to",
    ),
}
"""What to do about errors that come of writing only."""

_REMEDIES = {
    errno.ENOENT: "correct the path, or make its folder first",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR),
        "choose another place, or make this one a file or folder of your own",
    ),
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "choose a path without a circle of links",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "raise the limit on open files (ulimit -n) or use fewer workers",
    ),
    **dict.fromkeys(
        (errno.EIO, errno.ESTALE),
        "the disk fails or is gone; look after it and run the same command again",
    ),
}
"""What to do about errors of a disk that come of reading as well."""


_FROM_WORKER = re.compile(r"Caught .*\nOriginal Traceback .*\n(?:[ \t].*\n)*[\w.]+: ")
"""What PyTorch puts before the message of an error that a process of a DataLoader raises."""


class PipelineError(Exception):
    """Something the user can mend: one line with the value, the limit and the remedy."""


def fail(message: str) -> NoReturn:
    """Print one line on standard error and leave with exit code 1."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def run_step(step: Callable[[], None]) -> None:
    """Run the body of a ``python -m pipeline.<step>`` command.

    A `PipelineError`, a full disk or a file that cannot be written or read ends in one line and
    exit code 1, Ctrl-C in exit code 130. Whoever no longer reads what is printed (``| head``) ends
    it without a word. Anything else is a defect of ours and keeps its traceback.
    """
    try:
        step()
        sys.stdout.flush()
    except PipelineError as error:
        fail(" ".join(_FROM_WORKER.sub("", str(error)).strip().split("\n")))
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        raise SystemExit(1) from None
    except OSError as error:
        fail(_told(error))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None


def _told(error: OSError) -> str:
    """One line about an error of the disk; raises the error if it is none."""
    number = error.errno or 0
    if number in _WRITING:
        return f"cannot write {error.filename or 'a file'}: {error.strerror}; {_WRITING[number]}"
    if number in _REMEDIES:
        name = error.filename or "a file"
        return f"cannot read or write {name}: {error.strerror}; {_REMEDIES[number]}"
    raise error


def _output_is_closed() -> bool:
    """Whether nobody reads standard output any more; then nothing is written to it from now on."""
    output = select.poll()
    output.register(sys.stdout.fileno(), select.POLLOUT)
    closed = any(event & select.POLLERR for _, event in output.poll(0))
    if closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed
