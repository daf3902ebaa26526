"""Counting on the device: the one primitive beneath the selection thresholds and the metrics."""

import torch
from torch import Tensor

# Many pixels fall into few slots. On an accelerator their atomic additions would queue up behind
# each other, so the count is spread over this many private histograms and summed at the end.
_PRIVATE_HISTOGRAMS = 32


def histogram(
    slots_N: Tensor,
    num_slots: int,
    counted_N: Tensor | None = None,
    dtype: torch.dtype = torch.int64,
) -> Tensor:
    """Count how often each slot occurs, without host synchronisation and deterministically.

    `torch.bincount` would wait for the device to learn its output's size; integer addition has no
    order, so the result is the same on every run.

    Args:
        slots_N: int64 slot of each of N pixels, 0 to num_slots - 1.
        num_slots: Length of the result.
        counted_N: bool, whether a pixel counts; all do when left out.
        dtype: Integer type of the counts.

    Returns:
        (num_slots,) counts on the device of `slots_N`.
    """
    device = slots_N.device
    if counted_N is None:
        counted_N = torch.ones_like(slots_N, dtype=torch.bool)
    ones_N = counted_N.to(dtype)
    if device.type == "cpu":
        return torch.zeros(num_slots, dtype=dtype, device=device).scatter_add_(0, slots_N, ones_N)
    private_N = torch.arange(slots_N.numel(), device=device) % _PRIVATE_HISTOGRAMS
    counts = torch.zeros(_PRIVATE_HISTOGRAMS * num_slots, dtype=dtype, device=device)
    counts.scatter_add_(0, private_N * num_slots + slots_N, ones_N)
    return counts.view(_PRIVATE_HISTOGRAMS, num_slots).sum(0, dtype=dtype)
