"""The noise power spectrum of a residual: radial, mean 1, from slices inside the body."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import fft

__all__ = [
    "FLOOR",
    "Spectrum",
    "floored",
    "outer_share",
    "radial_spectrum",
    "resampled",
    "square_variance",
    "window_variance",
]

Spectrum = npt.NDArray[np.float64]

FLOOR = 0.05
"""Whitening never divides by less than this share of the largest power: residuals hold no proof below it."""

_RINGS = 64
_FEWEST_PIXELS = 400
_CLIP = np.float32(4.0)
_MAD = np.float32(1.4826)


def radial_spectrum(
    planes: Iterable[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]], shape: tuple[int, int]
) -> Spectrum:
    """Power of masked residuals in rfft2 layout, averaged over rings, mean 1; flat if nothing is inside.

    Rings hold hundreds of coefficients each, so one slice is enough and one lesion in it changes nothing; residuals
    that hold hardly any noise are clipped first, or a lesion would be the spectrum that it is sought with.
    """
    total, count = np.zeros((shape[0], shape[1] // 2 + 1)), 0
    for u, mask in planes:
        if mask.sum() > _FEWEST_PIXELS:
            inside = np.where(mask, _without_structure(u, u[mask]), np.float32(0))
            total += np.abs(fft.rfft2(inside)) ** 2 / mask.sum()
            count += 1
    if count == 0 or not total.any():
        return np.ones_like(total)
    radius = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None]) / np.sqrt(0.5) * _RINGS
    rings = np.minimum(radius.astype(int), _RINGS - 1).ravel()
    weights = _weights(shape)
    members = np.bincount(rings, weights.ravel(), minlength=_RINGS)
    power = np.bincount(rings, (weights * total).ravel(), _RINGS) / np.maximum(members, 1)
    known = np.flatnonzero(members)
    spectrum = np.interp(radius - 0.5, known, power[known])
    normal: Spectrum = spectrum / _mean(spectrum, weights, shape)
    return normal


def floored(spectrum: Spectrum) -> Spectrum:
    """The spectrum with at least 5 % of its largest value everywhere."""
    result: Spectrum = np.maximum(spectrum, FLOOR * spectrum.max())
    return result


def resampled(spectrum: Spectrum, side: int) -> Spectrum:
    """The spectrum at the frequencies of a square of `side` pixels, mean 1."""
    columns = (spectrum.shape[1] - 1) * 2
    first = np.rint(fft.fftfreq(side) * spectrum.shape[0]).astype(int) % spectrum.shape[0]
    second = np.minimum(np.rint(fft.rfftfreq(side) * columns).astype(int), spectrum.shape[1] - 1)
    chosen = spectrum[np.ix_(first, second)]
    normal: Spectrum = chosen / _mean(chosen, _weights((side, side)), (side, side))
    return normal


def outer_share(planes: Iterable[npt.NDArray[np.float32]], sigma: float) -> float:
    """Power of a scan near the Nyquist corner in units of white noise of `sigma`; far below 1 where it interpolated.

    A scanner that interpolates leaves the corner of the spectrum empty, whatever the anatomy; signal there only adds.
    Pixels that are exactly 0 were masked and hold no noise.
    """
    shares = []
    for plane in planes:
        window = np.hanning(plane.shape[0])[:, None] * np.hanning(plane.shape[1])[None]
        noisy = float((window**2 * (plane != 0)).sum())
        if noisy > 0:
            power = np.abs(fft.rfft2(plane * window)) ** 2
            rows, columns = plane.shape
            corner = power[3 * rows // 8 : rows // 2 + 1, 3 * columns // 8 :]
            shares.append(float(np.median(corner)) / (np.log(2) * noisy * sigma**2))
    return float(np.median(shares)) if shares else 0.0


def window_variance(spectrum: Spectrum, mask: npt.NDArray[np.bool_]) -> float:
    """Variance of the mean over `mask` of noise with this spectrum and variance 1.

    The sum of the spectrum times the squared unitary transform of the window, over n^2; the spectrum floored, since
    that of filtered back-projection vanishes at zero frequency and the mean's variance would too.
    """
    count = int(mask.sum())
    if count == 0:
        return float("inf")
    power = np.abs(fft.rfft2(mask.astype(np.float32), norm="ortho")).astype(np.float64) ** 2
    return float((_weights(mask.shape) * power * floored(spectrum)).sum()) / count**2


def square_variance(spectrum: Spectrum) -> float:
    """n times the variance of the mean of u^2 over n pixels: 2 for white noise, more for correlated noise.

    cov(u_i^2, u_j^2) = 2 rho_ij^2 for Gaussian noise, and the sum of rho^2 is the mean of the squared spectrum.
    """
    shape = (spectrum.shape[0], 2 * (spectrum.shape[1] - 1))
    weights = _weights(shape)
    return 2 * float((weights * spectrum**2).sum() / weights.sum())


def _without_structure(u: npt.NDArray[np.float32], inside: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """u less its mean, clipped at four robust deviations: hardly a pixel of noise, all of a structure."""
    middle = np.float32(np.median(inside))
    bound = _CLIP * _MAD * np.float32(np.median(np.abs(inside - middle)))
    if bound <= 0:
        bound = np.float32(np.inf)
    mean = np.clip(inside - middle, -bound, bound).mean()
    result: npt.NDArray[np.float32] = np.clip(u - middle, -bound, bound) - mean
    return result


def _weights(shape: tuple[int, ...]) -> Spectrum:
    """How often each coefficient of rfft2 stands for itself and its conjugate."""
    weights = np.full((shape[0], shape[1] // 2 + 1), 2.0)
    weights[:, 0] = 1.0
    if shape[1] % 2 == 0:
        weights[:, -1] = 1.0
    return weights


def _mean(spectrum: Spectrum, weights: Spectrum, shape: tuple[int, int]) -> float:
    return float((spectrum * weights).sum()) / (shape[0] * shape[1])
