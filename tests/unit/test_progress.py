"""What a task tells while it works."""

import time

from pipeline import progress
from pipeline.progress import told


def test_items_are_handed_on_and_told_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "TERMINAL_INTERVAL_S", 0.05)

    def slowly():
        for number in range(4):
            time.sleep(0.03)
            yield number

    assert list(told(slowly(), "decoding", 4)) == [0, 1, 2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 2
    assert lines[0].startswith("decoding: ") and " of 4, 0 s left" in lines[0]


def test_a_short_task_tells_nothing(capsys):
    assert list(told(iter("ab"), "decoding", 2)) == ["a", "b"]
    assert capsys.readouterr().err == ""
