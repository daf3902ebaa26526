"""Slots that several processes draw from."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from pipeline.earthengine.shared_slots import SharedSlots

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.earthengine.shared_slots import SharedSlots
with SharedSlots(Path(sys.argv[1]), 2) as slots, slots.slot(time.sleep):
    print("holding", flush=True)
    time.sleep(60)
"""


def no_patience(_):
    raise CancelledError


@pytest.fixture
def join(tmp_path):
    """A function of a count: a hand in the slots of the test's folder."""
    opened = []

    def join_with(count):
        opened.append(SharedSlots(tmp_path, count))
        return opened[-1]

    yield join_with
    for slots in opened:
        slots.__exit__()


def test_all_hands_together_never_hold_more(join):
    hands = [join(3) for _ in range(4)]
    lock, holding, peak = threading.Lock(), 0, 0

    def hold(number):
        nonlocal holding, peak
        with hands[number % 4].slot(time.sleep):
            with lock:
                holding += 1
                peak = max(peak, holding)
            time.sleep(0.005)
            with lock:
                holding -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(hold, range(100)))
    assert (holding, peak) == (0, 3)


def test_one_hand_may_hold_all_and_the_other_waits_in_vain(join):
    first, second = join(2), join(2)
    with (
        first.slot(time.sleep),
        first.slot(time.sleep),
        pytest.raises(CancelledError),
        second.slot(no_patience),
    ):
        pass
    with second.slot(no_patience):
        pass


def test_a_killed_process_gives_its_slot_back(join, tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"holding\n"
    ours = join(2)
    with ours.slot(no_patience):
        with pytest.raises(CancelledError), ours.slot(no_patience):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        with ours.slot(no_patience):
            pass
