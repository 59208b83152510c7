"""Data consistency: moving an estimate towards the measurement, no farther than the noise allows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medsr.physics import LinearOperator, NoiseModel

__all__ = ["Correction", "project", "residual", "wiener_weight"]


@dataclass(frozen=True, slots=True)
class Correction:
    """What projection did to one slice: the image, the weight it used, and the rms residual before it."""

    image: torch.Tensor
    weight: float
    residual_rms: float


def residual(
    measured: torch.Tensor,
    estimate: torch.Tensor,
    *,
    linear: LinearOperator,
    noise: NoiseModel,
    sigma: float,
    magnitude: bool,
) -> torch.Tensor:
    """r = y - E[y | A x], in the units of y.

    For magnitude images A x may ring below zero while y cannot: |A x| is compared, its Rician mean expected, and
    the sign of A x given back to r so that r can be added to A x.
    """
    predicted = linear.forward(estimate)
    if not magnitude:
        return measured - predicted
    expected = noise.mean_and_sd(predicted.abs(), sigma)[0] if sigma > 0 else predicted.abs()
    sign = torch.where(predicted < 0, -1.0, 1.0).to(predicted.dtype)
    return (measured - expected) * sign


def wiener_weight(difference: torch.Tensor, sigma: float) -> float:
    """tau^2 / (tau^2 + sigma^2) with tau^2 = max(mean r^2 - sigma^2, 0): 1 without noise, 0 if r is all noise.

    tau is the error of the estimate in the range of A as the residual itself shows it, so that noise is not put
    back where the estimate already agrees with the measurement within its noise.
    """
    if sigma <= 0:
        return 1.0
    energy = float(difference.double().square().mean())
    excess = max(energy - sigma**2, 0.0)
    return excess / (excess + sigma**2)


def project(
    measured: torch.Tensor,
    estimate: torch.Tensor,
    *,
    linear: LinearOperator,
    noise: NoiseModel,
    sigma: float,
    magnitude: bool,
) -> Correction:
    """x + w A+ (y - E[y | A x]) with the weight of :func:`wiener_weight`; hard projection where sigma is 0.

    References
    ----------
    Wang et al., DDNM, ICLR 2023, arXiv 2212.00490, eq. 17 (weighted range-space correction for noisy y).
    """
    difference = residual(measured, estimate, linear=linear, noise=noise, sigma=sigma, magnitude=magnitude)
    weight = wiener_weight(difference, sigma)
    rms = float(difference.double().square().mean().sqrt())
    if weight == 0.0:
        return Correction(estimate, weight, rms)
    return Correction(estimate + weight * linear.pinv(difference), weight, rms)
