"""Many places in one metadata request; in several where it is too much or one place spoils it."""

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
    AccessDenied,
    EarthEngineFault,
    Fatal,
    Garbled,
    Missing,
    Quota,
    TimedOut,
    TooBig,
    Transient,
    may_be_of_one_place,
)

Place = TypeVar("Place")
Found = TypeVar("Found")

Question = Callable[[Sequence[Place]], tuple[Any, Callable[[Any], list[Found]]]]
"""Of some places: the `ee` object to compute, and what reads its answer, place by place."""

Answers = list[tuple[Place, Found | EarthEngineFault]]


def ask_about(
    client: Client, places: Iterable[Place], batch: int, question: Question[Place, Found]
) -> Iterator[tuple[Place, Found | EarthEngineFault]]:
    """Ask the archive about many places, batch by batch on all slots.

    A batch that is too much for one request is halved until it fits. One that fails because of a
    place in it is halved until the others have their answers.

    Args:
        client: A session on the standard endpoint.
        places: What to ask about.
        batch: Places in one request.
        question: Makes the request; its reader raises `Garbled` on garbage.

    Yields:
        In the order the answers come: a place and what was found; or the fault that kept us from
        finding out (any but `Missing` and `AccessDenied`).

    Raises:
        Fatal: Access is denied, or a collection is gone; nothing more would be answered.
    """
    ask = partial(_ask, client, question=question)
    for _, answers in client.map(ask, _batches(places, batch)):
        yield from answers.result()


def _ask(
    client: Client, places: Sequence[Place], question: Question[Place, Found]
) -> Answers[Place, Found]:
    outcome = _ask_once(client, places, question)
    if isinstance(outcome, EarthEngineFault):
        return _ask_in_halves(client, places, question, outcome)
    return list(zip(places, outcome, strict=True))


def _ask_in_halves(
    client: Client,
    places: Sequence[Place],
    question: Question[Place, Found],
    fault: EarthEngineFault,
) -> Answers[Place, Found]:
    """What is known of places that were asked for together in vain."""
    too_much = isinstance(fault, TooBig | TimedOut)
    if len(places) == 1 or not (too_much or may_be_of_one_place(fault)):
        return [(place, fault) for place in places]
    middle = len(places) // 2
    halves = places[:middle], places[middle:]
    outcomes = [_ask_once(client, half, question) for half in halves]
    if not too_much and all(isinstance(outcome, EarthEngineFault) for outcome in outcomes):
        return [(place, fault) for place in places]  # it is the question, or the service
    answers: Answers[Place, Found] = []
    for half, outcome in zip(halves, outcomes, strict=True):
        if isinstance(outcome, EarthEngineFault):
            known = _ask_in_halves(client, half, question, outcome)
            answers.extend(known)
        else:
            answers.extend(zip(half, outcome, strict=True))
    return answers


def _ask_once(
    client: Client, places: Sequence[Place], question: Question[Place, Found]
) -> list[Found] | EarthEngineFault:
    query, read = question(places)
    divisible = len(places) > 1
    repeat = (Quota, Transient) if divisible else (*PASSING, TooBig)
    try:
        return client.call(partial(_compute, query), read, SELECTION, repeat)
    except AccessDenied:
        raise
    except Missing as fault:
        raise Fatal(f"a collection is not in the archive: {fault}", fault.status) from fault
    except EarthEngineFault as fault:
        return fault


def _compute(query: Any) -> Any:
    """Send the query; the client fails in its own ways on what is not the JSON it expects."""
    try:
        return ee.data.computeValue(query)
    except SERVICE_ERRORS:  # some of them are ValueErrors too
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise Garbled(f"garbled selection answer: {error!r:.200}") from error


def _batches(places: Iterable[Place], size: int) -> Iterator[list[Place]]:
    source = iter(places)
    while batch := list(islice(source, size)):
        yield batch
