"""``ee.Filter``: conditions on elements of a collection, and on pairs of them in joins."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.simulator.collection import (
    Collection,
    Filter,
    SearchBounds,
    bounds_of_dates,
    bounds_of_place,
)
from pipeline.simulator.graph import implements
from pipeline.simulator.refusal import EarthEngineError
from pipeline.simulator.values import Date, DateRange, field_of, outline_of

Comparison = Callable[[Any, Any], bool]


@dataclass(frozen=True, eq=False)
class BinaryFilter:
    """A comparison of two operands, each a field of an element or a given value.

    In a filter of one collection both fields are the element's; in a join the right field is that
    of the secondary element.

    Attributes:
        name: Name of the filter.
        compare: The comparison.
        left_field: Field of the left operand, or None for ``left_value``.
        left_value: The left operand.
        right_field: Field of the right operand, or None for ``right_value``.
        right_value: The right operand.
    """

    name: str
    compare: Comparison
    left_field: str | None
    left_value: Any
    right_field: str | None
    right_value: Any

    def accepts(self, left: Any, right: Any | None = None) -> bool:
        """Whether the comparison holds; never, where an operand is null."""
        other = left if right is None else right
        first = self.left_value if self.left_field is None else field_of(left, self.left_field)
        second = self.right_value if self.right_field is None else field_of(other, self.right_field)
        if first is None or second is None:
            return False
        try:
            return self.compare(first, second)
        except TypeError:
            raise EarthEngineError(
                f"Filter.{self.name}: Cannot compare {first!r} and {second!r}."
            ) from None

    def search_bounds(self) -> SearchBounds:
        """Where accepted scenes are, as far as place, time or index are compared."""
        if self.name in _SPATIAL and self.left_field in (".all", ".geo"):
            return bounds_of_place(self.right_value)
        if self.name == "dateRangeContains" and self.right_field == "system:time_start":
            return bounds_of_dates(self.left_value)
        if self.name == "equals" and self.left_field == "system:index":
            return SearchBounds(indices=frozenset([self.right_value]))
        if self.name == "listContains" and self.right_field == "system:index":
            return SearchBounds(indices=frozenset(self.left_value))
        return SearchBounds()


@dataclass(frozen=True, eq=False)
class AllOf:
    """Passes what passes every filter."""

    filters: tuple[Filter, ...]

    def accepts(self, left: Any, right: Any | None = None) -> bool:
        """Whether all filters accept."""
        return all(condition.accepts(left, right) for condition in self.filters)

    def search_bounds(self) -> SearchBounds:
        """What lies within the bounds of all filters."""
        bounds = (condition.search_bounds() for condition in self.filters)
        return reduce(SearchBounds.within, bounds, SearchBounds())


@dataclass(frozen=True, eq=False)
class AnyOf:
    """Passes what passes one filter at least."""

    filters: tuple[Filter, ...]

    def accepts(self, left: Any, right: Any | None = None) -> bool:
        """Whether one of the filters accepts."""
        return any(condition.accepts(left, right) for condition in self.filters)

    def search_bounds(self) -> SearchBounds:
        """What covers the bounds of all filters."""
        bounds = [condition.search_bounds() for condition in self.filters]
        return reduce(SearchBounds.joined, bounds) if bounds else SearchBounds()


@dataclass(frozen=True, eq=False)
class Not:
    """Passes what a filter does not pass."""

    filter: Filter

    def accepts(self, left: Any, right: Any | None = None) -> bool:
        """Whether the filter rejects."""
        return not self.filter.accepts(left, right)

    def search_bounds(self) -> SearchBounds:
        """Everywhere."""
        return SearchBounds()


@dataclass(frozen=True, eq=False)
class NotNull:
    """Passes elements that have all of the properties."""

    properties: tuple[str, ...]

    def accepts(self, left: Any, right: Any | None = None) -> bool:
        """Whether no property is null."""
        return all(field_of(left, name) is not None for name in self.properties)

    def search_bounds(self) -> SearchBounds:
        """Everywhere."""
        return SearchBounds()


def _in_range(dates: DateRange, moment: Any) -> bool:
    return dates.start <= Date.parse(moment) < dates.end


def _touches(left: Any, right: Any) -> bool:
    return bool(_outline(left).intersects(_outline(right)))


def _holds(left: Any, right: Any) -> bool:
    return bool(_outline(left).contains(_outline(right)))


def _lies_in(left: Any, right: Any) -> bool:
    return _holds(right, left)


def _outline(operand: Any) -> BaseGeometry:
    if isinstance(operand, Collection):
        return shapely.union_all([outline_of(element) for element in operand.elements])
    return outline_of(operand)


def _lists(left: Any, right: Any) -> bool:
    """Whether a list has an element; a text is no list, although it may hold another one."""
    if not isinstance(left, list | tuple):
        raise TypeError
    return right in left


_SPATIAL: dict[str, Comparison] = {
    "intersects": _touches,
    "contains": _holds,
    "isContained": _lies_in,
}

_COMPARISONS: dict[str, Comparison] = {
    "equals": lambda left, right: left == right,
    "notEquals": lambda left, right: left != right,
    "lessThan": lambda left, right: left < right,
    "lessThanOrEquals": lambda left, right: left <= right,
    "greaterThan": lambda left, right: left > right,
    "greaterThanOrEquals": lambda left, right: left >= right,
    "listContains": _lists,
    "stringContains": lambda left, right: right in left,
    "stringStartsWith": lambda left, right: left.startswith(right),
    "dateRangeContains": _in_range,
}


def _binary(
    name: str,
    compare: Comparison,
    left: tuple[str | None, Any],
    right: tuple[str | None, Any],
) -> BinaryFilter:
    """A filter of two operands, each (field, value), one of them null.

    Source: the signatures ("Should not be specified if leftValue is specified").
    """
    for side, operand in (("left", left), ("right", right)):
        if sum(part is not None for part in operand) != 1:
            raise EarthEngineError(
                f"Filter.{name}: One of '{side}Field' and '{side}Value' must be specified."
            )
    return BinaryFilter(name, compare, *left, *right)


def _implement_comparison(name: str, compare: Comparison) -> None:
    @implements(f"Filter.{name}")
    def build(leftField: Any, rightValue: Any, rightField: Any, leftValue: Any) -> BinaryFilter:
        return _binary(name, compare, (leftField, leftValue), (rightField, rightValue))


def _implement_spatial(name: str, compare: Comparison) -> None:
    @implements(f"Filter.{name}")
    def build(
        leftField: Any, rightValue: Any, rightField: Any, leftValue: Any, maxError: Any
    ) -> BinaryFilter:
        return _binary(name, compare, (leftField, leftValue), (rightField, rightValue))


for _name, _compare in _COMPARISONS.items():
    _implement_comparison(_name, _compare)
for _name, _compare in _SPATIAL.items():
    _implement_spatial(_name, _compare)


@implements("Filter.maxDifference")
def _max_difference(
    difference: float, leftField: Any, rightValue: Any, rightField: Any, leftValue: Any
) -> BinaryFilter:
    def is_near(left: Any, right: Any) -> bool:
        return bool(abs(left - right) <= difference)

    operands = (leftField, leftValue), (rightField, rightValue)
    return _binary("maxDifference", is_near, *operands)


@implements("Filter.and")
def _and(filters: list[Filter]) -> AllOf:
    return AllOf(tuple(filters))


@implements("Filter.or")
def _or(filters: list[Filter]) -> AnyOf:
    return AnyOf(tuple(filters))


@implements("Filter.not")
def _not(filter: Filter) -> Not:
    return Not(filter)


@implements("Filter.notNull")
def _not_null(properties: list[str]) -> NotNull:
    return NotNull(tuple(properties))
