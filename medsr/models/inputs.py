"""What a generator is fed: scaled slices, neighbours, condition maps; shared by training and restoration."""

from __future__ import annotations

import math

import torch

__all__ = ["HU_SCALE", "MAPS_TEXT", "MR_PERCENTILE", "NOISE_GAIN", "condition", "neighbours"]

HU_SCALE = 1000.0
"""CT enters the network as HU / 1000, without clipping."""
MR_PERCENTILE = 99.9
"""MR enters the network divided by this percentile of its positive voxels."""
NOISE_GAIN = 10.0
"""The noise map is 10 sigma in scaled units, so that it has the size of the image."""

MAPS_TEXT = ("10 sigma of the noise, scaled units", "log2 of the in-plane factor", "gap in thin slices")
"""What the condition maps hold, in input order."""


def neighbours(centre: int, count: int, reach: int) -> list[int]:
    """Indices centre - reach to centre + reach in a stack of `count`, mirrored at its ends.

    >>> neighbours(0, 10, 2)
    [2, 1, 0, 1, 2]
    >>> neighbours(1, 2, 2)
    [1, 0, 1, 0, 1]
    """
    if count == 1:
        return [0] * (2 * reach + 1)
    period = 2 * (count - 1)
    folded = ((index % period) for index in range(centre - reach, centre + reach + 1))
    return [index if index < count else period - index for index in folded]


def condition(slices: torch.Tensor, *, sigma: float | torch.Tensor, scale: float, gap: float) -> torch.Tensor:
    """Append the condition maps to slices (n, H, W) in scaled units; returns (n + 3, H, W).

    sigma is the noise to be removed in scaled units, a number or (H, W); scale the in-plane factor; gap the
    distance of the known neighbours in thin slices, 0 where the centre slice itself was measured.
    """
    maps = slices.new_empty((3, *slices.shape[-2:]))
    maps[0] = NOISE_GAIN * sigma
    maps[1] = math.log2(scale)
    maps[2] = gap
    return torch.cat([slices, maps])
