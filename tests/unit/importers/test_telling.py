"""A line now and then: how much is done, how fast, how long it will take."""

import pytest

from pipeline.importers import telling
from pipeline.importers.telling import Telling


def test_what_is_quick_says_nothing(capsys):
    with Telling("importing", "files", 3) as told:
        assert list(told.each("abc")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("total", "of"), [(4_000, " of 4,000 files"), (None, " files")])
def test_what_takes_long_says_how_far_it_is(monkeypatch, capsys, total, of):
    monkeypatch.setattr(telling, "INTERVAL_S", 0.0)
    with Telling("taking stock", "files", total) as told:
        for _ in told.each(range(1_234)):
            pass
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"taking stock: 1,234{of}, ")
    assert last.endswith(" left") == (total is not None)
