"""A run that is told to end does so at once, with its ranks, and not as if it were done."""

import multiprocessing
import os
import signal
import subprocess
from functools import partial
from types import SimpleNamespace

from training.run.signals import EndsWhenTold


def be_told_to_end(launcher):
    loop = SimpleNamespace(_broadcast_sigterm_tensor=lambda: 1 / 0)
    trainer = SimpleNamespace(
        fit_loop=SimpleNamespace(epoch_loop=loop), strategy=SimpleNamespace(launcher=launcher)
    )
    EndsWhenTold().on_train_start(trainer, None)
    loop._broadcast_sigterm_tensor()
    os.kill(os.getpid(), signal.SIGTERM)


def ended(launcher):
    process = multiprocessing.get_context("fork").Process(target=be_told_to_end, args=(launcher,))
    process.start()
    process.join(20)
    return process.exitcode


def test_a_run_ends_by_the_signal(capfd):
    assert ended(None) == -signal.SIGTERM
    assert "the same command goes on from here" in capfd.readouterr().err


def test_other_ranks_end_with_the_first():
    rank = subprocess.Popen(["sleep", "60"])
    try:
        assert ended(SimpleNamespace(kill=partial(os.kill, rank.pid))) == -signal.SIGTERM
        assert rank.wait(20) == -signal.SIGKILL
    finally:
        rank.kill()
