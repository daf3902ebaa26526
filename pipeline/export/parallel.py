"""Work on the samples of a store in several processes, with a bar for the person who waits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from pipeline.worker_processes import worker_pool

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any]
"""What a worker process does with each item, made once when it starts."""


def map_with_progress(
    prepare: Callable[[], Callable[[Item], Result]],
    items: Sequence[Item],
    workers: int,
    title: str,
) -> Iterator[Result]:
    """Results in the order in which they are done.

    Args:
        prepare: Makes the function that works on an item; called once per process, so that what it
            opens is opened once. Can be pickled where there is more than one worker.
        items: What to work on.
        workers: Processes; 1 works here and now.
        title: Stands before the bar.
    """

    def shown(results: Iterable[Result]) -> Iterable[Result]:
        console = Console(stderr=True)
        return track(results, description=title, total=len(items), console=console)

    if workers == 1 or len(items) < 2:
        yield from shown(map(prepare(), items))
        return
    pool = worker_pool(min(workers, len(items)), _begin, prepare)
    try:
        waiting = [pool.submit(_carry_out, item) for item in items]
        yield from shown(done.result() for done in as_completed(waiting))
    finally:
        # After a failure or Ctrl-C, what has not begun need not.
        pool.shutdown(cancel_futures=True)


def _begin(prepare: Callable[[], Callable[[Any], Any]]) -> None:
    global _work  # noqa: PLW0603  (the only place that outlives a task in a pool)
    _work = prepare()


def _carry_out(item: Any) -> Any:
    return _work(item)
