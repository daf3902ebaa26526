"""One job's note reaches the main process; that of an earlier run does not."""

import threading

from pipeline.hopeless import heed_notes, leave_note


def test_a_note_of_this_run_stops_it_and_an_old_one_does_not(tmp_path):
    folder = tmp_path / "usage"
    leave_note(folder, "an earlier run had no budget left")
    stopped, told = threading.Event(), []

    def stop(reason):
        told.append(reason)
        stopped.set()

    heed_notes(folder, stop)
    assert not stopped.wait(0.1)
    leave_note(folder, "no credentials")
    assert stopped.wait(10)
    assert told == ["no credentials"]


def test_nobody_has_to_leave_a_note(tmp_path):
    heed_notes(tmp_path / "none yet", lambda reason: None)
    assert not (tmp_path / "none yet").exists()
