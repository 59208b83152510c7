"""How noisy a CT scan is from place to place: the measure of every residual, taken from the measurement alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.volume import Volume

__all__ = ["CtNoiseMap", "Flat", "plane_of"]

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
_BODY_HU = -500.0
_LEAST_RESIDUAL = 0.1
"""A residual with less than this share of the scan's high-pass says nothing about the noise."""
_LOWEST, _HIGHEST = 0.4, 5.0
"""Bounds of the map in units of the scan's level: lungs are quieter, shoulders and hips far noisier."""


@dataclass(frozen=True, slots=True)
class Flat:
    """The flattest windows of one slice: its index, and their places on the grid of every 8th pixel."""

    index: int
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class CtNoiseMap:
    """Standard deviation of the noise of a CT scan, slice by slice, in HU.

    The high-pass of a slice follows its noise but shows a kernel-dependent share of it. That share is constant over
    a scan, so it is measured where the scan's level was: in the flattest windows of soft tissue. Anatomy adds to the
    high-pass of the scan, and little to that of a residual: the smaller of both maps stands. The residual can lower
    the map alone, so that no image makes the gate blind to what it took away.

    Parameters
    ----------
    level : the scan's noise in HU, as the blind estimate or the user states it.
    unit : local deviation of the scan's high-pass, in HU, that belongs to `level`; 0 where nothing can be told.
    flattest : the windows it was measured in.
    """

    level: float
    unit: float
    flattest: tuple[Flat, ...]

    @classmethod
    def of(cls, volume: Volume, level: float) -> CtNoiseMap:
        """The map of a scan whose noise is `level` HU."""
        axis = volume.geometry.slice_axis
        count = volume.geometry.shape[axis]
        first, last = count // 10, count - count // 10
        chosen = np.unique(np.linspace(first, last - 1, min(_MOST_SLICES, last - first)).round().astype(int))
        windows, bodies = [], []
        for index in chosen.tolist():
            plane = plane_of(volume.values, index, axis)
            quiet = _quiet(plane)
            windows.append((index, quiet, *_windows(plane)))
            bodies.append(quiet[plane[::_STEP, ::_STEP] > _BODY_HU])
        deviations = np.concatenate([item[2] for item in windows])
        if not deviations.size:
            body = np.concatenate(bodies)
            return cls(level, float(np.median(body)) if body.size else 0.0, ())
        limit = float(np.quantile(deviations, _FLATTEST_SHARE))
        flat = [(i, quiet, rows[d <= limit], columns[d <= limit]) for i, quiet, d, rows, columns in windows]
        unit = float(np.median(np.concatenate([quiet[rows, columns] for _, quiet, rows, columns in flat])))
        return cls(level, unit, tuple(Flat(i, rows, columns) for i, _, rows, columns in flat if rows.size))

    def unit_of(self, planes: Mapping[int, Plane]) -> float:
        """What :attr:`unit` is to the scan, for residuals of the slices of `flattest`; 0 where they hold too little."""
        found = [_quiet(planes[flat.index])[flat.rows, flat.columns] for flat in self.flattest]
        unit = float(np.median(np.concatenate(found))) if found else 0.0
        return unit if unit > _LEAST_RESIDUAL * self.unit else 0.0

    def sigma(self, plane: Plane, residual: Plane | None = None, residual_unit: float = 0.0) -> Plane:
        """Noise of one slice (N1, N2), in HU; `residual` lowers it where the scan's own map holds anatomy."""
        if self.unit <= 0:
            return np.full(plane.shape, self.level, np.float32)
        relative = _quiet(plane) / self.unit
        if residual is not None and residual_unit > 0:
            relative = np.minimum(relative, _quiet(residual) / residual_unit)
        full = np.repeat(np.repeat(np.clip(relative, _LOWEST, _HIGHEST), _STEP, 0), _STEP, 1)
        smooth: Plane = ndimage.uniform_filter(full[: plane.shape[0], : plane.shape[1]], _STEP + 1, mode="nearest")
        return (smooth * self.level).astype(np.float32)


def plane_of(values: npt.NDArray[np.float32], index: int, axis: int) -> Plane:
    """A copy of slice `index` along `axis`, C order."""
    place: list[int | slice] = [slice(None)] * 3
    place[axis] = index
    return np.array(values[tuple(place)], np.float32, order="C")


def _quiet(plane: Plane) -> Plane:
    """Local deviation of the high-pass on every 8th pixel, from below, so that edges do not count as noise."""
    high = plane - ndimage.gaussian_filter(plane, _HIGH_PASS_PX)
    local = np.sqrt(np.maximum(ndimage.uniform_filter(high**2, _WINDOW_PX), 0))[::_STEP, ::_STEP]
    quiet = ndimage.percentile_filter(local, _QUIET_PERCENTILE, size=_QUIET_CELLS, mode="nearest")
    smooth: Plane = ndimage.gaussian_filter(quiet, _SMOOTHING_PX / _STEP, mode="nearest").astype(np.float32)
    return smooth


def _windows(plane: Plane) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
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
