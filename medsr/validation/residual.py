"""The residual of a restoration in units of its noise: what every range channel looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.physics.estimate import local_sigma_ct
from medsr.physics.linear import LinearOperator
from medsr.records import Restoration

__all__ = ["SliceResidual", "body_mask", "residual_slices"]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_EROSION = 2
_SMALLEST_SNR = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class SliceResidual:
    """One slice on the measured grid.

    residual is y - E[y | A x] in image units; sigma its expected standard deviation; u their ratio; mask where the
    measurement says anything (body, signal above twice the noise, no fill values).
    """

    index: int
    residual: Plane
    sigma: Plane
    mask: Mask

    @property
    def u(self) -> Plane:
        """Residual in units of the noise, 0 where no noise is expected."""
        return np.divide(self.residual, self.sigma, out=np.zeros_like(self.residual), where=self.sigma > 0)


def residual_slices(restoration: Restoration, image: npt.NDArray[np.float32]) -> Iterator[SliceResidual]:
    """Residual of `image` against the measurement, slice by slice.

    For MR |A x| is compared with y and the mean and deviation of the magnitude are those of the noise model; for CT
    the deviation follows the local noise of the scan.
    """
    measured, linear = restoration.measured, restoration.operator.linear
    axis = measured.geometry.slice_axis
    for index in range(measured.geometry.shape[axis]):
        place: list[int | slice] = [slice(None)] * 3
        place[axis] = index
        values = np.array(measured.values[tuple(place)], np.float32, order="C")
        fill = None if measured.padding is None else np.array(measured.padding[tuple(place)])
        predicted = _predicted(linear, image, index, axis)
        yield _slice(restoration, index, values, fill, predicted)


def body_mask(values: Plane, *, modality: str, sigma: float, fill: Mask | None) -> Mask:
    """Where a contradiction can be judged: inside the patient, with signal, off its rim by 2 px."""
    if modality == "CT":
        mask = ndimage.binary_opening(values > -500, iterations=2)
    else:
        level = max(3 * sigma, 0.05 * float(np.percentile(values, 99)))
        mask = ndimage.gaussian_filter(values, 2.0) > level
    mask = ndimage.binary_fill_holes(mask)
    if modality == "MR" and sigma > 0:
        mask &= ndimage.gaussian_filter(values, 1.5) > _SMALLEST_SNR * sigma
    if fill is not None:
        mask &= ~fill
    return np.asarray(ndimage.binary_erosion(mask, iterations=_EROSION))


def _predicted(linear: LinearOperator, image: npt.NDArray[np.float32], index: int, axis: int) -> torch.Tensor:
    place: list[int | slice] = [slice(None)] * 3
    place[axis] = slice(index, index + 1)
    part = torch.from_numpy(np.array(image[tuple(place)], np.float32, order="C"))
    return linear.slab(index, index + 1).forward(part).squeeze(axis)


def _slice(
    restoration: Restoration, index: int, values: Plane, fill: Mask | None, predicted: torch.Tensor
) -> SliceResidual:
    level = restoration.noise.sigma
    modality = restoration.measured.modality
    if modality == "CT":
        mean = predicted.numpy()
        sigma = local_sigma_ct(values, level)
    elif level > 0:
        expected, deviation = restoration.operator.noise.mean_and_sd(predicted.abs(), level)
        mean, sigma = expected.numpy(), deviation.numpy().copy()
    else:
        mean, sigma = predicted.abs().numpy(), np.zeros_like(values)
    mask = body_mask(values, modality=modality, sigma=level, fill=fill)
    return SliceResidual(index, values - mean, sigma, mask)
