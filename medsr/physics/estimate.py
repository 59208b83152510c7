"""How noisy a scan is, from its pixels alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.volume import Volume

__all__ = ["NoiseEstimate", "estimate_ct_noise", "estimate_noise"]

Plane = npt.NDArray[np.float32]

_MOST_SLICES = 12
_RAYLEIGH_MEAN = np.sqrt(np.pi / 2)
_RAYLEIGH_RATIO = np.sqrt(2 - np.pi / 2) / np.sqrt(np.pi / 2)
_RATIO_TOLERANCE = 0.25
_BRIGHTEST_AIR = 0.25
_MOST_INTERPOLATED = 4.0
"""Interpolation leaves the differences of tissue about .34 of the noise; "air" beyond this ratio is dark tissue."""
_BLOCK = 8
_MR_WINDOW = 10
_QUARTILE_OF_NOISE = 0.94
"""Lower quartile of the deviation in such windows on white noise of deviation 1."""
_FEWEST_BLOCKS = 20
_CT_WINDOW = 24
_SOFT_TISSUE_HU = (-150.0, 250.0)
_FLATTEST_SHARE = 0.3
_FALLBACK_CT_HU = 12.0

_LINE = np.arange(_BLOCK) - (_BLOCK - 1) / 2
_PLANE = np.linalg.qr(np.stack([np.ones(_BLOCK**2), np.repeat(_LINE, _BLOCK), np.tile(_LINE, _BLOCK)], 1))[0].astype(
    np.float32
)


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

    MR: from air (Rayleigh) where the scan has any, else from the diagonal differences of tissue, which texture raises
    and interpolation lowers (docs/decisions/0104). CT: from the flattest windows of soft tissue.
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
    planes = _slices(volume)
    for plane, fill in planes:
        air = _air_sigma(plane, fill)
        tissue = _diagonal_sigma(plane, fill)
        airs += [air] if air is not None else []
        tissues += [tissue] if tissue is not None else []
    # Air stands in every slice; what passes for it in a few is the rim of a mask.
    air = float(np.median(airs)) if 2 * len(airs) > len(planes) else None
    tissue = float(np.median(tissues)) if tissues else None
    if air is not None and tissue is not None and air > _MOST_INTERPOLATED * tissue:
        air = None
    return NoiseEstimate(air if air is not None else tissue or 0.0, air, tissue)


def _air_sigma(plane: Plane, fill: npt.NDArray[np.bool_] | None) -> float | None:
    """Rayleigh sigma of the quietest 8 px blocks, if they are distributed as noise; None otherwise."""
    blocks = _blocks(plane)
    zero = _blocks((plane == 0 if fill is None else fill | (plane == 0)).astype(np.float32)).mean(1)
    usable = blocks[zero < 0.1]
    if len(usable) < _FEWEST_BLOCKS:
        return None
    means = usable.mean(1)
    quiet = usable[means < 1.3 * np.percentile(means, 4)]
    if len(quiet) < _FEWEST_BLOCKS or quiet.mean() > _BRIGHTEST_AIR * np.percentile(plane, 99):
        return None
    # Noise keeps its deviation when the plane of each block is taken out; the rim of a mask does not.
    detrended = quiet - quiet @ _PLANE @ _PLANE.T
    ratio = float(np.median(np.sqrt((detrended**2).sum(1) / (detrended.shape[1] - _PLANE.shape[1]))) / quiet.mean())
    if abs(ratio / _RAYLEIGH_RATIO - 1) > _RATIO_TOLERANCE:
        return None
    return float(np.sqrt(np.mean(np.median(quiet**2, axis=1)) / (2 * np.log(2))))


def _diagonal_sigma(plane: Plane, fill: npt.NDArray[np.bool_] | None) -> float | None:
    """Root mean square of (a - b - c + d) / 2 over 2 x 2 pixels in the flatter quarter of 10 px windows of tissue.

    White noise keeps its sigma in these differences. Folds and vessels do not fall out of their median over all
    tissue, which reads up to twice the noise; the lower quartile over windows passes them by.
    """
    diagonal = (plane[:-1, :-1] - plane[1:, :-1] - plane[:-1, 1:] + plane[1:, 1:]) / 2
    level = 0.15 * np.percentile(plane, 99)
    tissue = ndimage.uniform_filter(plane, 5)[:-1, :-1] > level
    if fill is not None:
        tissue &= ~fill[:-1, :-1]
    middles = slice(_MR_WINDOW // 2, None, _MR_WINDOW // 2)
    inside = ndimage.minimum_filter(tissue, _MR_WINDOW)[middles, middles]
    energy = ndimage.uniform_filter(diagonal.astype(np.float64) ** 2, _MR_WINDOW)[middles, middles][inside]
    if len(energy) < _FEWEST_BLOCKS:
        return None
    return float(np.sqrt(np.percentile(energy, 25)) / _QUARTILE_OF_NOISE)


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
