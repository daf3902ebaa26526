"""Many places in one metadata request, and in several where that is too much at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import ee

from pipeline.earthengine.budget import SELECTION
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import (
    PASSING,
    SERVICE_ERRORS,
    EarthEngineFault,
    Fatal,
    Missing,
    Quota,
    TimedOut,
    TooBig,
    Transient,
)

Place = TypeVar("Place")
Found = TypeVar("Found")

Question = Callable[[Sequence[Place]], tuple[Any, Callable[[Any], list[Found]]]]
"""Of some places: the `ee` object to compute, and what reads its answer, place by place."""


def ask_about(
    client: Client, places: Iterable[Place], batch: int, question: Question[Place, Found]
) -> Iterator[tuple[Place, Found | EarthEngineFault]]:
    """Ask the archive about many places, batch by batch on all slots.

    A batch that is too much for one request is halved until it fits.

    Args:
        client: A session on the standard endpoint.
        places: What to ask about.
        batch: Places in one request.
        question: Makes the request; its reader raises `Transient` on garbage.

    Yields:
        In the order the answers come: a place and what was found; or the fault that kept us from
        finding out (any but `Missing`).

    Raises:
        Fatal: The service refuses; nothing more would be answered.
    """
    ask = partial(_ask, client, question=question)
    for _, answers in client.map(ask, _batches(places, batch)):
        yield from answers.result()


def _ask(
    client: Client, places: Sequence[Place], question: Question[Place, Found]
) -> list[tuple[Place, Found | EarthEngineFault]]:
    """Ask for one batch; where it is too much at once, for its halves."""
    try:
        found = _ask_once(client, places, question)
        return list(zip(places, found, strict=True))
    except Fatal:
        raise
    except Missing as fault:
        raise Fatal(f"a collection is not in the archive: {fault}", fault.status) from fault
    except EarthEngineFault as fault:
        if len(places) > 1 and isinstance(fault, TooBig | TimedOut):
            middle = len(places) // 2
            halves = places[:middle], places[middle:]
            return [answer for half in halves for answer in _ask(client, half, question)]
        return [(place, fault) for place in places]


def _ask_once(
    client: Client, places: Sequence[Place], question: Question[Place, Found]
) -> list[Found]:
    query, read = question(places)
    divisible = len(places) > 1
    repeat = (Quota, Transient) if divisible else (*PASSING, TooBig)
    return client.call(partial(_compute, query), read, SELECTION, repeat)


def _compute(query: Any) -> Any:
    """Send the query; the client fails in its own ways on what is not the JSON it expects."""
    try:
        return ee.data.computeValue(query)
    except SERVICE_ERRORS:  # some of them are ValueErrors too
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise Transient(f"garbled selection answer: {error!r:.200}") from error


def _batches(places: Iterable[Place], size: int) -> Iterator[list[Place]]:
    source = iter(places)
    while batch := list(islice(source, size)):
        yield batch
