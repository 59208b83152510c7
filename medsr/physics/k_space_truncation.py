"""MRI in plane: a smaller acquisition matrix, as a cut of k-space."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch

from medsr.errors import Refusal
from medsr.physics.in_plane import InPlaneOperator
from medsr.physics.linear import Shape, check_grid, check_sizes, register

__all__ = ["KSpaceTruncation"]


@register("k_space_truncation")
@dataclass(frozen=True, slots=True)
class KSpaceTruncation(InPlaneOperator):
    """Keep the central M of N frequencies along both in-plane axes.

    A = g F_M^H D C F_N with the unitary 2-D DFT F, the crop C, the phase ramp D and g = sqrt(M1 M2 / (N1 N2)), so
    that values keep their scale (A 1 = 1). A A^T = g^2 on the kept frequencies, hence A+ = A^T / g^2. For even
    M < N the lone Nyquist line is dropped, otherwise real images would turn complex. D aligns the fields of view:
    coarse centre j lies at fine centre s j + (s - 1) / 2; a plain crop shifts the image by (s - 1) / 2 voxels.

    Parameters
    ----------
    shape : (I, J, K) of x, in voxels.
    coarse : (M1, M2), matrix of y along the in-plane axes in array order; at most that of x.
    slice_axis : the axis that is left alone.

    Raises
    ------
    Refusal : ``operator.parameter``, if that is no grid, or the coarse matrix is larger than the fine one or below 2.
    """

    shape: Shape
    coarse: tuple[int, int]
    slice_axis: int = 2

    def __post_init__(self) -> None:
        check_grid(self.shape, self.slice_axis)
        check_sizes("coarse matrix", self.coarse, 2, smallest=2)
        for axis, size in zip(self.in_plane_axes, self.coarse, strict=True):
            if size > self.shape[axis]:
                raise Refusal(
                    "operator.parameter",
                    f"coarse matrix of {size} along axis {'ijk'[axis]} of {self.shape[axis]} voxels",
                )

    @classmethod
    def by_scale(cls, shape: Shape, scale: float, *, slice_axis: int = 2) -> Self:
        """Truncation by a factor: M = round(N / scale) along both in-plane axes."""
        first, second = (axis for axis in range(3) if axis != slice_axis)
        return cls(
            shape,
            (round(shape[first] / scale), round(shape[second] / scale)),
            slice_axis,
        )

    @property
    def rank(self) -> int:
        """Number of kept frequencies times the number of slices."""
        kept = 1
        for axis, size in zip(self.in_plane_axes, self.coarse, strict=True):
            kept *= size - (1 if size % 2 == 0 and size < self.shape[axis] else 0)
        return kept * self.shape[self.slice_axis]

    @property
    def gain(self) -> float:
        """g = sqrt(M1 M2 / (N1 N2))."""
        first, second = self.in_plane_axes
        return math.sqrt(self.coarse[0] * self.coarse[1] / (self.shape[first] * self.shape[second]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A x: the coarse image; may ring below zero."""
        self._check_fine(x)
        spectrum = torch.fft.fft2(x, dim=self.tensor_axes, norm="ortho")
        for axis in (0, 1):
            spectrum = self._crop(spectrum, axis) * self._line(axis, x)
        image: torch.Tensor = torch.fft.ifft2(spectrum, dim=self.tensor_axes, norm="ortho").real
        return image * self.gain

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """A^T y: zero-filled to the fine matrix, times g."""
        return self._zero_filled(y) * self.gain

    def pinv(self, y: torch.Tensor) -> torch.Tensor:
        """A+ y: zero-filled to the fine matrix at unchanged values."""
        return self._zero_filled(y) / self.gain

    def parameters(self) -> Mapping[str, object]:
        """Shape, coarse matrix, slice axis."""
        return {
            "shape": list(self.shape),
            "coarse": list(self.coarse),
            "slice_axis": self.slice_axis,
        }

    def _with_shape(self, shape: Shape) -> Self:
        return replace(self, shape=shape)

    def _zero_filled(self, y: torch.Tensor) -> torch.Tensor:
        self._check_coarse(y)
        spectrum = torch.fft.fft2(y, dim=self.tensor_axes, norm="ortho")
        for axis in (0, 1):
            spectrum = self._pad(spectrum * self._line(axis, y).conj(), axis)
        image: torch.Tensor = torch.fft.ifft2(spectrum, dim=self.tensor_axes, norm="ortho").real
        return image

    def _sizes(self, axis: int) -> tuple[int, int]:
        return self.shape[self.in_plane_axes[axis]], self.coarse[axis]

    def _crop(self, spectrum: torch.Tensor, axis: int) -> torch.Tensor:
        fine, coarse = self._sizes(axis)
        dim = self.tensor_axes[axis]
        positive = (coarse + 1) // 2
        head = spectrum.narrow(dim, 0, positive)
        return torch.cat(
            [head, spectrum.narrow(dim, fine - (coarse - positive), coarse - positive)],
            dim,
        )

    def _pad(self, spectrum: torch.Tensor, axis: int) -> torch.Tensor:
        fine, coarse = self._sizes(axis)
        dim = self.tensor_axes[axis]
        positive = (coarse + 1) // 2
        middle = list(spectrum.shape)
        middle[dim] = fine - coarse
        zeros = torch.zeros(middle, dtype=spectrum.dtype, device=spectrum.device)
        tail = spectrum.narrow(dim, positive, coarse - positive)
        return torch.cat([spectrum.narrow(dim, 0, positive), zeros, tail], dim)

    def _line(self, axis: int, like: torch.Tensor) -> torch.Tensor:
        """Phase ramp of one axis, with the lone Nyquist line set to zero; broadcasts over the spectrum."""
        fine, coarse = self._sizes(axis)
        frequency = torch.fft.fftfreq(coarse, 1 / coarse, dtype=torch.float64)
        ramp = torch.exp(2j * math.pi * frequency * (fine / coarse - 1) / 2 / fine)
        if coarse % 2 == 0 and coarse < fine:
            ramp[coarse // 2] = 0
        shape = [1, 1, 1]
        shape[self.in_plane_axes[axis]] = coarse
        kind = torch.complex128 if like.dtype == torch.float64 else torch.complex64
        return ramp.to(kind).reshape(shape).to(like.device)
