"""What of a run is compiled: networks and loss, where a small trial shows that it changes nothing.

`torch.compile` needs a C compiler, on GPUs Triton as well, and a device that both know. So before a
run relies on it, a network of a few layers and the loss of the run go forward and backward with and
without, on the run's device and in its precision. Validation is never compiled: each shape of a
batch would cost a compilation of its own.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.settings.pretrain import Compile, Precision, PretrainRun
from training.cromss.objective import Objective, RunLoss
from training.cromss.smoothing import NO_LABEL, smoothing_prior
from training.loading.batch import NetworkBatch
from training.loading.samples import NUM_CLASSES

AGREEMENT = 1e-5
"""Largest change that compiling may make to a tensor, relative to its largest entry."""

Part = Literal["networks", "loss"]

_ROUNDING: dict[Precision, float] = {
    "32-true": AGREEMENT,
    "bf16-mixed": 2.0**-5,
    "16-mixed": 2.0**-8,
}
"""The same where compiling is insisted on: eight steps of the networks' number format."""

_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

_BATCH, _PIXELS = 2, 32
"""Size of the trial."""

_REASON_LENGTH = 160


class Compilation(NamedTuple):
    """What of a run is compiled, and a line for the log that says so."""

    parts: frozenset[Part]
    remark: str


def chosen_compilation(
    choice: Compile,
    run: PretrainRun,
    precision: Precision,
    device: torch.device,
    deterministic: bool = False,
) -> Compilation:
    """Decide what to compile on a device.

    Args:
        choice: "auto": what a trial shows to compile and to change nothing beyond `AGREEMENT`,
            except on CPUs; True: networks and loss, on any device; False: nothing.
        run: Whose loss is tried.
        precision: Of the networks.
        device: To compile for.
        deterministic: Whether every run must give the same bits.

    Raises:
        PipelineError: Compiling is insisted on and fails, or changes more than rounding may.
    """
    if choice is False:
        return Compilation(frozenset(), "nothing is compiled, as the settings want it")
    if choice == "auto" and device.type == "cpu":
        return Compilation(frozenset(), "nothing is compiled, which would not pay on a CPU")
    limit = AGREEMENT if choice == "auto" else _ROUNDING[precision]
    problems = _problems(run, precision, device, deterministic, limit)
    explained = _explained(problems)
    if problems and choice is True:
        raise PipelineError(
            f"torch.compile is of no use on {device} ({explained}); "
            "mend that, or set pretrain.compile to auto or false"
        )
    parts = frozenset(part for part in _PARTS if part not in problems)
    said = f"compiled: {', '.join(sorted(parts)) or 'nothing'}"
    return Compilation(parts, f"{said} ({explained})" if problems else said)


def compiled(call: Callable[..., Any], deterministic: bool) -> Callable[..., Any]:
    """A function compiled for the shapes it is called with, so that it draws the same numbers."""
    # Imported late: it takes seconds, and fails where nothing can be written to.
    from torch._inductor import config as inductor

    options: dict[str, Any] = {"fallback_random": True}
    # What this version of torch does not know, it does not do.
    for wish, value in (("emulate_precision_casts", True), ("deterministic", deterministic)):
        if hasattr(inductor, wish):
            options[wish] = value
    return torch.compile(call, dynamic=False, options=options)


class CompiledOnTrial:
    """A compiled function that gives way to the plain one if its first call fails.

    The trial cannot know every layer of every encoder.

    Args:
        plain: The function.
        deterministic: As for `compiled`.
        insisted: Stop instead.
        say: Takes the line that explains it.
    """

    def __init__(
        self,
        plain: Callable[..., Any],
        deterministic: bool,
        insisted: bool,
        say: Callable[[str], None],
    ) -> None:
        self._plain = plain
        self._call = compiled(plain, deterministic)
        self._insisted = insisted
        self._say = say
        self._is_first = True

    def __call__(self, *arguments: Any) -> Any:
        """The same as the plain function.

        Raises:
            PipelineError: Compiling is insisted on and fails.
            torch.OutOfMemoryError: As the plain function would.
        """
        if not self._is_first:
            return self._call(*arguments)
        self._is_first = False
        try:
            return self._call(*arguments)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - what a compiler fails with is not documented
            problem = f"torch.compile fails on this network ({_reason(error)})"
            if self._insisted:
                raise PipelineError(f"{problem}; set pretrain.compile to auto or false") from None
            self._say(f"{problem}, so it is not compiled")
            self._call = self._plain
            return self._plain(*arguments)


