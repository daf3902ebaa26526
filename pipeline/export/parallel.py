"""Work on the samples of a store in several processes, with a bar for the person who waits."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_with_progress(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, title: str
) -> Iterator[Result]:
    """Results in the order in which they are done.

    Args:
        function: Can be pickled where there is more than one worker.
        items: What to work on.
        workers: Processes; 1 works here and now.
        title: Stands before the bar.
    """

    def shown(results: Iterable[Result]) -> Iterable[Result]:
        console = Console(stderr=True)
        return track(results, description=title, total=len(items), console=console)

    if workers == 1 or len(items) < 2:
        yield from shown(map(function, items))
        return
    # Forked processes would inherit open files and the threads of libraries.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=context) as pool:
        waiting = [pool.submit(function, item) for item in items]
        yield from shown(done.result() for done in as_completed(waiting))
