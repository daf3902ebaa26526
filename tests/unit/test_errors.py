"""What a person can mend ends in one line; what is our own defect keeps its traceback."""

import errno
import os

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
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "choose another place"),
        (errno.EROFS, "choose another place"),
        (errno.ENOTDIR, "choose another place"),
    ],
)
def test_a_disk_that_refuses_is_one_line_with_a_remedy(number, remedy, capsys):
    code, told = ended(OSError(number, os.strerror(number), "results/a.json"), capsys)
    assert code == 1 and told.count("\n") == 1
    assert told.startswith(f"error: cannot write results/a.json: {os.strerror(number)}; {remedy}")


def test_an_interrupt_is_told_and_a_defect_is_raised(capsys):
    code, told = ended(KeyboardInterrupt(), capsys)
    assert code == 130 and told.startswith("interrupted")
    with pytest.raises(OSError, match="Input/output"):
        ended(OSError(errno.EIO, os.strerror(errno.EIO)), capsys)
