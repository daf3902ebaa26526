"""``ee.Reducer`` over the columns of a collection."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.simulator.collection import Collection
from pipeline.simulator.graph import implements
from pipeline.simulator.refusal import EarthEngineError, not_implemented
from pipeline.simulator.values import field_of

Row = Sequence[Any]


@dataclass(frozen=True)
class Reducer:
    """Reduces rows of values to one value.

    Attributes:
        output: Name of its output.
        inputs: How many columns it takes.
        reduce: From rows without nulls to the value; None without rows where it has none.
    """

    output: str
    inputs: int
    reduce: Callable[[list[Row]], Any]


@implements("Reducer.toList")
def _to_list(tupleSize: int | None, numOptional: int) -> Reducer:
    if numOptional:
        raise not_implemented("Reducer.toList with optional inputs")
    if tupleSize is None:
        return Reducer("list", 1, lambda rows: [row[0] for row in rows])
    return Reducer("list", tupleSize, lambda rows: [list(row) for row in rows])


@implements("Reducer.count")
def _count() -> Reducer:
    return Reducer("count", 1, len)


@implements("Reducer.sum")
def _sum() -> Reducer:
    return Reducer("sum", 1, lambda rows: sum(row[0] for row in rows))


@implements("Reducer.mean")
def _mean() -> Reducer:
    return Reducer(
        "mean", 1, lambda rows: sum(row[0] for row in rows) / len(rows) if rows else None
    )


@implements("Collection.reduceColumns")
def _reduce_columns(
    collection: Collection, reducer: Any, selectors: list[str], weightSelectors: Any
) -> dict[str, Any]:
    """Reduces the selected columns; a row with a null in any of them is left out.

    Source: https://developers.google.com/earth-engine/apidocs/ee-featurecollection-reducecolumns
    """
    if weightSelectors is not None:
        raise not_implemented("Collection.reduceColumns with weights")
    if not isinstance(reducer, Reducer):
        raise EarthEngineError("Collection.reduceColumns, argument 'reducer': Invalid type.")
    if reducer.inputs != len(selectors):
        raise EarthEngineError(
            f"Collection.reduceColumns: The reducer takes {reducer.inputs} inputs, "
            f"but {len(selectors)} selectors are given."
        )
    rows: list[Row] = [
        [field_of(element, name) for name in selectors] for element in collection.elements
    ]
    complete = [row for row in rows if all(value is not None for value in row)]
    return {reducer.output: reducer.reduce(complete)}
