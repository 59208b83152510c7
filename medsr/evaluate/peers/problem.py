"""What every method is given of a case: the measurement, its operator and its noise; never the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.evaluate.cases import Case, stack_of
from medsr.physics import LinearOperator, MagnitudeNoise, SliceMask
from medsr.physics.ct_noise import noise_fields
from medsr.restore.intensity import percentile_of_positive

__all__ = ["Problem"]

Array = npt.NDArray[np.float32]

_PSD_SIDE = 64
_PSD_VIEWS = 180
_PSD_FIELDS = 8


@dataclass(frozen=True)
class Problem:
    """A measurement as stacks: slices first.

    Parameters
    ----------
    values : (S', M1, M2) y; for lost slices the acquired ones alone.
    linear : A, in voxel axes; axis : its slice axis.
    sigma : noise to remove, in image units; 0 where none was added.
    magnitude : True if y is a magnitude image.
    dose : fraction of the dose, or None.
    unit : size of the image's intensities: 99.9th percentile of positive voxels (MR) or 1000 HU.
    spacing_mm : of y in plane.
    """

    values: Array
    linear: LinearOperator
    axis: int
    sigma: float
    magnitude: bool
    dose: float | None
    unit: float
    spacing_mm: float
    seed: int

    @classmethod
    def of(cls, case: Case) -> Problem:
        """The problem of a case."""
        operator, measured = case.operator, case.degraded
        values = stack_of(measured.values, measured)
        if isinstance(operator.linear, SliceMask):
            values = values[list(operator.linear.kept)]
        ct = measured.modality == "CT"
        return cls(
            values=values,
            linear=operator.linear,
            axis=measured.geometry.slice_axis,
            sigma=operator.noise.level,
            magnitude=isinstance(operator.noise, MagnitudeNoise),
            dose=case.level.dose,
            unit=1000.0 if ct else percentile_of_positive(measured.values),
            spacing_mm=measured.geometry.spacing_mm[measured.geometry.in_plane_axes[0]],
            seed=case.seed,
        )

    @property
    def fine_slices(self) -> int:
        """Number of slices of x."""
        return self.linear.fine_shape[self.axis]

    def pinv(self, values: Array) -> Array:
        """A+ y as a stack."""
        return self._moved(self.linear.pinv, values)

    def forward(self, values: Array) -> Array:
        """A x as a stack."""
        return self._moved(self.linear.forward, values)

    def _moved(self, deed: Callable[[torch.Tensor], torch.Tensor], values: Array) -> Array:
        given = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, 0, self.axis)))
        result: Array = deed(given).numpy()
        return np.ascontiguousarray(np.moveaxis(result, self.axis, 0)).astype(np.float32)

    @cached_property
    def spectrum(self) -> npt.NDArray[np.float64]:
        """Power spectrum of the CT noise, mean 1, (64, 64) in fft2 layout.

        Drawn anew from the measurement itself by the law that made the noise: what a user who knows the scanner
        would have; the noise that was added is not looked at.
        """
        middle = self.values[len(self.values) // 2]
        rng = np.random.default_rng([self.seed, 1])
        fields = noise_fields(middle, self.spacing_mm, rng, count=_PSD_FIELDS, views=_PSD_VIEWS)
        row, column = (size // 2 - _PSD_SIDE // 2 for size in middle.shape)
        centre = fields[:, row : row + _PSD_SIDE, column : column + _PSD_SIDE].astype(np.float64)
        centre -= centre.mean((1, 2), keepdims=True)
        power = (np.abs(np.fft.fft2(centre)) ** 2).mean(0)
        normalised: npt.NDArray[np.float64] = power / power.mean()
        return normalised

    def noise_psd(self) -> npt.NDArray[np.float64]:
        """Expected |FFT2|^2 of the noise of one slice of y, unnormalised, (M1, M2)."""
        rows, columns = self.values.shape[1:]
        if not self.dose:
            return np.full((rows, columns), self.sigma**2 * rows * columns)
        half = _PSD_SIDE // 2
        shifted = np.pad(np.fft.fftshift(self.spectrum), ((0, 1), (0, 1)), mode="wrap")
        grid = np.meshgrid(
            np.fft.fftfreq(rows) * _PSD_SIDE + half, np.fft.fftfreq(columns) * _PSD_SIDE + half, indexing="ij"
        )
        power = ndimage.map_coordinates(shifted, grid, order=1, mode="nearest")
        whole: npt.NDArray[np.float64] = np.maximum(power / power.mean(), 1e-4) * self.sigma**2 * rows * columns
        return whole
