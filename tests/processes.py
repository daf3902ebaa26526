"""Waiting for processes, and for whatever else comes about in its own time."""

import time
from collections.abc import Callable

import psutil


def alive(process: int) -> bool:
    """Whether a process is at work; one that has ended may still wait for somebody to ask how."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether something comes true in time; returns as soon as it does."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()
