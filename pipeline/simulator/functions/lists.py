"""``ee.List``, ``ee.Dictionary``, ``ee.String``, ``ee.Number`` and ``ee.Algorithms.If``."""

import operator
from collections.abc import Callable
from typing import Any

from pipeline.simulator.graph import implements
from pipeline.simulator.refusal import EarthEngineError
from pipeline.simulator.values import Closure

Items = list[Any]


@implements("List.get")
def _list_get(list: Items, index: int) -> Any:
    if not -len(list) <= index < len(list):
        raise EarthEngineError(
            f"List.get: List index must be between 0 and {len(list) - 1}, "
            f"or -1 and -{len(list)}, inclusive. Found {index}."
        )
    return list[index]


@implements("List.size", "List.length")
def _list_size(list: Items) -> int:
    return len(list)


@implements("List.cat")
def _list_cat(list: Items, other: Items) -> Items:
    return list + other


@implements("List.slice")
def _list_slice(list: Items, start: int, end: int | None, step: int | None) -> Items:
    return list[start:end:step]


@implements("List.map")
def _list_map(list: Items, baseAlgorithm: Closure, dropNulls: bool) -> Items:
    results = map(baseAlgorithm, list)
    return [result for result in results if not (dropNulls and result is None)]


@implements("List.zip")
def _list_zip(list: Items, other: Items) -> list[Items]:
    return [[first, second] for first, second in zip(list, other, strict=False)]


@implements("List.contains")
def _list_contains(list: Items, element: Any) -> bool:
    return element in list


@implements("Dictionary")
def _dictionary(input: Any) -> dict[str, Any]:
    return dict(input or {})


@implements("Dictionary.get")
def _dictionary_get(dictionary: dict[str, Any], key: str, defaultValue: Any) -> Any:
    if key not in dictionary and defaultValue is None:
        raise EarthEngineError(f"Dictionary.get: Dictionary does not contain key: '{key}'.")
    return dictionary.get(key, defaultValue)


@implements("Dictionary.set")
def _dictionary_set(dictionary: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return {**dictionary, key: value}


@implements("Dictionary.combine")
def _dictionary_combine(
    first: dict[str, Any], second: dict[str, Any], overwrite: bool
) -> dict[str, Any]:
    return {**first, **second} if overwrite else {**second, **first}


@implements("Dictionary.fromLists")
def _dictionary_from_lists(keys: list[str], values: Items) -> dict[str, Any]:
    if len(keys) != len(values):
        raise EarthEngineError(
            f"Dictionary.fromLists: {len(keys)} keys do not go with {len(values)} values."
        )
    return dict(zip(keys, values, strict=True))


@implements("String")
def _string(input: Any) -> str:
    return str(input)


@implements("String.cat")
def _string_cat(string1: str, string2: str) -> str:
    return string1 + string2


@implements("String.slice")
def _string_slice(string: str, start: int, end: int | None) -> str:
    return string[start:end]


@implements("If")
def _if(condition: Any, trueCase: Any, falseCase: Any) -> Any:
    return trueCase if condition else falseCase


def _implement_number(name: str, compute: Callable[[Any, Any], Any]) -> None:
    @implements(f"Number.{name}")
    def binary(left: float, right: float) -> Any:
        result = compute(left, right)
        return int(result) if isinstance(result, bool) else result


for _name, _compute in {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "lt": operator.lt,
    "gte": operator.ge,
    "eq": operator.eq,
}.items():
    _implement_number(_name, _compute)
