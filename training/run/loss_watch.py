"""A loss that is no number stops the run; the network keeps its last good weights.

Looking at every loss would make the device wait. So a flag stays on the device: from the first bad
loss on, the fused optimiser skips its steps by itself, and the host looks now and then.
"""

from collections import deque

import torch
import torch.distributed as dist
from torch import Tensor


class LossWatch:
    """Remembers whether a loss was NaN or infinite, and which samples it was the loss of.

    Args:
        device: Where the losses are.
        remembered: How many batches back the samples are known.
    """

    def __init__(self, device: torch.device, remembered: int) -> None:
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        self._batches: deque[tuple[int, Tensor]] = deque(maxlen=remembered)

    def add(self, batch_number: int, loss: Tensor, sample_B: Tensor) -> None:
        """Take note of one batch, without host synchronisation."""
        self._batches.append((batch_number, sample_B))
        is_first = ~loss.detach().isfinite() & (self._first_bad < 0)
        self._first_bad = torch.where(is_first, batch_number, self._first_bad)

    def skip_flag(self) -> Tensor:
        """1.0 if any rank has seen a bad loss, else 0.0: float32, 0-d, on the device."""
        flag = (self._first_bad >= 0).float()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(flag, dist.ReduceOp.MAX)
        return flag

    def bad_batch(self) -> tuple[int, list[int]] | None:
        """Number and samples of the first bad batch of this rank, if any; waits for the device."""
        number = int(self._first_bad)
        if number < 0:
            return None
        known = [sample_B.tolist() for known, sample_B in self._batches if known == number]
        return number, known[0] if known else []
