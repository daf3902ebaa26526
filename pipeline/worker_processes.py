"""Processes that work for the one that started them, and end when it does.

A pool of the standard library outlives a parent that was killed: its processes wait for work for
ever, and one that was at work goes on writing beside the next run.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any


def worker_pool(
    workers: int, prepare: Callable[..., None] | None = None, *arguments: Any
) -> ProcessPoolExecutor:
    """A pool of processes that end with this one.

    They are spawned: forked ones would inherit open files and the threads of libraries. Ctrl-C
    reaches all processes of a terminal; it is left to the one that started the others.

    Args:
        workers: Their number.
        prepare: Called once in each of them, before any work. Can be pickled.
        arguments: For it.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _begin, (prepare, arguments))


def _begin(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
