"""Expressions of the Earth Engine REST API, evaluated against the client's own signatures.

The wheel of the client ships the signatures of all functions of the service. They decide here what
is an argument, what is its default and its type, so that a graph is understood as it is there. A
function is implemented by a Python function registered under its name (`implements`), with
parameters named as in the signature; one more, ``archive``, receives the archive if it asks for it.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from pipeline.errors import PipelineError
from pipeline.simulator.refusal import EarthEngineError, not_implemented
from pipeline.simulator.scene import Archive
from pipeline.simulator.values import Closure

MAX_CALLS = 500_000
"""Function calls of one request, our stand-in for the five minutes of the service."""

_ARCHIVE = "archive"
_implementations: dict[str, Callable[..., Any]] = {}

Function = Callable[..., Any]
Coercion = Callable[[Any, str, str], Any]
"""From a value, the declared type and a text that says where, to the value of that type."""


def implements(*names: str) -> Callable[[Function], Function]:
    """Register a Python function as the implementation of Earth Engine functions."""

    def register(function: Function) -> Function:
        for name in names:
            if name in _implementations:
                raise TypeError(f"'{name}' is implemented twice")
            _implementations[name] = function
        return function

    return register


@lru_cache(maxsize=1)
def algorithms_json() -> bytes:
    """The answer to ``algorithms.list``, as shipped with the client.

    Raises:
        PipelineError: The installed client does not ship it.
    """
    source = resources.files("ee.tests").joinpath("algorithms.json")
    try:
        return source.read_bytes()
    except (FileNotFoundError, ModuleNotFoundError):
        raise PipelineError(
            "the installed earthengine-api has no ee/tests/algorithms.json, from which the "
            "simulated Earth Engine takes its signatures; install earthengine-api 1.7.50"
        ) from None


@lru_cache(maxsize=1)
def signatures() -> dict[str, dict[str, Any]]:
    """Signatures of all functions of the service, by name."""
    algorithms = json.loads(algorithms_json())["algorithms"]
    return {entry["name"].removeprefix("algorithms/"): entry for entry in algorithms}


def implemented_functions() -> frozenset[str]:
    """Names of the functions that can be evaluated."""
    return frozenset(_implementations)


def check_implementations() -> None:
    """Compare the parameters of every implementation with the official signature.

    Raises:
        TypeError: They differ, which is a defect of ours.
    """
    for name, function in _implementations.items():
        if name not in signatures():
            raise TypeError(f"'{name}' is no Earth Engine function of the installed client")
        declared = [argument["argumentName"] for argument in _arguments(name)]
        written = [p for p in inspect.signature(function).parameters if p != _ARCHIVE]
        if sorted(declared) != sorted(written):
            raise TypeError(f"'{name}' takes {declared}, its implementation {written}")


def _arguments(name: str) -> list[dict[str, Any]]:
    return signatures()[name].get("arguments", [])


@dataclass(frozen=True)
class _Scope:
    """Arguments of the function call that is being evaluated, and what is known inside it."""

    arguments: dict[str, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)


class Expression:
    """One expression of a request, evaluated once.

    Args:
        expression: ``{"result": key, "values": {key: node}}``.
        archive: Where images and collections are loaded from.
        coerce: Brings an argument to its declared type.
    """

    def __init__(self, expression: Mapping[str, Any], archive: Archive, coerce: Coercion) -> None:
        if not {"result", "values"} <= expression.keys():
            raise EarthEngineError("Invalid expression: 'result' and 'values' are needed.")
        self._result = expression["result"]
        self._values = expression["values"]
        self._archive = archive
        self._coerce = coerce
        self._outermost = _Scope()
        self._open: dict[str, bool] = {}
        self._calls = 0

    def evaluate(self) -> Any:
        """The value of the expression.

        Raises:
            EarthEngineError: It cannot be evaluated.
        """
        try:
            return self._referenced(self._result, self._outermost)
        except RecursionError:
            raise EarthEngineError("Expression is nested too deeply.") from None

    def _referenced(self, key: str, scope: _Scope) -> Any:
        """The value of an entry; computed once, or once per call if it depends on an argument."""
        if key not in self._values:
            raise EarthEngineError(f"Invalid expression: value '{key}' is not defined.")
        known = scope.known if self._is_open(key) else self._outermost.known
        if key not in known:
            known[key] = self._node(self._values[key], scope)
        return known[key]

    def _is_open(self, key: str) -> bool:
        if key not in self._open:
            self._open[key] = False  # ends the search in an expression that refers to itself
            self._open[key] = self._has_free_argument(self._values.get(key))
        return self._open[key]

    def _has_free_argument(self, node: Any) -> bool:
        if isinstance(node, list):
            return any(map(self._has_free_argument, node))
        if not isinstance(node, dict):
            return False
        if "argumentReference" in node:
            return True
        if "valueReference" in node:
            return self._is_open(node["valueReference"])
        if "functionDefinitionValue" in node:
            return self._is_open(node["functionDefinitionValue"]["body"])
        return any(map(self._has_free_argument, node.values()))

    def _node(self, node: Mapping[str, Any], scope: _Scope) -> Any:
        if not isinstance(node, dict) or len(node) != 1:
            raise EarthEngineError(f"Invalid expression node {str(node)[:200]}.")
        ((kind, content),) = node.items()
        match kind:
            case "constantValue":
                return content
            case "integerValue":
                return int(content)
            case "valueReference":
                return self._referenced(content, scope)
            case "argumentReference":
                return self._argument(content, scope)
            case "arrayValue":
                return [self._node(item, scope) for item in content.get("values", [])]
            case "dictionaryValue":
                return self._nodes(content.get("values", {}), scope)
            case "functionDefinitionValue":
                return self._closure(content, scope)
            case "functionInvocationValue":
                return self._invocation(content, scope)
        raise EarthEngineError(f"Invalid expression node '{kind}'.")

    def _nodes(self, nodes: Mapping[str, Any], scope: _Scope) -> dict[str, Any]:
        return {key: self._node(node, scope) for key, node in nodes.items()}

    def _argument(self, name: str, scope: _Scope) -> Any:
        if name not in scope.arguments:
            raise EarthEngineError(f"Invalid expression: unbound argument '{name}'.")
        return scope.arguments[name]

    def _closure(self, definition: Mapping[str, Any], scope: _Scope) -> Closure:
        names = tuple(definition["argumentNames"])

        def call(*arguments: Any) -> Any:
            given = dict(zip(names, arguments, strict=True))
            return self._referenced(definition["body"], _Scope({**scope.arguments, **given}))

        return Closure(names, call)

    def _invocation(self, invocation: Mapping[str, Any], scope: _Scope) -> Any:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise EarthEngineError("Computation timed out.")
        arguments = self._nodes(invocation.get("arguments", {}), scope)
        if "functionName" in invocation:
            return self._call(invocation["functionName"], arguments)
        function = self._referenced(invocation["functionReference"], scope)
        return function(*(arguments[name] for name in function.argument_names))

    def _call(self, name: str, given: dict[str, Any]) -> Any:
        if name not in signatures():
            raise EarthEngineError(f"Unknown function '{name}'.")
        if name not in _implementations:
            raise not_implemented(f"the function '{name}'")
        function = _implementations[name]
        arguments = self._bind(name, given)
        if _ARCHIVE in _parameters(function):
            arguments[_ARCHIVE] = self._archive
        return function(**arguments)

    def _bind(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a call by the function's signature, defaults filled in, types checked."""
        declared = {argument["argumentName"]: argument for argument in _arguments(name)}
        for unknown in given.keys() - declared.keys():
            raise EarthEngineError(f"{name}: Unrecognized argument '{unknown}'.")
        return {
            key: self._bound_argument(name, facts, given.get(key))
            for key, facts in declared.items()
        }

    def _bound_argument(self, name: str, facts: Mapping[str, Any], value: Any) -> Any:
        key = facts["argumentName"]
        if value is None:
            if not facts.get("optional"):
                raise EarthEngineError(
                    f"{name}: Parameter '{key}' is required and may not be null."
                )
            value = facts.get("defaultValue")
        if value is None:
            return None
        return self._coerce(value, facts["type"], f"{name}, argument '{key}'")


@cache
def _parameters(function: Function) -> Iterable[str]:
    return frozenset(inspect.signature(function).parameters)
