"""The one place that opens Dask: threads or processes of this machine, or a cluster that exists.

Work is a function over many parts of a store and a function that merges its results. Parts are
merged as a tree while they arrive, so that memory holds a few results at a time.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import dask
import distributed
from dask.callbacks import Callback

from pipeline.errors import PipelineError

Workers = Literal["threads", "processes"]
Result = TypeVar("Result")

_MERGED_AT_ONCE = 16
_CONNECT_TIMEOUT = "30s"

_BY_CLUSTER = ("dask.distributed", "distributed")
"""Dask's names for the cluster of the present client; it knows no other sign that one is meant."""


@contextmanager
def dask_cluster(
    count: int = 1, workers: Workers = "threads", scheduler: str | None = None
) -> Iterator[None]:
    """Run Dask on this machine, or on a cluster that exists already, within a block.

    Args:
        count: Threads or processes of this machine.
        workers: Which of the two; without effect with a scheduler.
        scheduler: Address of a running scheduler, e.g. ``tcp://10.0.0.5:8786``. Its workers must
            see the same files under the same paths, and have this package installed.

    Raises:
        PipelineError: Nobody answers at that address, or there are to be no workers.
    """
    if count < 1:
        raise PipelineError(f"{count} workers can do nothing; --threads takes 1 or more")
    if scheduler is None:
        with dask.config.set(scheduler=workers, num_workers=count):
            yield
        return
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_TIMEOUT)
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"no Dask scheduler answers at {scheduler} ({error}); leave dask.scheduler and "
            "--scheduler out to use this machine"
        ) from None
    with client:
        yield


def add_dask_options(parser: argparse.ArgumentParser) -> None:
    """Let a command take what `dask_cluster` needs."""
    add = parser.add_argument
    add("--threads", type=int, default=1, help="workers to use (default: 1)")
    add("--workers", choices=["threads", "processes"], default="threads")
    add("--scheduler", help="address of a Dask cluster to use instead")


def map_and_merge(
    work: Callable[..., Result],
    parts: Sequence[Sequence[Any]],
    merge: Callable[[Sequence[Result]], Result],
    task: str,
) -> Result | None:
    """Do some work on every part and merge the results, on whatever Dask is set to.

    Args:
        work: Called with the values of a part; must be importable by the workers.
        parts: Arguments of each call.
        merge: Makes one result of several, in any grouping, in the order of the parts.
        task: What is done, e.g. ``verify nol.zarr``: starts each line of progress.

    Returns:
        The result of all parts; None if there are none.
    """
    # Not pure: a cluster that lives on must not answer for a store that has changed since.
    calls = [dask.delayed(work, pure=False)(*part) for part in parts]
    if not calls:
        return None
    whole = _merged(calls, merge)
    told = _Told(task, len(calls))
    if dask.config.get("scheduler", None) not in _BY_CLUSTER:
        keys = {call.key for call in calls}
        with Callback(posttask=lambda key, *_: told.finished() if key in keys else None):
            (result,) = dask.compute(whole)
            return result
    futures = distributed.default_client().compute([*calls, whole])
    for _ in distributed.as_completed(futures[:-1]):
        told.finished()
    return futures[-1].result()


def _merged(calls: list[Any], merge: Callable[[Sequence[Any]], Any]) -> Any:
    while len(calls) > 1:
        groups = [calls[i : i + _MERGED_AT_ONCE] for i in range(0, len(calls), _MERGED_AT_ONCE)]
        calls = [dask.delayed(merge, pure=False)(group) for group in groups]
    return calls[0]


class _Told:
    """A line on the terminal now and then."""

    _INTERVAL_S = 5.0

    def __init__(self, task: str, count: int) -> None:
        self._task = task
        self._count = count
        self._done = 0
        self._started = self._last = time.monotonic()

    def finished(self) -> None:
        """Count one part."""
        self._done += 1
        now = time.monotonic()
        if now - self._last < self._INTERVAL_S:
            return
        self._last = now
        rate = self._done / (now - self._started)
        left = (self._count - self._done) / rate
        print(
            f"{self._task}: {self._done} of {self._count} parts, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
