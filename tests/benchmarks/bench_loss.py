"""Weights and loss, forward and backward to the logits: ours against the released form.

    python -m tests.benchmarks.bench_loss [--batch 8] [--pixels 256] [--rounds 9] [--device cpu]

Rounds are interleaved and the best of each form compared: what else the machine does can only slow
a round down.
"""

import argparse
import sys
import time

import torch

from tests.benchmarks.released_loss import released_step
from training.cromss.losses import CromssLoss
from training.cromss.smoothing import smoothing_prior

NUM_CLASSES = 9
EPOCH = 40
RATIO_LIMIT = 5.0
ERROR_LIMIT = 1e-5


def make_batch(batch: int, pixels: int, device: str):
    """Blocky labels and logits that agree with them seven times in ten, from one seed."""
    generator = torch.Generator().manual_seed(3)
    blocks = -(-pixels // 16)
    coarse = torch.randint(0, NUM_CLASSES, (batch, 4, blocks, blocks), generator=generator)
    seasonal_BTHW = coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)[..., :pixels, :pixels]
    labels_BHW = seasonal_BTHW[:, 0].contiguous()
    one_hot_BCHW = torch.nn.functional.one_hot(labels_BHW, NUM_CLASSES).permute(0, 3, 1, 2)
    logits = []
    for _ in range(2):
        agrees_B1HW = torch.rand(batch, 1, pixels, pixels, generator=generator) > 0.3
        noise_BCHW = torch.randn(batch, NUM_CLASSES, pixels, pixels, generator=generator)
        logits.append((noise_BCHW + 3 * one_hot_BCHW * agrees_B1HW).contiguous())
    prior_BCHW = smoothing_prior(seasonal_BTHW, torch.zeros(batch, dtype=torch.int64), NUM_CLASSES)
    return [tensor.to(device) for tensor in (*logits, labels_BHW, prior_BCHW)]


def forward_backward(loss, logits_s1, logits_s2, labels_BHW, prior_BCHW):
    leaves = [tensor.detach().requires_grad_() for tensor in (logits_s1, logits_s2)]
    total = loss(*leaves, labels_BHW, prior_BCHW, EPOCH)
    total.backward()
    return total.detach(), leaves[0].grad, leaves[1].grad


def seconds(call, device: str) -> float:
    start = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def largest_error(ours, released) -> float:
    """Of the loss relative to it, and of each gradient relative to its largest entry."""
    return max(
        float((mine - theirs).abs().max() / theirs.abs().max())
        for mine, theirs in zip(ours, released, strict=True)
    )


def measure(batch: int, pixels: int, rounds: int, device: str, forms: dict) -> dict:
    """Best seconds and largest error against the released form, per form."""
    tensors = make_batch(batch, pixels, device)
    answers = {name: forward_backward(loss, *tensors) for name, loss in forms.items()}
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, loss in forms.items():
            call = lambda loss=loss: forward_backward(loss, *tensors)  # noqa: E731
            times[name].append(seconds(call, device))
    return {
        name: (min(times[name]), largest_error(answers[name], answers["released"]))
        for name in forms
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ours = CromssLoss(NUM_CLASSES, consistency="ce")
    compiled = torch.compile(ours, fullgraph=True, dynamic=False)
    forms = {
        "released": released_step,
        "ours": lambda *batch: ours(*batch).total,
        "ours, compiled": lambda *batch: compiled(*batch).total,
    }
    result = measure(arguments.batch, arguments.pixels, arguments.rounds, arguments.device, forms)
    base = result["released"][0]
    print(
        f"weights and loss, forward and backward: batch {arguments.batch}, {arguments.pixels} "
        f"pixels, {arguments.device}, {arguments.threads} threads, torch {torch.__version__}"
    )
    for name, (best, error) in result.items():
        print(f"  {name:16s} {best * 1e3:9.1f} ms   x{base / best:5.2f}   error {error:.1e}")
    ratio, error = base / result["ours, compiled"][0], result["ours, compiled"][1]
    print(f"  ratio {ratio:.2f} (limit {RATIO_LIMIT:.0f})")
    print(f"  error {error:.1e} (limit {ERROR_LIMIT:.0e})")
    if ratio < RATIO_LIMIT or error > ERROR_LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
