"""Thick slices: what a slice of a given profile and distance shows of a thinner stack."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from medsr.errors import Refusal
from medsr.physics.linear import LinearOperator, Shape, apply_along, check_grid, register
from medsr.volume import Geometry

__all__ = ["SINGULAR_VALUE_FLOOR", "SliceProfile"]

SINGULAR_VALUE_FLOOR = 0.05
"""Singular values below this share of the largest are not inverted: they would blow noise up twentyfold."""


@register("slice_profile")
@dataclass(frozen=True, slots=True)
class SliceProfile(LinearOperator):
    """y_k = sum_j P_kj x_j along the slice axis; rows of P sum to 1.

    P is a box or a Gaussian whose full width at half maximum is `thickness`, centred at (thickness - 1) / 2 +
    `step` k in units of thin slices; `step` above `thickness` is a gap. For a box of whole thickness without gap,
    P+ = thickness P^T. Otherwise P+ is a singular value decomposition cut at 0.05 of the largest.

    Parameters
    ----------
    shape : (I, J, K) of x, in voxels, thin slices along `slice_axis`.
    thickness : profile width in thin slices, at least 1.
    step : distance of thick slice centres in thin slices, at least 1.
    profile : ``box`` or ``gauss``.
    slice_axis : the axis along which slices are thick.

    Raises
    ------
    Refusal : ``operator.parameter``, if that is no grid or not one thick slice fits the stack.
    """

    shape: Shape
    thickness: float
    step: float
    profile: Literal["box", "gauss"] = "box"
    slice_axis: int = 2

    def __post_init__(self) -> None:
        check_grid(self.shape, self.slice_axis)
        size = self.shape[self.slice_axis]
        if not (1 <= self.thickness <= size and 1 <= self.step < math.inf) or self.profile not in ("box", "gauss"):
            raise Refusal(
                "operator.parameter",
                f"profile {str(self.profile)[:20]!r} of {self.thickness} every {self.step} slices in a stack of {size}",
            )

    @property
    def count(self) -> int:
        """Number of thick slices that lie wholly inside the stack."""
        return _count(self.shape[self.slice_axis], self.thickness, self.step)

    @property
    def fine_shape(self) -> Shape:
        """(I, J, K) of x."""
        return self.shape

    @property
    def coarse_shape(self) -> Shape:
        """(I, J, K) of y: `count` slices along the slice axis."""
        sizes = list(self.shape)
        sizes[self.slice_axis] = self.count
        return (sizes[0], sizes[1], sizes[2])

    @property
    def rank(self) -> int:
        """Number of inverted singular values times the voxels of a slice."""
        voxels = 1
        for axis, size in enumerate(self.shape):
            voxels *= 1 if axis == self.slice_axis else size
        return self._matrices()[2] * voxels

    @property
    def exact(self) -> bool:
        """True if no singular value lay under the floor."""
        return self._matrices()[2] == self.count

    @property
    def slices_are_independent(self) -> bool:
        """False: a thick slice mixes thin ones."""
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A x: thick slices."""
        self._check_fine(x)
        return apply_along(self._matrices()[0], x, self.slice_axis - 3)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """A^T y: each thick slice spread over the thin ones by its profile."""
        self._check_coarse(y)
        return apply_along(self._matrices()[0].T, y, self.slice_axis - 3)

    def pinv(self, y: torch.Tensor) -> torch.Tensor:
        """A+ y: the least-norm thin stack, small singular values left out."""
        self._check_coarse(y)
        return apply_along(self._matrices()[1], y, self.slice_axis - 3)

    def parameters(self) -> Mapping[str, object]:
        """Shape, thickness, step, profile, slice axis."""
        return {
            "shape": list(self.shape),
            "thickness": self.thickness,
            "step": self.step,
            "profile": self.profile,
            "slice_axis": self.slice_axis,
        }

    def coarse_geometry(self, fine: Geometry) -> Geometry:
        """Thick slice k at fine position (thickness - 1) / 2 + step k; thickness in mm from the fine spacing."""
        thin_mm = fine.spacing_mm[self.slice_axis]
        return _restacked(
            fine,
            self.slice_axis,
            first=(self.thickness - 1) / 2,
            step=self.step,
            count=self.count,
            thickness_mm=thin_mm * self.thickness,
        )

    def fine_geometry(self, coarse: Geometry) -> Geometry:
        """Inverse of :meth:`coarse_geometry`."""
        thin_mm = coarse.spacing_mm[self.slice_axis] / self.step
        return _restacked(
            coarse,
            self.slice_axis,
            first=-(self.thickness - 1) / 2 / self.step,
            step=1 / self.step,
            count=self.shape[self.slice_axis],
            thickness_mm=thin_mm,
        )

    def slab(self, start: int, stop: int) -> LinearOperator:
        """Not defined: thick slices mix thin ones."""
        raise Refusal(
            "operator.slab",
            f"thick slices mix thin ones; slices {start} to {stop} do not stand alone",
        )

    def _matrices(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        return _profile_matrices(self.shape[self.slice_axis], self.thickness, self.step, self.profile)


def _count(size: int, thickness: float, step: float) -> int:
    return math.floor((size - thickness) / step + 1e-9) + 1


@lru_cache(maxsize=64)
def _profile_matrices(size: int, thickness: float, step: float, profile: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    """P (count, size) float64, its cut pseudo-inverse, and the number of singular values kept."""
    centres = (thickness - 1) / 2 + step * np.arange(_count(size, thickness, step))
    offset = np.arange(size)[None] - centres[:, None]
    if profile == "box":
        weights = np.minimum(offset + 0.5, thickness / 2) - np.maximum(offset - 0.5, -thickness / 2)
        weights = np.clip(weights, 0, None)
    else:
        weights = np.exp(-4 * np.log(2) * (offset / thickness) ** 2)
    weights /= weights.sum(1, keepdims=True)
    left, values, right = np.linalg.svd(weights, full_matrices=False)
    kept = values > SINGULAR_VALUE_FLOOR * values[0]
    inverse = (right[kept].T / values[kept]) @ left[:, kept].T
    return torch.from_numpy(weights), torch.from_numpy(inverse), int(kept.sum())


def _restacked(
    source: Geometry,
    axis: int,
    *,
    first: float,
    step: float,
    count: int,
    thickness_mm: float,
) -> Geometry:
    affine = np.array(source.world_from_voxel)
    offset = np.zeros(3)
    offset[axis] = first
    affine[:3, 3] = source.world(offset)
    affine[:3, axis] *= step
    shape = list(source.shape)
    shape[axis] = count
    return replace(
        source,
        shape=(shape[0], shape[1], shape[2]),
        world_from_voxel=affine,
        slice_axis=axis,
        slice_thickness_mm=thickness_mm,
    )
