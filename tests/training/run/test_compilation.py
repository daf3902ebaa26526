"""Compiling is relied on where it works and changes nothing, and nowhere else."""

import shutil

import pytest
import torch
from torch._inductor import config as inductor

from pipeline.errors import PipelineError
from pipeline.settings.pretrain import PretrainRun
from pipeline.settings.tree import validate_settings
from training.run.compilation import CompiledOnTrial, chosen_compilation

CPU = torch.device("cpu")
NO_COMPILER_KNOWS = torch.device("meta")
"""Tensors without values: a device on which every trial fails."""

RUN = PretrainRun(crop=32)


@pytest.fixture
def broken_compiler():
    """A C++ compiler that always fails, and no results of an earlier one."""
    with inductor.patch({"cpp.cxx": (None, shutil.which("false")), "force_disable_caches": True}):
        torch._dynamo.reset()
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    "written, meant", [("auto", "auto"), (True, True), ("true", True), ("false", False)]
)
def test_the_choice_may_come_from_a_file_or_from_the_command_line(written, meant):
    assert validate_settings({"pretrain": {"compile": written}}).pretrain.compile is meant


def test_on_a_cpu_nothing_is_compiled_unless_insisted_on():
    for choice in ("auto", False):
        assert not chosen_compilation(choice, RUN, "32-true", CPU).parts


def test_where_the_trial_fails_the_run_goes_on_and_says_why():
    parts, remark = chosen_compilation("auto", RUN, "32-true", NO_COMPILER_KNOWS)
    assert not parts
    assert remark.startswith("compiled: nothing (networks and loss: ")
    with pytest.raises(
        PipelineError, match="no use on meta .*; mend that, or set pretrain.compile"
    ):
        chosen_compilation(True, RUN, "32-true", NO_COMPILER_KNOWS)


def test_a_compiler_that_fails_is_named(broken_compiler):
    message = r"no use on cpu \(networks and loss: .*No working C\+\+ compiler found"
    run = PretrainRun(model="single_s2", crop=32)
    with pytest.raises(PipelineError, match=message) as caught:
        chosen_compilation(True, run, "32-true", CPU)
    assert "\n" not in str(caught.value)


def test_a_function_that_cannot_be_compiled_is_called_as_it_is(broken_compiler):
    said = []
    double = CompiledOnTrial(lambda x: x * 2, deterministic=True, insisted=False, say=said.append)
    assert [int(double(torch.tensor(k))) for k in (1, 2)] == [2, 4]
    assert len(said) == 1 and "so it is not compiled" in said[0]


def test_insisted_on_it_stops(broken_compiler):
    double = CompiledOnTrial(lambda x: x * 2, deterministic=True, insisted=True, say=print)
    with pytest.raises(PipelineError, match="set pretrain.compile to auto or false"):
        double(torch.ones(3))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_where_the_trial_succeeds_networks_and_loss_are_compiled():
    parts, remark = chosen_compilation(True, RUN, "32-true", CPU)
    assert parts == {"networks", "loss"} and remark == "compiled: loss, networks"
