"""What a task tells while it works."""

import pytest

from pipeline import progress
from pipeline.progress import told


def test_items_are_handed_on_and_told_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 3.0, 6.0, 9.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(told(iter(range(4)), "decoding", 4)) == [0, 1, 2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["decoding: 2 of 4, 6 s left", "decoding: 4 of 4, 0 s left"]


def test_a_short_task_tells_nothing(capsys):
    assert list(told(iter("ab"), "decoding", 2)) == ["a", "b"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (None, "taking stock: 3, 3/s"),
        (4, "taking stock: 3 of 4, 0 s left"),
        (1_803, "taking stock: 3 of 1803, 10 min left"),
        (30_003, "taking stock: 3 of 30003, 2.8 h left"),
    ],
)
def test_a_line_tells_how_long_it_will_take_if_that_is_known(capsys, monkeypatch, count, line):
    clock = iter([0.0, 0.3, 0.6, 1.0])
    monkeypatch.setattr(progress, "TERMINAL_INTERVAL_S", 1.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    list(told("abc", "taking stock", count))
    assert capsys.readouterr().err == f"{line}\n"
