"""How noisy a CT scan is from place to place: the measure of every residual, taken from the measurement alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.volume import Volume

__all__ = ["CtNoiseMap"]

Plane = npt.NDArray[np.float32]

_MOST_SLICES = 12
_STEP = 8
_HIGH_PASS_PX = 1.0
"""Narrow enough that organs' edges and vessels leave little in the high-pass; the kernel's gain brings noise back."""
_WINDOW_PX = 15
_QUIET_PERCENTILE, _QUIET_CELLS = 20, 7
_SMOOTHING_PX = 16.0
_SIDE = 24
_SOFT_TISSUE_HU = (-250.0, 350.0)
_FLATTEST_SHARE = 0.3
_LOWEST, _HIGHEST = 0.4, 5.0
"""Bounds of the map in units of the scan's level: lungs are quieter, shoulders and hips far noisier."""


@dataclass(frozen=True, slots=True)
class CtNoiseMap:
    """Standard deviation of the noise of a CT scan, slice by slice, in HU.

    The high-pass of a slice follows its noise but shows a kernel-dependent share of it. That share is constant over
    a scan, so it is measured where the scan's level was: in the flattest windows of soft tissue.

    Parameters
    ----------
    level : the scan's noise in HU, as the blind estimate or the user states it.
    unit : local deviation of the high-pass, in HU, that belongs to `level`.
    """

    level: float
    unit: float

    @classmethod
    def of(cls, volume: Volume, level: float) -> CtNoiseMap:
        """The map of a scan whose noise is `level` HU."""
        axis = volume.geometry.slice_axis
        count = volume.geometry.shape[axis]
        first, last = count // 10, count - count // 10
        chosen = np.unique(np.linspace(first, last - 1, min(_MOST_SLICES, last - first)).round().astype(int))
        deviations, shares, bodies = [], [], []
        for index in chosen:
            place: list[int | slice] = [slice(None)] * 3
            place[axis] = int(index)
            plane = np.array(volume.values[tuple(place)], np.float32, order="C")
            quiet = _quiet(plane)
            found, rows, columns = _flat_windows(plane)
            deviations.append(found)
            shares.append(quiet[rows, columns])
            bodies.append(quiet[plane[::_STEP, ::_STEP] > -500])
        return cls(level, _unit(np.concatenate(deviations), np.concatenate(shares), np.concatenate(bodies)))

    def sigma(self, plane: Plane) -> Plane:
        """Noise of one slice (N1, N2), in HU."""
        if self.unit <= 0:
            return np.full(plane.shape, self.level, np.float32)
        relative = np.clip(_quiet(plane) / self.unit, _LOWEST, _HIGHEST)
        full = np.repeat(np.repeat(relative, _STEP, 0), _STEP, 1)[: plane.shape[0], : plane.shape[1]]
        smooth: Plane = ndimage.uniform_filter(full, _STEP + 1, mode="nearest").astype(np.float32)
        return smooth * np.float32(self.level)


def _unit(
    deviations: npt.NDArray[np.float64], shares: npt.NDArray[np.float32], bodies: npt.NDArray[np.float32]
) -> float:
    """High-pass deviation that the level stands for: in the flattest 30 % of windows, else in the whole body."""
    if deviations.size:
        flattest = np.argsort(deviations)[: max(1, round(_FLATTEST_SHARE * deviations.size))]
        return float(np.median(shares[flattest]))
    return float(np.median(bodies)) if bodies.size else 0.0


def _quiet(plane: Plane) -> Plane:
    """Local deviation of the high-pass on every 8th pixel, from below, so that edges do not count as noise."""
    high = plane - ndimage.gaussian_filter(plane, _HIGH_PASS_PX)
    local = np.sqrt(np.maximum(ndimage.uniform_filter(high**2, _WINDOW_PX), 0))[::_STEP, ::_STEP]
    quiet = ndimage.percentile_filter(local, _QUIET_PERCENTILE, size=_QUIET_CELLS, mode="nearest")
    smooth: Plane = ndimage.gaussian_filter(quiet, _SMOOTHING_PX / _STEP, mode="nearest").astype(np.float32)
    return smooth


def _flat_windows(plane: Plane) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Deviation of every 24 px window of soft tissue after a quadratic fit, and its place on the coarse grid."""
    if min(plane.shape) < _SIDE:
        return np.zeros(0), np.zeros(0, np.intp), np.zeros(0, np.intp)
    half = _SIDE // 2
    windows = np.lib.stride_tricks.sliding_window_view(plane, (_SIDE, _SIDE))[::half, ::half]
    grid = np.argwhere(np.ones(windows.shape[:2], bool)) * half + half
    values = windows.reshape(-1, _SIDE * _SIDE)
    inside = (values > _SOFT_TISSUE_HU[0]) & (values < _SOFT_TISSUE_HU[1])
    chosen = inside.mean(1) >= 0.98
    flat = values[chosen].astype(np.float64)
    basis = _quadratic_basis()
    flat -= (flat @ basis) @ basis.T
    deviations = np.sqrt((flat**2).sum(1) / (_SIDE * _SIDE - basis.shape[1]))
    places = grid[chosen] // _STEP
    return deviations, places[:, 0], places[:, 1]


def _quadratic_basis() -> npt.NDArray[np.float64]:
    line = np.linspace(-1, 1, _SIDE)
    first, second = (axis.ravel() for axis in np.meshgrid(line, line, indexing="ij"))
    columns = np.stack([np.ones_like(first), first, second, first**2, second**2, first * second], 1)
    basis: npt.NDArray[np.float64] = np.linalg.qr(columns)[0]
    return basis
