"""The residual of a restoration in units of its noise: what every range channel looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.physics import MagnitudeNoise, NoiseModel
from medsr.records import Restoration
from medsr.validation.local_noise import CtNoiseMap

__all__ = ["FEWEST_PIXELS", "Residuals", "SliceResidual", "body_mask", "plane_of"]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

FEWEST_PIXELS = 100
"""A slice with fewer pixels to judge is left out."""

_EROSION = 2
_SMALLEST_SNR = 2.0
_BODY_HU = -500.0


@dataclass(frozen=True, slots=True, eq=False)
class SliceResidual:
    """One slice on the measured grid.

    Parameters
    ----------
    index : along the slice axis.
    residual : (N1, N2) y - E[y | A x] in image units; 0 at fill values.
    predicted : (N1, N2) E[y | A x].
    sigma : its expected standard deviation.
    u : residual / sigma, 0 where no noise is expected.
    mask : where the measurement says anything (body, signal above twice the noise, no fill values).
    """

    index: int
    residual: Plane
    predicted: Plane
    sigma: Plane
    u: Plane
    mask: Mask

    @property
    def judgeable(self) -> bool:
        """True if the slice holds enough pixels to say anything about it."""
        return int(np.count_nonzero(self.mask)) >= FEWEST_PIXELS


class Residuals:
    """Residual slices of any image against one measurement; what the scan alone decides is prepared once.

    For MR |A x| is compared with y, and mean and deviation of the magnitude are those of the noise model; for CT
    the deviation follows the local noise of the scan. Slices are made one at a time, so that a volume is never held
    a second time.
    """

    def __init__(self, restoration: Restoration) -> None:
        self.restoration = restoration
        self.measured = restoration.measured
        self.axis = self.measured.geometry.slice_axis
        self.count = self.measured.geometry.shape[self.axis]
        first, second = (self.measured.geometry.shape[a] for a in self.measured.geometry.in_plane_axes)
        self.plane_shape = (first, second)
        self.level = restoration.noise.sigma
        self._known = math.isfinite(self.level) and self.level > 0
        self._ct = CtNoiseMap.of(self.measured, self.level) if self.measured.modality == "CT" and self._known else None

    def slices(self, image: npt.NDArray[np.float32], indices: Sequence[int] | None = None) -> Iterator[SliceResidual]:
        """Residual of `image`, slice by slice; of all slices, or of `indices`."""
        linear = self.restoration.operator.linear
        whole = None
        if not linear.slices_are_independent:
            whole = linear.forward(torch.from_numpy(np.ascontiguousarray(image)))
        for index in range(self.count) if indices is None else indices:
            if whole is not None:
                predicted = whole.select(self.axis, index)
            else:
                part = torch.from_numpy(plane_of(image, index, self.axis)).unsqueeze(self.axis)
                predicted = linear.slab(index, index + 1).forward(part).squeeze(self.axis)
            yield self._slice(index, predicted)

    def _slice(self, index: int, predicted: torch.Tensor) -> SliceResidual:
        values = plane_of(self.measured.values, index, self.axis)
        padding = self.measured.padding
        fill = None if padding is None else np.ascontiguousarray(np.take(padding, index, self.axis))
        mean, sigma = self._expected(values, predicted)
        residual = values - mean
        if fill is not None:
            residual[fill] = 0
        u = np.divide(residual, sigma, out=np.zeros_like(residual), where=sigma > 0)
        if self._known:
            mask = body_mask(values, modality=self.measured.modality, sigma=self.level, fill=fill)
        else:
            mask = np.zeros(values.shape, np.bool_)
        return SliceResidual(index, residual, mean, sigma, u, mask)

    def _expected(self, values: Plane, predicted: torch.Tensor) -> tuple[Plane, Plane]:
        """Mean and deviation of y given A x."""
        if self.measured.modality == "CT":
            return predicted.numpy(), self._ct.sigma(values) if self._ct else np.zeros_like(values)
        signal = predicted.abs()
        if not self._known:
            return signal.numpy(), np.zeros_like(values)
        model, level = self._magnitude()
        mean, deviation = model.mean_and_sd(signal, level)
        return mean.numpy(), deviation.numpy().copy()

    def _magnitude(self) -> tuple[NoiseModel, torch.Tensor | float]:
        """Magnitude noise at this scan's level: the declared model with its map, else one coil's Rician noise."""
        declared = self.restoration.operator.noise
        if not isinstance(declared, MagnitudeNoise) or declared.sigma <= 0:
            return MagnitudeNoise(self.level), self.level
        field = declared.field(self.measured.geometry.shape, self.axis).squeeze(self.axis)
        return declared, field * (self.level / declared.sigma)


def body_mask(values: Plane, *, modality: str, sigma: float, fill: Mask | None) -> Mask:
    """Where a contradiction can be judged: inside the patient, with signal, off its rim by 2 px."""
    if modality == "CT":
        mask = ndimage.binary_opening(values > _BODY_HU, iterations=2)
    else:
        level = max(3 * sigma, 0.05 * float(np.percentile(values, 99)))
        mask = ndimage.gaussian_filter(values, 2.0) > level
    mask = ndimage.binary_fill_holes(mask)
    if modality == "MR" and sigma > 0:
        mask &= ndimage.gaussian_filter(values, 1.5) > _SMALLEST_SNR * sigma
    if fill is not None:
        mask &= ~fill
    return np.asarray(ndimage.binary_erosion(mask, iterations=_EROSION))


def plane_of(values: npt.NDArray[np.float32], index: int, axis: int) -> Plane:
    """A copy of slice `index` along `axis`, C order."""
    place: list[int | slice] = [slice(None)] * 3
    place[axis] = index
    return np.array(values[tuple(place)], np.float32, order="C")
