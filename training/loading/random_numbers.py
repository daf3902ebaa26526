"""Random numbers that belong to a sample: the same on every device, rank and worker.

A number is a function of (seed, epoch, sample, draw) and of nothing else. So a run that was killed,
or that goes on with another number of processes, draws what it would have drawn, and no generator
has to be saved.
"""

import torch
from torch import Tensor


def _signed(constant: int) -> int:
    """The int64 with the bits of an unsigned 64-bit constant; torch has no unsigned arithmetic."""
    return constant - (1 << 64) if constant >= 1 << 63 else constant


# SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators",
# https://doi.org/10.1145/2714064.2660195; constants of https://prng.di.unimi.it/splitmix64.c
_GAMMA = _signed(0x9E3779B97F4A7C15)
_FACTOR_1 = _signed(0xBF58476D1CE4E5B9)
_FACTOR_2 = _signed(0x94D049BB133111EB)


def uniform(seed: int, epoch: int, sample_B: Tensor, draw: int) -> Tensor:
    """One number per sample, uniform in [0, 1).

    Args:
        seed: Of the run, non-negative.
        epoch: From 0.
        sample_B: int64 indices of the samples.
        draw: Which of the independent numbers of a sample; see the constants of the caller.

    Returns:
        (B,) float64 on the device of `sample_B`, without host synchronisation.
    """
    state_B = torch.full_like(sample_B, seed)
    for part in (epoch, sample_B, draw):
        state_B = _mix(state_B) ^ part
    bits_B = _shift_right(_mix(state_B), 11)
    return bits_B.double() * 2.0**-53


def _mix(state_B: Tensor) -> Tensor:
    """The output function of SplitMix64; products wrap around."""
    state_B = state_B + _GAMMA
    state_B = (state_B ^ _shift_right(state_B, 30)) * _FACTOR_1
    state_B = (state_B ^ _shift_right(state_B, 27)) * _FACTOR_2
    return state_B ^ _shift_right(state_B, 31)


def _shift_right(bits_B: Tensor, places: int) -> Tensor:
    """Shift as if unsigned: zeros come in from the left."""
    return (bits_B >> places) & ((1 << (64 - places)) - 1)
