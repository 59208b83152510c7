"""The noise power spectrum of a residual: radial, mean 1, from slices inside the body."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import fft

__all__ = ["FLOOR", "radial_spectrum", "window_variance"]

FLOOR = 0.05
"""Whitening never divides by less than this share of the largest power: residuals hold no proof below it."""

_RINGS = 64


def radial_spectrum(
    planes: Iterable[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]], shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Power of masked residuals in rfft2 layout, averaged over rings, mean 1; flat if nothing is inside."""
    total, count = np.zeros((shape[0], shape[1] // 2 + 1)), 0
    for u, mask in planes:
        if mask.sum() > 400:
            inside = np.where(mask, u - u[mask].mean(), 0.0)
            total += np.abs(fft.rfft2(inside)) ** 2 / mask.sum()
            count += 1
    if count == 0:
        return np.ones_like(total)
    radius = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None]) / np.sqrt(0.5) * _RINGS
    rings = np.minimum(radius.astype(int), _RINGS - 1)
    members = np.bincount(rings.ravel(), minlength=_RINGS)
    power = np.bincount(rings.ravel(), total.ravel(), _RINGS) / np.maximum(members, 1)
    known = np.flatnonzero(members)
    spectrum = np.interp(radius - 0.5, known, power[known])
    weights = np.full(spectrum.shape, 2.0)
    weights[:, 0] = 1.0
    if shape[1] % 2 == 0:
        weights[:, -1] = 1.0
    normal: npt.NDArray[np.float64] = spectrum / ((spectrum * weights).sum() / (shape[0] * shape[1]))
    return normal


def window_variance(spectrum: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]) -> float:
    """Variance of the mean over `mask` of noise with this spectrum and variance 1.

    The sum of the spectrum times the squared transform of the window, over n^2; the spectrum floored, since that
    of filtered back-projection vanishes at zero frequency and the mean's variance would too.
    """
    count = int(mask.sum())
    if count == 0:
        return float("inf")
    floored = np.maximum(spectrum, FLOOR * spectrum.max())
    power = np.abs(fft.rfft2(mask.astype(np.float64), norm="ortho")) ** 2
    weights = np.full(power.shape, 2.0)
    weights[:, 0] = 1.0
    if mask.shape[1] % 2 == 0:
        weights[:, -1] = 1.0
    return float((weights * power * floored).sum()) / count**2
