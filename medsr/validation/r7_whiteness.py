"""R7: does the residual look like noise, or does it follow the image?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import norm

from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.residual import SliceResidual

__all__ = ["LARGEST_LAG", "LARGEST_SHARE", "THRESHOLD", "WINDOW_PX", "Whiteness"]

WINDOW_PX = 32
LARGEST_LAG = 3
THRESHOLD = 5.4
"""Normal deviate of Fisher's z that a correlation must pass, as in R2."""
LARGEST_SHARE = 0.45
"""A significant correlation must also move u by this share of the noise: every restorer softens edges a little."""

_FEWEST_SHARE = 0.75
_RIM_PX = 3
_SMOOTHING_PX = 1.5

Plane = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]


class Whiteness:
    """Autocovariance of the whitened residual to lag 3, and its correlation with gradient and laplacian of A x.

    The correlations are taken in windows of 32 px and counted as normal deviates of Fisher's z. The picture is A x on
    the measured grid, not x: what the operator does not see must not move a range channel. It is smoothed by 1.5 px,
    since noise that a restorer left in would correlate with itself. All shares are of the noise: a residual far below
    it contradicts nothing, whatever its colour.
    """

    def __init__(self) -> None:
        self._worst, self._words = 0.0, ""
        self._lags = np.zeros((2 * LARGEST_LAG, 2))
        self._windows, self._broken = 0, False

    def add(self, item: SliceResidual, white: Plane) -> None:
        """Take in one slice; `white` is its residual in units of noise, whitened."""
        if not item.judgeable:
            return
        inside = _eroded(item.mask)
        u = np.where(inside, white, np.float32(0))
        self._broken |= not np.isfinite(u).all()
        self._add_lags(u, inside)
        smooth = ndimage.gaussian_filter(item.predicted, _SMOOTHING_PX, truncate=2.0)
        first, second = np.gradient(smooth)
        for name, picture in (("gradient", np.hypot(first, second)), ("laplacian", ndimage.laplace(smooth))):
            self._add_windows(item.index, name, u, picture, inside)

    def result(self, name: str, note: str) -> ChannelResult:
        """The channel: value is the largest deviate of a correlation that is large, over 5.4; held above 1."""
        if self._windows == 0:
            return ChannelResult(name, "range", "not_assessed", None, 1.0, may="hold", note="no window to judge")
        products, pairs = self._lags.T
        lags = products / np.maximum(pairs, 1)
        lag = int(np.abs(lags).argmax())
        finite = not self._broken and bool(np.isfinite(lags).all()) and math.isfinite(self._worst)
        value = self._worst / THRESHOLD if finite else math.nan
        if finite:
            value = max(value, abs(float(lags[lag])) / LARGEST_SHARE)
        status: ChannelStatus = "passed" if finite and value <= 1 else "held"
        p = min(1.0, 2 * float(norm.sf(self._worst)) * self._windows) if finite else None
        words = f"autocovariance {lags[lag]:+.2f} at lag {lag % LARGEST_LAG + 1}"
        words += f"; {self._words}" if self._words else f"; no window of {self._windows} follows the image"
        return ChannelResult(name, "range", status, value, 1.0, p, may="hold", note=f"{words}; {note}")

    def _add_lags(self, u: Plane, inside: npt.NDArray[np.bool_]) -> None:
        """Products of pixels that lie 1 to 3 apart along either axis, and how many there are."""
        for axis in (0, 1):
            values, known = np.moveaxis(u, axis, 0), np.moveaxis(inside, axis, 0)
            for lag in range(1, LARGEST_LAG + 1):
                number = axis * LARGEST_LAG + lag - 1
                self._lags[number, 0] += float((values[:-lag] * values[lag:]).sum(dtype=np.float64))
                self._lags[number, 1] += np.count_nonzero(known[:-lag] & known[lag:])

    def _add_windows(self, index: int, name: str, u: Plane, picture: Plane, inside: npt.NDArray[np.bool_]) -> None:
        ones = _sums(inside.astype(np.float64))
        usable = ones >= _FEWEST_SHARE * WINDOW_PX**2
        if not usable.any():
            return
        size = np.maximum(ones, 1)
        seen = np.where(inside, picture, np.float32(0)).astype(np.float64)
        values = u.astype(np.float64)
        mean_u, mean_p = _sums(values) / size, _sums(seen) / size
        covariance = _sums(values * seen) / size - mean_u * mean_p
        own = np.maximum(_sums(values**2) / size - mean_u**2, 0)
        variance = own * (_sums(seen**2) / size - mean_p**2)
        r = np.divide(covariance, np.sqrt(np.maximum(variance, 0)), out=np.zeros_like(size), where=variance > 0)
        deviate = np.arctanh(np.clip(r, -0.999999, 0.999999)) * np.sqrt(np.maximum(size - 3, 1))
        self._windows += int(usable.sum())
        self._broken |= not np.isfinite(deviate[usable]).all()
        counted = np.where(usable & (np.abs(r) * np.sqrt(own) > LARGEST_SHARE), np.abs(deviate), 0)
        row, column = (int(at) for at in np.unravel_index(int(np.argmax(counted)), counted.shape))
        if counted[row, column] > self._worst:
            self._worst = float(counted[row, column])
            at = (row * WINDOW_PX // 2, column * WINDOW_PX // 2)
            share = float(r[row, column]) * math.sqrt(own[row, column])
            self._words = f"residual follows the {name} by {share:+.2f} of the noise on slice {index} at {at}"


def _eroded(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask without its outer 3 px, by squares."""
    side = 2 * _RIM_PX + 1
    inside: npt.NDArray[np.bool_] = ndimage.minimum_filter(mask.view(np.uint8), side, mode="constant", cval=0).view(
        np.bool_
    )
    return inside


def _sums(values: Array) -> Array:
    """Sums over 32 px windows that start on every 16th pixel; one window where the slice is smaller."""
    half = WINDOW_PX // 2
    rows, columns = (size // half for size in values.shape)
    if min(rows, columns) < 2:
        return np.full((1, 1), values.sum())
    cells = values[: rows * half, : columns * half].reshape(rows, half, columns, half).sum((1, 3))
    sums: Array = cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]
    return sums
