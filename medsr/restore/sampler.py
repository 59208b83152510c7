"""The few-step sampler: from noise to a restored slice, consistent with the data at every step.

Euler steps of the probability flow: x_next = r + (t_next / t)(x - r), which is what diffusers'
FlowMatchEulerDiscreteScheduler does with the velocity (x - r) / t (tests/restore/test_sampler.py holds them equal).
Drawing fresh noise at each step instead would collapse the spread of the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from medsr.models.bridge import bridge_input

__all__ = ["Consistency", "Draw", "paired_noise", "sample", "step_weight"]

Predict = Callable[[torch.Tensor], torch.Tensor]
"""Bridge input (B, C, H, W) to r, (B, 1, H, W)."""

Consistency = Callable[[torch.Tensor, float], torch.Tensor]
"""Moves an estimate (B, 1, H, W) towards the measurement, given the time it was made at."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One sample in scaled units: the image, and the last estimate before projection onto the data."""

    image: torch.Tensor
    estimate: torch.Tensor


def sample(
    predict: Predict,
    given: torch.Tensor,
    regressed: torch.Tensor,
    scale: torch.Tensor,
    *,
    steps: Sequence[float],
    noise: torch.Tensor,
    consistent: Consistency | None = None,
) -> Draw:
    """Draw one sample for each image of a batch.

    Parameters
    ----------
    predict : the bridge.
    given : (B, C, H, W), what the regressor was given.
    regressed : (B, 1, H, W), what it returned.
    scale : (B, 1, H, W), the local scale of the residual.
    steps : times, descending from 1, above 0; the last step leads to 0.
    noise : (B, 1, H, W), white, where the path starts.
    consistent : data consistency, or None where A has no null space (denoising).

    References
    ----------
    Wang et al., DDNM, ICLR 2023, arXiv 2212.00490, algorithm 1 (projection of the predicted clean image).
    """
    moved = noise
    estimate = regressed
    for time, following in zip(steps, [*steps[1:], 0.0], strict=True):
        predicted = predict(bridge_input(given, regressed, moved, time))
        estimate = regressed + scale * predicted
        if consistent is not None:
            predicted = (consistent(estimate, time) - regressed) / scale
        moved = predicted + (following / time) * (moved - predicted)
    return Draw(regressed + scale * moved, estimate)


def paired_noise(shape: Sequence[int], count: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """`count` white noise images in pairs of opposite sign: the noise of the samples' mean cancels to first order.

    Every image is white on its own, so each sample is what an independent one would be; eight of them give a mean
    as good as that of many more.

    References
    ----------
    Jia et al., "Antithetic noise in diffusion models", arXiv 2506.06185 (2025).
    """
    for index in range(count):
        if index % 2 == 0:
            drawn = torch.randn(tuple(shape), generator=generator)
            yield drawn
        else:
            yield -drawn


def step_weight(time: float, scale: torch.Tensor, sigma: float) -> float:
    """tau^2 / (tau^2 + sigma^2) with tau = s t: how far an estimate at time t is moved towards noisy data.

    References
    ----------
    Wang et al., DDNM+, arXiv 2212.00490, eq. 17.
    """
    if sigma <= 0:
        return 1.0
    spread = float(scale.square().mean()) * time**2
    return spread / (spread + sigma**2)
