"""``ee.Join``: elements of two collections matched by a filter."""

from dataclasses import dataclass
from typing import Any

from pipeline.simulator.collection import Collection, Filter
from pipeline.simulator.functions.elements import with_properties
from pipeline.simulator.graph import implements
from pipeline.simulator.refusal import EarthEngineError, not_implemented
from pipeline.simulator.values import Element, Feature, field_of


@dataclass(frozen=True)
class Join:
    """How matches are kept.

    Attributes:
        kind: ``simple`` and ``inverted`` keep primary elements with or without a match;
            ``saveFirst`` and ``saveAll`` write matches into a property; ``inner`` gives pairs.
        keys: Name of the property written, or of the two elements of a pair.
        ordering: Property by which the matches of one element are sorted.
        ascending: Direction of the order.
        outer: Keep elements without a match too.
    """

    kind: str
    keys: tuple[str, ...] = ()
    ordering: str | None = None
    ascending: bool = True
    outer: bool = False

    def joined(self, element: Element, matches: list[Element]) -> list[Element]:
        """What one primary element and its matches contribute to the result."""
        match self.kind:
            case "simple":
                return [element] if matches else []
            case "inverted":
                return [] if matches else [element]
            case "inner":
                return [
                    Feature(None, {self.keys[0]: element, self.keys[1]: match}) for match in matches
                ]
        if not matches and not self.outer:
            return []
        first = matches[0] if matches else None
        found = matches if self.kind == "saveAll" else first
        return [with_properties(element, {self.keys[0]: found})]

    def sorted(self, matches: list[Element]) -> list[Element]:
        """Matches in the declared order."""
        ordering = self.ordering
        if ordering is None:
            return matches
        return sorted(
            matches, key=lambda match: field_of(match, ordering), reverse=not self.ascending
        )


def _refuse_measure(measure_key: str | None) -> None:
    if measure_key is not None:
        raise not_implemented("the argument 'measureKey' of joins")


@implements("Join.simple")
def _simple() -> Join:
    return Join("simple")


@implements("Join.inverted")
def _inverted() -> Join:
    return Join("inverted")


@implements("Join.inner")
def _inner(primaryKey: str, secondaryKey: str, measureKey: str | None) -> Join:
    _refuse_measure(measureKey)
    return Join("inner", (primaryKey, secondaryKey))


@implements("Join.saveFirst")
def _save_first(
    matchKey: str, ordering: str | None, ascending: bool, measureKey: str | None, outer: bool
) -> Join:
    _refuse_measure(measureKey)
    return Join("saveFirst", (matchKey,), ordering, ascending, outer)


@implements("Join.saveAll")
def _save_all(
    matchesKey: str, ordering: str | None, ascending: bool, measureKey: str | None, outer: bool
) -> Join:
    _refuse_measure(measureKey)
    return Join("saveAll", (matchesKey,), ordering, ascending, outer)


@implements("Join.apply")
def _apply(join: Any, primary: Collection, secondary: Collection, condition: Filter) -> Collection:
    if not isinstance(join, Join):
        raise EarthEngineError("Join.apply, argument 'join': Invalid type.\nExpected type: Join.")
    results: list[Element] = []
    for element in primary.elements:
        matches = [other for other in secondary.elements if condition.accepts(element, other)]
        results += join.joined(element, join.sorted(matches))
    return Collection.of(results)
