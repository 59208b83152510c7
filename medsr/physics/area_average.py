"""CT in plane: a coarser matrix, as the mean over blocks of voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch

from medsr.errors import Refusal
from medsr.physics.in_plane import InPlaneOperator
from medsr.physics.linear import Shape, check_grid, check_sizes, register

__all__ = ["AreaAverage"]


@register("area_average")
@dataclass(frozen=True, slots=True)
class AreaAverage(InPlaneOperator):
    """Mean over blocks of voxels: the forward model of a coarser matrix.

    A A^T = I / n for blocks of n voxels, hence A+ = n A^T: each mean fills its block.

    Parameters
    ----------
    shape : (I, J, K) of x, in voxels.
    factors : block size along the two in-plane axes in array order, in voxels.
    slice_axis : the axis that is left alone.

    Raises
    ------
    Refusal : ``operator.indivisible``, if a factor does not divide its axis (OverlapAverage takes those);
        ``operator.parameter``, if that is no grid.
    """

    shape: Shape
    factors: tuple[int, int]
    slice_axis: int = 2

    def __post_init__(self) -> None:
        check_grid(self.shape, self.slice_axis)
        check_sizes("factors", self.factors, 2)
        for axis, factor in zip(self.in_plane_axes, self.factors, strict=True):
            if self.shape[axis] % factor:
                raise Refusal(
                    "operator.indivisible",
                    f"axis {'ijk'[axis]}: {self.shape[axis]} voxels by {factor}",
                )

    @property
    def coarse(self) -> tuple[int, int]:
        """(M1, M2) of y."""
        first, second = self.in_plane_axes
        return self.shape[first] // self.factors[0], self.shape[second] // self.factors[1]

    @property
    def rank(self) -> int:
        """Number of coarse voxels: every block mean is independent."""
        return self.coarse[0] * self.coarse[1] * self.shape[self.slice_axis]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A x: block means."""
        self._check_fine(x)
        for axis in (0, 1):
            dim = self.tensor_axes[axis]
            x = x.unflatten(dim, (self.coarse[axis], self.factors[axis])).mean(dim)
        return x

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """A^T y: each value over its block, divided by the block's size."""
        return self.pinv(y) / (self.factors[0] * self.factors[1])

    def pinv(self, y: torch.Tensor) -> torch.Tensor:
        """A+ y: each value fills its block."""
        self._check_coarse(y)
        for axis in (0, 1):
            y = y.repeat_interleave(self.factors[axis], dim=self.tensor_axes[axis])
        return y

    def parameters(self) -> Mapping[str, object]:
        """Shape, factors, slice axis."""
        return {
            "shape": list(self.shape),
            "factors": list(self.factors),
            "slice_axis": self.slice_axis,
        }

    def _with_shape(self, shape: Shape) -> Self:
        return replace(self, shape=shape)