def _problems(
    run: PretrainRun,
    precision: Precision,
    device: torch.device,
    deterministic: bool,
    limit: float,
) -> dict[Part, str]:
    """What speaks against compiling each part."""
    problems: dict[Part, str] = {}
    for part, attempt in _PARTS.items():
        try:
            change = attempt(run, precision, device, deterministic)
        except Exception as error:  # noqa: BLE001 - what a compiler fails with is not documented
            problems[part] = _reason(error)
        else:
            if not change <= limit:  # also where it is no number
                problems[part] = f"results would change by {change:.0e}"
    return problems


def _explained(problems: dict[Part, str]) -> str:
    """All problems in one line, each once."""
    parts = {reason: [p for p in problems if problems[p] == reason] for reason in problems.values()}
    return "; ".join(f"{' and '.join(parts)}: {reason}" for reason, parts in parts.items())


def _try_networks(
    run: PretrainRun, precision: Precision, device: torch.device, deterministic: bool
) -> float:
    """Largest change of logits, gradients and running statistics of a few common layers."""
    numbers = torch.Generator().manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(8, NUM_CLASSES, 1),
    )
    for parameter in layers.parameters():
        nn.init.normal_(parameter, generator=numbers)
    layers = layers.to(device).to(memory_format=torch.channels_last)
    image_BCHW = torch.randn(_BATCH, 3, _PIXELS, _PIXELS, generator=numbers).to(device)
    weights_BCHW = torch.randn(_BATCH, NUM_CLASSES, _PIXELS, _PIXELS, generator=numbers).to(device)

    def outcome(compile_it: bool) -> list[Tensor]:
        network = copy.deepcopy(layers)
        call = compiled(network, deterministic) if compile_it else network
        with _exact_in(precision, device):
            logits_BCHW = call(image_BCHW.contiguous(memory_format=torch.channels_last))
        (logits_BCHW.float() * weights_BCHW).mean().backward()
        gradients = [_gradient(parameter) for parameter in network.parameters()]
        return [logits_BCHW.detach().float(), *gradients, *network.buffers()]

    return _largest_change(outcome(False), outcome(True))


def _try_loss(
    run: PretrainRun, precision: Precision, device: torch.device, deterministic: bool
) -> float:
    """Largest change of the run's loss, its weight maps and its gradients."""
    numbers = torch.Generator().manual_seed(0)
    labels_BTHW = torch.randint(0, NUM_CLASSES, (_BATCH, 4, _PIXELS, _PIXELS), generator=numbers)
    labels_BTHW[:, :, :2] = NO_LABEL
    labels_BTHW = labels_BTHW.to(device, torch.uint8)
    season_B = torch.zeros(_BATCH, dtype=torch.int64, device=device)
    batch = NetworkBatch(
        sample_B=season_B,
        images={},
        labels_BHW=labels_BTHW[:, 0],
        prior_BCHW=smoothing_prior(labels_BTHW, season_B, NUM_CLASSES),
        truth_BHW=None,
    )
    shape = (_BATCH, NUM_CLASSES, _PIXELS, _PIXELS)
    logits = {name: torch.randn(shape, generator=numbers).to(device) for name in run.modalities}
    epoch = torch.full((), run.selection.ramp_epochs, device=device)
    loss = RunLoss(run, training=True)

    def outcome(call: Callable[..., Objective]) -> list[Tensor]:
        leaves = {
            name: logits_BCHW.clone().requires_grad_() for name, logits_BCHW in logits.items()
        }
        with _exact_in(precision, device):
            objective = call(leaves, batch, epoch)
        objective.total.backward()
        gradients = [_gradient(leaf) for leaf in leaves.values()]
        return [objective.total.detach(), *objective.weights.values(), *gradients]

    return _largest_change(outcome(loss), outcome(compiled(loss, deterministic)))


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _largest_change(plain: list[Tensor], other: list[Tensor]) -> float:
    """Of any tensor, relative to its largest entry; infinite where something is no number."""
    changes = [
        float((theirs - mine).abs().max() / mine.abs().max().clamp_min(1e-30))
        for mine, theirs in zip(plain, other, strict=True)
    ]
    return max(change if math.isfinite(change) else math.inf for change in changes)


@contextmanager
def _exact_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """The precision of a run, without the shortened products (TF32) of some GPUs.

    They round so coarsely that an error of a compiler could hide behind them.
    """
    dtype = _AUTOCAST.get(precision)
    with (
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        torch.autocast(device.type, dtype=dtype, enabled=dtype is not None),
    ):
        yield


def _reason(error: Exception) -> str:
    """The first line of what a compiler says."""
    lines = str(error).strip().splitlines() or ["without a word"]
    return f"{type(error).__name__}: {lines[0][:_REASON_LENGTH]}"


_PARTS: dict[Part, Callable[[PretrainRun, Precision, torch.device, bool], float]] = {
    "networks": _try_networks,
    "loss": _try_loss,
}
