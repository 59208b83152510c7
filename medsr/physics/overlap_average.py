"""CT in plane, factors that do not divide the matrix: area-weighted means of overlapping voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
import torch

from medsr.errors import Refusal
from medsr.physics.in_plane import InPlaneOperator
from medsr.physics.linear import Shape, apply_along, check_grid, check_sizes, register

__all__ = ["OverlapAverage"]


@register("overlap_average")
@dataclass(frozen=True, slots=True)
class OverlapAverage(InPlaneOperator):
    """Coarse voxels of any size, each the area-weighted mean of the fine voxels it covers.

    A is separable, W1 x W2, with rows of W summing to 1 (A 1 = 1); A+ = W1+ x W2+ by singular value
    decomposition. W has full row rank for M <= N.

    Parameters
    ----------
    shape : (I, J, K) of x, in voxels.
    coarse : (M1, M2), matrix of y along the in-plane axes; at most that of x.
    slice_axis : the axis that is left alone.

    Raises
    ------
    Refusal : ``operator.parameter``, if that is no grid, or the coarse matrix is larger than the fine one or empty.
    """

    shape: Shape
    coarse: tuple[int, int]
    slice_axis: int = 2

    def __post_init__(self) -> None:
        check_grid(self.shape, self.slice_axis)
        check_sizes("coarse matrix", self.coarse, 2)
        for axis, size in zip(self.in_plane_axes, self.coarse, strict=True):
            if size > self.shape[axis]:
                raise Refusal(
                    "operator.parameter",
                    f"coarse matrix of {size} along axis {'ijk'[axis]} of {self.shape[axis]} voxels",
                )

    @property
    def rank(self) -> int:
        """Number of coarse voxels."""
        return self.coarse[0] * self.coarse[1] * self.shape[self.slice_axis]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A x: overlap-weighted means."""
        self._check_fine(x)
        return self._apply(x, 0)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """A^T y: each value spread over the voxels it covers, by weight."""
        self._check_coarse(y)
        return self._apply(y, 1)

    def pinv(self, y: torch.Tensor) -> torch.Tensor:
        """A+ y: the least-norm image with these means."""
        self._check_coarse(y)
        return self._apply(y, 2)

    def parameters(self) -> Mapping[str, object]:
        """Shape, coarse matrix, slice axis."""
        return {
            "shape": list(self.shape),
            "coarse": list(self.coarse),
            "slice_axis": self.slice_axis,
        }

    def _with_shape(self, shape: Shape) -> Self:
        return replace(self, shape=shape)

    def _apply(self, x: torch.Tensor, form: int) -> torch.Tensor:
        for axis in (0, 1):
            fine = self.shape[self.in_plane_axes[axis]]
            x = apply_along(_matrices(fine, self.coarse[axis])[form], x, self.tensor_axes[axis])
        return x


@lru_cache(maxsize=64)
def _matrices(fine: int, coarse: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """W (coarse, fine), its transpose and its pseudo-inverse, float64."""
    edges = np.arange(coarse + 1) * fine / coarse
    pixels = np.arange(fine)
    upper = np.minimum(edges[1:, None], pixels[None] + 1)
    weights = np.clip(upper - np.maximum(edges[:-1, None], pixels[None]), 0, None)
    weights /= weights.sum(1, keepdims=True)
    matrix = torch.from_numpy(weights)
    return matrix, matrix.T.contiguous(), torch.linalg.pinv(matrix)
