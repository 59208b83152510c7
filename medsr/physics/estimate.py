"""How noisy a scan is, from its pixels alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.volume import Volume

__all__ = ["NoiseEstimate", "estimate_ct_noise", "estimate_noise", "local_sigma_ct"]

Plane = npt.NDArray[np.float32]

_MOST_SLICES = 12
_RAYLEIGH_MEAN = np.sqrt(np.pi / 2)
_RAYLEIGH_RATIO = np.sqrt(2 - np.pi / 2) / np.sqrt(np.pi / 2)
_RATIO_TOLERANCE = 0.25
_BLOCK = 8
_FEWEST_BLOCKS = 20
_CT_WINDOW = 24
_SOFT_TISSUE_HU = (-150.0, 250.0)
_FLATTEST_SHARE = 0.3
_FALLBACK_CT_HU = 12.0


@dataclass(frozen=True, slots=True)
class NoiseEstimate:
    """sigma in image units, and the estimates it was chosen from (None where the scan had no place for one)."""

    sigma: float
    air: float | None = None
    tissue: float | None = None

    @property
    def consistent(self) -> bool:
        """True if both estimates exist and differ by no more than a tenth."""
        if not self.air or not self.tissue:
            return False
        return abs(self.air - self.tissue) <= 0.1 * max(self.air, self.tissue)


def estimate_noise(volume: Volume) -> NoiseEstimate:
    """Blind noise of a scan: medians over at most 12 slices of its inner part.

    MR: from air (Rayleigh) and from the diagonal differences of tissue; the larger wins, since interpolation hides
    noise from the differences and masking hides it from air. CT: from the flattest windows of soft tissue.
    """
    return estimate_ct_noise(volume) if volume.modality == "CT" else _estimate_mr(volume)


def estimate_ct_noise(volume: Volume) -> NoiseEstimate:
    """Standard deviation in the flattest 30 % of 24 px windows of soft tissue, after a quadratic fit, in HU."""
    found: list[float] = []
    for plane, _ in _slices(volume):
        found += _flat_deviations(plane)
    if not found:
        return NoiseEstimate(_fallback(volume))
    flattest = np.sort(found)[: max(1, round(_FLATTEST_SHARE * len(found)))]
    sigma = float(np.median(flattest))
    return NoiseEstimate(sigma, tissue=sigma)


def local_sigma_ct(plane: Plane, sigma_hu: float) -> Plane:
    """Map of the noise of one CT slice, in HU, with the median `sigma_hu` in the body.

    The local deviation of the high-pass in 15 px windows, its lower quintile over 52 px so that edges do not count
    as noise, smoothed; at least half and at most three times the median.
    """
    high = plane - ndimage.gaussian_filter(plane, 2.0)
    local = np.sqrt(np.maximum(ndimage.uniform_filter(high.astype(np.float64) ** 2, 15), 0))[::4, ::4]
    quiet = ndimage.percentile_filter(local, 20, size=13, mode="nearest")
    smooth = ndimage.gaussian_filter(quiet, 4.0, mode="nearest")
    body = plane[::4, ::4] > -500
    middle = float(np.median(smooth[body])) if body.any() else float(np.median(smooth))
    if middle <= 0:
        return np.full(plane.shape, sigma_hu, np.float32)
    relative = np.clip(smooth / middle, 0.5, 3.0)
    full = np.repeat(np.repeat(relative, 4, 0), 4, 1)[: plane.shape[0], : plane.shape[1]]
    local_sigma: Plane = (sigma_hu * ndimage.uniform_filter(full, 5, mode="nearest")).astype(np.float32)
    return local_sigma


def _slices(volume: Volume) -> list[tuple[Plane, npt.NDArray[np.bool_] | None]]:
    """At most 12 slices of the inner four fifths, with their fill masks."""
    axis = volume.geometry.slice_axis
    count = volume.geometry.shape[axis]
    first, last = count // 10, count - count // 10
    chosen = np.unique(np.linspace(first, last - 1, min(_MOST_SLICES, last - first)).round().astype(int))
    planes = []
    for index in chosen:
        place: list[int | slice] = [slice(None)] * 3
        place[axis] = int(index)
        mask = None if volume.padding is None else volume.padding[tuple(place)]
        planes.append((np.ascontiguousarray(volume.values[tuple(place)]), mask))
    return planes


def _estimate_mr(volume: Volume) -> NoiseEstimate:
    airs, tissues = [], []
    for plane, fill in _slices(volume):
        air = _air_sigma(plane, fill)
        tissue = _diagonal_sigma(plane, fill)
        airs += [air] if air is not None else []
        tissues += [tissue] if tissue is not None else []
    air = float(np.median(airs)) if airs else None
    tissue = float(np.median(tissues)) if tissues else None
    known = [value for value in (air, tissue) if value is not None]
    return NoiseEstimate(max(known) if known else 0.0, air, tissue)


def _air_sigma(plane: Plane, fill: npt.NDArray[np.bool_] | None) -> float | None:
    """Rayleigh sigma of the quietest 8 px blocks, if they are distributed as noise; None otherwise."""
    blocks = _blocks(plane)
    zero = _blocks((plane == 0 if fill is None else fill | (plane == 0)).astype(np.float32)).mean(1)
    usable = blocks[zero < 0.1]
    if len(usable) < _FEWEST_BLOCKS:
        return None
    means = usable.mean(1)
    quiet = usable[means < 1.3 * np.percentile(means, 4)]
    if len(quiet) < _FEWEST_BLOCKS:
        return None
    ratio = float(np.median(quiet.std(1)) / quiet.mean())
    if abs(ratio / _RAYLEIGH_RATIO - 1) > _RATIO_TOLERANCE:
        return None
    return float(np.sqrt(np.mean(np.median(quiet**2, axis=1)) / (2 * np.log(2))))


def _diagonal_sigma(plane: Plane, fill: npt.NDArray[np.bool_] | None) -> float | None:
    """1.4826 MAD of (a - b - c + d) / 2 over 2 x 2 pixels of tissue: white noise keeps its sigma, edges fall out."""
    diagonal = (plane[:-1, :-1] - plane[1:, :-1] - plane[:-1, 1:] + plane[1:, 1:]) / 2
    level = 0.15 * np.percentile(plane, 99)
    tissue = ndimage.uniform_filter(plane, 5)[:-1, :-1] > level
    if fill is not None:
        tissue &= ~fill[:-1, :-1]
    values = diagonal[tissue]
    if len(values) < 400:
        return None
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _blocks(plane: Plane) -> Plane:
    rows, columns = (size // _BLOCK for size in plane.shape)
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(rows * columns, _BLOCK * _BLOCK)


def _flat_deviations(plane: Plane) -> list[float]:
    side, half = _CT_WINDOW, _CT_WINDOW // 2
    line = np.linspace(-1, 1, side)
    first, second = (grid.ravel() for grid in np.meshgrid(line, line, indexing="ij"))
    basis = np.stack([np.ones_like(first), first, second, first**2, second**2, first * second], 1)
    orthonormal, _ = np.linalg.qr(basis)
    found = []
    for row in range(0, plane.shape[0] - side + 1, half):
        for column in range(0, plane.shape[1] - side + 1, half):
            window = plane[row : row + side, column : column + side]
            middle = float(window[half, half])
            if not _SOFT_TISSUE_HU[0] - 100 < middle < _SOFT_TISSUE_HU[1] + 100:
                continue
            inside = (window > _SOFT_TISSUE_HU[0] - 100) & (window < _SOFT_TISSUE_HU[1] + 100)
            if inside.mean() < 0.98:
                continue
            values = window.ravel().astype(np.float64)
            values -= orthonormal @ (orthonormal.T @ values)
            found.append(float(np.sqrt((values**2).sum() / (values.size - basis.shape[1]))))
    return found


def _fallback(volume: Volume) -> float:
    """Diagonal differences where no window is all soft tissue; a typical 12 HU where even those have no place."""
    deviations = []
    for plane, _ in _slices(volume):
        tissue = (plane > _SOFT_TISSUE_HU[0]) & (plane < _SOFT_TISSUE_HU[1])
        high = plane - ndimage.gaussian_filter(plane, 2.0)
        if tissue.sum() > 200:
            deviations.append(1.4826 * float(np.median(np.abs(high[tissue]))))
    return float(np.median(deviations)) if deviations else _FALLBACK_CT_HU
