"""What a person can mend ends in one line; what is our own defect keeps its traceback."""

import errno
import os
import subprocess
import sys

import pytest

from pipeline.errors import PipelineError, run_step


def ended(error, capsys):
    def step():
        raise error

    with pytest.raises(SystemExit) as left:
        run_step(step)
    return left.value.code, capsys.readouterr().err


def test_our_own_error_is_one_line(capsys):
    assert ended(PipelineError("3 is too much\nof it"), capsys) == (
        1,
        "error: 3 is too much of it\n",
    )


@pytest.mark.parametrize(
    ("number", "told", "remedy"),
    [
        (errno.ENOSPC, "cannot write", "free some space"),
        (errno.EDQUOT, "cannot write", "free some space"),
        (errno.EFBIG, "cannot write", "raise the limit on the size of files"),
        (errno.EROFS, "cannot write", "choose another place"),
        (errno.EACCES, "cannot read or write", "choose another place"),
        (errno.ENOTDIR, "cannot read or write", "choose another place"),
        (errno.ENOENT, "cannot read or write", "correct the path"),
        (errno.ENAMETOOLONG, "cannot read or write", "choose a shorter name"),
        (errno.EMFILE, "cannot read or write", "raise the limit on open files"),
        (errno.EIO, "cannot read or write", "the disk fails"),
    ],
)
def test_a_disk_that_refuses_is_one_line_with_a_remedy(number, told, remedy, capsys):
    code, line = ended(OSError(number, os.strerror(number), "results/a.json"), capsys)
    assert code == 1 and line.count("\n") == 1
    assert line.startswith(f"error: {told} results/a.json: {os.strerror(number)}; {remedy}")


def test_an_interrupt_is_told_and_a_defect_is_raised(capsys):
    code, told = ended(KeyboardInterrupt(), capsys)
    assert code == 130 and told.startswith("interrupted")
    for defect in (OSError(errno.EBADF, "Bad file descriptor"), OSError("nobody knows")):
        with pytest.raises(OSError, match="Bad|nobody"):
            ended(defect, capsys)


def test_a_connection_that_breaks_is_no_closed_output(capfd):
    def step():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_step(step)


def test_whoever_reads_the_first_lines_only_sees_no_traceback():
    step = "from pipeline.errors import run_step; run_step(lambda: print('line\\n' * 100_000))"
    run = subprocess.Popen(
        [sys.executable, "-c", step], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout.readline() == b"line\n"
    run.stdout.close()
    assert run.wait() == 1 and run.stderr.read() == b""
    run.stderr.close()
