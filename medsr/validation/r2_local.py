"""R2: does the restored image agree with the measurement in every neighbourhood?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.residual import SliceResidual
from medsr.validation.spectrum import Spectrum, square_variance, window_variance
from medsr.volume import Modality

__all__ = ["LARGEST_MEAN_SQUARE", "THRESHOLD", "WINDOW_PX", "LocalAgreement", "Worst"]

WINDOW_PX = 16
"""Side of a window; windows overlap by half."""
THRESHOLD = 5.4
"""Normal deviate that a window must pass; a volume of 300 slices of noise has a hundredth of a window beyond it."""

LARGEST_MEAN_SQUARE = {"MR": 1.10, "CT": 2.5}
"""A significant mean u^2 of a window must also pass this. The local noise of CT is known within a third (decision
0201), which its square doubles; that of magnitudes follows from their signal."""

_HALF = WINDOW_PX // 2
_FEWEST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Worst:
    """The window that deviates most: slice, its first pixel, its normal deviate, and mean u or mean u^2 there."""

    slice_index: int
    place: tuple[int, int]
    deviate: float
    statistic: str
    value: float


class LocalAgreement:
    """Mean u (two-sided) and mean u^2 (excess alone) in 16 px windows, counted as normal deviates.

    Correlated noise leaves a window fewer independent pixels than it has: n_eff of the mean square follows from the
    spectrum, the variance of the mean from the window's own transform.

    Parameters
    ----------
    modality : decides how large a mean square is large.
    largest_bias : mean r of a window below this is too small to fail, in image units.
    """

    def __init__(self, spectrum: Spectrum, *, modality: Modality, largest_bias: float) -> None:
        whole = np.zeros((spectrum.shape[0], 2 * (spectrum.shape[1] - 1)), np.bool_)
        whole[:WINDOW_PX, :WINDOW_PX] = True
        count = int(whole.sum())
        self._mean_variance = window_variance(spectrum, whole) * count
        self._square_variance = square_variance(spectrum)
        self._largest_bias, self._largest_square = largest_bias, LARGEST_MEAN_SQUARE[modality]
        self.worst: Worst | None = None
        self._broken = False
        self._beyond = 0
        self._windows = 0

    def add(self, item: SliceResidual) -> None:
        """Take in one slice."""
        inside = item.mask.astype(np.float64)
        count = _windows(inside)
        usable = count >= _FEWEST_SHARE * WINDOW_PX**2
        if not usable.any():
            return
        u = np.where(item.mask, item.u, 0).astype(np.float64)
        size = np.maximum(count, 1)
        mean, square = _windows(u) / size, _windows(u**2) / size
        bias = np.abs(_windows(np.where(item.mask, item.residual, 0).astype(np.float64)) / size)
        self._broken |= not (np.isfinite(mean[usable]).all() and np.isfinite(square[usable]).all())
        means = np.where(bias > self._largest_bias, np.abs(mean) / np.sqrt(self._mean_variance / size), 0)
        degrees = 2 * size / self._square_variance
        excess = norm.isf(np.maximum(chi2.sf(square * degrees, degrees), 1e-300))
        excess = np.where(square > self._largest_square, excess, 0)
        self._windows += int(usable.sum())
        self._beyond += int((np.maximum(means, excess)[usable] > THRESHOLD).sum())
        for statistic, deviates, values in (("mean u", means, mean), ("mean u^2", excess, square)):
            self._keep(item.index, statistic, np.where(usable, deviates, -np.inf), values)

    def result(self, name: str, note: str) -> ChannelResult:
        """The channel: value is the largest deviate of any window."""
        if self.worst is None:
            return ChannelResult(
                name, "range", "not_assessed", None, THRESHOLD, may="verify", note="no window to judge"
            )
        worst = self.worst
        finite = not self._broken and math.isfinite(worst.deviate)
        value = worst.deviate if finite else math.nan
        words = f"{self._beyond} of {self._windows} windows beyond; worst on slice {worst.slice_index} at {worst.place}"
        words += f": {worst.statistic} {worst.value:.2f}"
        status: ChannelStatus = "passed" if finite and value <= THRESHOLD else "held"
        p = min(1.0, float(norm.sf(value)) * self._windows) if finite else None
        clause = f"{self._beyond} of {self._windows} neighbourhoods depart from the scan" if status == "held" else ""
        return ChannelResult(
            name, "range", status, value, THRESHOLD, p, may="verify", note=f"{words}; {note}", words=clause,
            extent=self._beyond / max(1, self._windows),
        )  # fmt: skip

    def _keep(
        self, index: int, statistic: str, deviates: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
    ) -> None:
        row, column = (int(value) for value in np.unravel_index(int(np.argmax(deviates)), deviates.shape))
        deviate = float(deviates[row, column])
        if self.worst is None or deviate > self.worst.deviate:
            place = (row * _HALF, column * _HALF)
            self.worst = Worst(index, place, deviate, statistic, float(values[row, column]))


def _windows(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over 16 px windows that start on every 8th pixel."""
    rows, columns = (size // _HALF for size in values.shape)
    cells = values[: rows * _HALF, : columns * _HALF].reshape(rows, _HALF, columns, _HALF).sum((1, 3))
    sums: npt.NDArray[np.float64] = cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]
    return sums
