"""The residual of a restoration in units of its noise: what every range channel looks at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.physics import MagnitudeNoise, NoiseModel, NoNoise
from medsr.records import Restoration
from medsr.validation.local_noise import CtNoiseMap, plane_of

__all__ = [
    "FEWEST_PIXELS",
    "SMALLEST_SNR",
    "Measurement",
    "Residuals",
    "SliceResidual",
    "body_mask",
]

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

FEWEST_PIXELS = 100
"""A slice with fewer pixels to judge is left out."""

SMALLEST_SNR = 2.0
"""Signals below this many noise sd are not judged: the Rician floor."""

_EROSION = 2
_SMOOTHING_PX = 1.5
_BODY_OVER_FAINTEST, _BODY_SHARE = 1.3, 0.05
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


class Measurement:
    """What the scan alone decides about residuals: noise, masks. Made once for all images judged against it."""

    def __init__(self, restoration: Restoration) -> None:
        self.restoration = restoration
        self.volume = restoration.measured
        geometry = self.volume.geometry
        self.axis = geometry.slice_axis
        self.count = geometry.shape[self.axis]
        self.plane_shape = (geometry.shape[geometry.in_plane_axes[0]], geometry.shape[geometry.in_plane_axes[1]])
        self.level = restoration.noise.sigma
        self.known = math.isfinite(self.level) and self.level > 0
        self.ct = CtNoiseMap.of(self.volume, self.level) if self.volume.modality == "CT" and self.known else None
        self._faintest = self._faintest_signal()

    def plane(self, index: int) -> Plane:
        """y of slice `index`."""
        return plane_of(self.volume.values, index, self.axis)

    def fill(self, index: int) -> Mask | None:
        """Fill values of slice `index`, or None."""
        padding = self.volume.padding
        return None if padding is None else np.ascontiguousarray(np.moveaxis(padding, self.axis, 0)[index])

    def mask(self, index: int, predicted: Plane | None = None) -> Mask:
        """Where slice `index` can be judged: where the scan or the image shows a signal; nowhere without a noise level.

        With the scan alone, an image could put structure into air or over a lesion as dark as air, and be believed.
        """
        if not self.known:
            return np.zeros(self.plane_shape, np.bool_)
        values, modality = self.plane(index), self.volume.modality
        return body_mask(
            values,
            modality=modality,
            faintest=self._faintest,
            fill=self.fill(index),
            predicted=predicted,
            sigma=self.level,
        )

    def magnitude(self) -> tuple[NoiseModel, torch.Tensor | float]:
        """Magnitude noise at this scan's level: the declared model with its map, else one coil's Rician noise."""
        declared = self.restoration.operator.noise
        if not isinstance(declared, MagnitudeNoise) or declared.sigma <= 0:
            return MagnitudeNoise(self.level), self.level
        field = declared.field(self.volume.geometry.shape, self.axis).squeeze(self.axis)
        return declared, field * (self.level / declared.sigma)

    def noise(self) -> tuple[NoiseModel, torch.Tensor | float]:
        """The noise model that E[y | A x] follows.

        Where the degradation is declared to have added none, the scan's own noise is part of x: A x is then expected
        as it is, without the Rician bias, and the level tells the deviation alone.
        """
        operator = self.restoration.operator
        if operator.provenance == "declared" and isinstance(operator.noise, NoNoise):
            return operator.noise, self.level
        return self.magnitude()

    def _faintest_signal(self) -> float:
        """Expected magnitude where the signal is twice the noise; below it the Rician floor hides contrast."""
        if self.volume.modality == "CT" or not self.known:
            return 0.0
        model, _ = self.magnitude()
        return float(model.mean_and_sd(torch.tensor([SMALLEST_SNR * self.level]), self.level)[0])


class Residuals:
    """Residual slices of one image against one measurement.

    For MR |A x| is compared with y, and mean and deviation of the magnitude are those of the noise model; for CT
    the deviation follows the local noise of the scan. Slices are made one at a time, so that a volume is never held
    a second time.
    """

    def __init__(self, measurement: Measurement, image: npt.NDArray[np.float32]) -> None:
        self.measurement, self._image = measurement, image
        self._linear = measurement.restoration.operator.linear
        self._whole: torch.Tensor | None = None
        if not self._linear.slices_are_independent:
            self._whole = self._linear.forward(torch.from_numpy(np.ascontiguousarray(image)))
        self._unit = 0.0
        if measurement.ct is not None:
            planes = {flat.index: self._plain(flat.index)[0] for flat in measurement.ct.flattest}
            self._unit = measurement.ct.unit_of(planes)

    def slices(self, indices: Iterable[int] | None = None) -> Iterator[SliceResidual]:
        """Residuals slice by slice; of all slices, or of `indices`."""
        for index in range(self.measurement.count) if indices is None else indices:
            yield self.slice(index)

    def slice(self, index: int) -> SliceResidual:
        """Residual of one slice."""
        measurement = self.measurement
        if measurement.volume.modality == "CT" or not measurement.known:
            residual, mean = self._plain(index)
            sigma = np.zeros_like(residual)
            if measurement.ct is not None:
                sigma = measurement.ct.sigma(measurement.plane(index), residual, self._unit)
        else:
            model, level = measurement.noise()
            expected, deviation = model.mean_and_sd(self._predicted(index).abs(), level)
            mean, sigma = expected.numpy(), deviation.numpy()
            residual = measurement.plane(index) - mean
        fill = measurement.fill(index)
        if fill is not None:
            residual[fill] = 0
        u = np.divide(residual, sigma, out=np.zeros_like(residual), where=sigma > 0)
        return SliceResidual(index, residual, mean, sigma, u, measurement.mask(index, mean))

    def _plain(self, index: int) -> tuple[Plane, Plane]:
        """y - |A x| without a noise model (for CT: y - A x), and what was subtracted."""
        predicted = self._predicted(index)
        mean = (predicted if self.measurement.volume.modality == "CT" else predicted.abs()).numpy()
        return self.measurement.plane(index) - mean, mean

    def _predicted(self, index: int) -> torch.Tensor:
        axis = self.measurement.axis
        if self._whole is not None:
            return self._whole.select(axis, index)
        part = torch.from_numpy(plane_of(self._image, index, axis)).unsqueeze(axis)
        return self._linear.slab(index, index + 1).forward(part).squeeze(axis)


def body_mask(
    values: Plane,
    *,
    modality: str,
    faintest: float,
    fill: Mask | None,
    predicted: Plane | None = None,
    sigma: float = 0,
) -> Mask:
    """Where a contradiction can be judged: inside the patient, with signal, off its rim by 2 px.

    Parameters
    ----------
    faintest : expected magnitude of the faintest signal that is judged (MR).
    predicted : what the image makes of the scan; an MR signal there that the scan clearly lacks is judged too.
    sigma : noise of a magnitude, which says what is clear.
    """
    if modality == "CT":
        mask = ndimage.binary_fill_holes(ndimage.binary_opening(values > _BODY_HU, iterations=2))
    else:
        smooth = ndimage.gaussian_filter(values, _SMOOTHING_PX)
        claimed = np.zeros(values.shape, np.bool_)
        if predicted is not None:
            shown = ndimage.gaussian_filter(predicted, _SMOOTHING_PX)
            claimed = (shown > faintest) & (shown - smooth > sigma)
        body = smooth > max(_BODY_OVER_FAINTEST * faintest, _BODY_SHARE * float(np.percentile(values[::4, ::4], 99)))
        mask = ndimage.binary_fill_holes(body | claimed) & ((smooth > faintest) | claimed)
    if fill is not None:
        mask &= ~fill
    return np.asarray(ndimage.binary_erosion(mask, iterations=_EROSION))
