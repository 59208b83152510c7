"""N1: how much did the model supply, against what was measured at the same place?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from medsr.records import ChannelResult
from medsr.validation.null_space import NullSpace, uncalibrated

__all__ = ["WINDOW_PX", "budget_result"]

WINDOW_PX = 16
"""Side of a window on the restored grid; windows overlap by half."""

_HALF = WINDOW_PX // 2
_FEWEST_SHARE = 0.5


def budget_result(null: NullSpace, *, smallest: float) -> ChannelResult:
    """The channel: value is the largest ln(energy of P0 x / energy of the measured gradient) of any window.

    Both energies are means per pixel. The gradient is that of the scan, not of the image: where the scan shows
    edges, a model may well supply their finer part, where it shows none, nothing calls for detail. Of a lost slice
    the difference to linear interpolation counts. No other part of the image is looked at.

    Parameters
    ----------
    smallest : differences below this do not count, in image units.
    """
    if null.empty:
        note = "every voxel was measured: there is no null space"
        return ChannelResult("N1", "null", "not_assessed", None, None, may="hold", note=note)
    worst, where, windows = -math.inf, (0, 0, 0), 0
    broken = False
    for index, supplied in null.slices(null.restoration.image):
        line = null.between(index)
        part = supplied if line is None else supplied - line
        usable = _mean(null.mask(index).astype(np.float64)) >= _FEWEST_SHARE
        if not usable.any():
            continue
        first, second = np.gradient(null.lifted(index).astype(np.float64))
        energy = np.log(_mean(part.astype(np.float64) ** 2) + smallest**2)
        measured = np.log(_mean(first**2 + second**2) + smallest**2)
        ratio = np.where(usable, energy - measured, -np.inf)
        broken |= not np.isfinite(ratio[usable]).all()
        windows += int(usable.sum())
        row, column = (int(at) for at in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
        if ratio[row, column] > worst:
            worst, where = float(ratio[row, column]), (index, row * _HALF, column * _HALF)
    if windows == 0:
        return ChannelResult("N1", "null", "not_assessed", None, None, may="hold", note="no window to judge")
    note = f"worst of {windows} windows on slice {where[0]} at {where[1:]}: supplied over measured gradient energy"
    return uncalibrated("N1", math.nan if broken else worst, note)


def _mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means over 16 px windows that start on every 8th pixel; one window where the slice is smaller."""
    rows, columns = (size // _HALF for size in values.shape)
    if min(rows, columns) < 2:
        return np.full((1, 1), values.mean())
    cells = values[: rows * _HALF, : columns * _HALF].reshape(rows, _HALF, columns, _HALF).mean((1, 3))
    means: npt.NDArray[np.float64] = (cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]) / 4
    return means
