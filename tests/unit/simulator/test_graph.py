"""Expressions: references, functions, memory, and the signatures that decide about arguments."""

import subprocess
import sys
from pathlib import Path

import pytest

import pipeline.simulator.functions  # noqa: F401  (registers the functions)
from pipeline.simulator.coercion import coerce
from pipeline.simulator.graph import (
    Expression,
    check_implementations,
    implemented_functions,
    signatures,
)
from pipeline.simulator.refusal import EarthEngineError


class NoArchive:
    collections = ()

    def search(self, collection, bounds, start_ms, end_ms):
        raise AssertionError("nothing is searched here")

    def get(self, asset_id):
        return None


def constant(value):
    return {"constantValue": value}


def call(name, **arguments):
    return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}


def reference(key):
    return {"valueReference": key}


def argument(name):
    return {"argumentReference": name}


def function(names, body):
    return {"functionDefinitionValue": {"argumentNames": names, "body": body}}


def evaluate(values, result="0"):
    return Expression({"result": result, "values": values}, NoArchive(), coerce).evaluate()


def refusal(values, result="0"):
    with pytest.raises(EarthEngineError) as refused:
        evaluate(values, result)
    return str(refused.value)


def test_every_implementation_fits_its_official_signature():
    check_implementations()
    assert implemented_functions() <= signatures().keys()
    assert len(implemented_functions()) > 100


def test_values_refer_to_each_other():
    values = {
        "0": {"arrayValue": {"values": [reference("1"), {"integerValue": "7"}]}},
        "1": {"dictionaryValue": {"values": {"a": constant(True)}}},
    }
    assert evaluate(values) == [{"a": True}, 7]


def test_a_mapped_function_sees_its_own_and_the_outer_arguments():
    values = {
        "0": call("List.map", list=constant([1, 2]), baseAlgorithm=function(["a"], "1")),
        "1": call("List.map", list=constant([10, 20]), baseAlgorithm=function(["b"], "2")),
        "2": call("Number.add", left=argument("a"), right=argument("b")),
    }
    assert evaluate(values) == [[11, 21], [12, 22]]


def test_a_shared_value_inside_a_function_is_computed_for_every_call():
    values = {
        "0": call("List.map", list=constant([1, 2, 3]), baseAlgorithm=function(["a"], "1")),
        "1": {"arrayValue": {"values": [reference("2"), reference("2")]}},
        "2": call("Number.multiply", left=argument("a"), right=constant(2)),
    }
    assert evaluate(values) == [[2, 2], [4, 4], [6, 6]]


def test_a_called_function():
    invocation = {"functionReference": "1", "arguments": {"a": constant(4)}}
    values = {
        "0": {"functionInvocationValue": invocation},
        "1": function(["a"], "2"),
        "2": call("Number.subtract", left=argument("a"), right=constant(1)),
    }
    assert evaluate(values) == 3


def test_defaults_come_from_the_signature():
    values = {"0": call("Dictionary.combine", first=constant({"a": 1}), second=constant({"a": 2}))}
    assert evaluate(values) == {"a": 2}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"0": call("No.such")}, "Unknown function 'No.such'."),
        ({"0": call("Image.entropy")}, "the function 'Image.entropy' is not implemented"),
        ({"0": call("List.size")}, "Parameter 'list' is required and may not be null"),
        ({"0": call("List.size", list=constant(3))}, "Expected type: List<Object>"),
        ({"0": call("List.size", list=constant([]), x=constant(1))}, "Unrecognized argument 'x'"),
        ({"0": reference("1")}, "value '1' is not defined"),
        ({"0": argument("a")}, "unbound argument 'a'"),
        ({"0": {"bytesValue": ""}}, "Invalid expression node 'bytesValue'"),
        ({"0": {"arrayValue": {"values": [reference("0")]}}}, "nested too deeply"),
        ({"0": call("List.get", list=constant([1]), index=constant(5))}, "Found 5"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(values, message):
    assert message in refusal(values)


def test_an_expression_without_values_is_refused():
    with pytest.raises(EarthEngineError, match="'result' and 'values' are needed"):
        Expression({"result": "0"}, NoArchive(), coerce)


def test_a_client_without_signatures_is_told_in_one_line(tmp_path):
    (tmp_path / "ee" / "tests").mkdir(parents=True)
    (tmp_path / "ee" / "__init__.py").touch()
    (tmp_path / "ee" / "tests" / "__init__.py").touch()
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline.simulator"],
        env={"PYTHONPATH": f"{tmp_path}:{root}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "no ee/tests/algorithms.json" in ended.stderr
