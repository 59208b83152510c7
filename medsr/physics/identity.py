"""Nothing but noise stands between x and y: the operator of denoising."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from medsr.errors import Refusal
from medsr.physics.linear import LinearOperator, Shape, check_grid, register
from medsr.volume import Geometry

__all__ = ["Identity"]


@register("identity")
@dataclass(frozen=True, slots=True)
class Identity(LinearOperator):
    """A = I: every voxel was measured, with noise.

    Parameters
    ----------
    shape : (I, J, K) of x and y, in voxels.
    slice_axis : the axis that `slab` cuts.

    Raises
    ------
    Refusal : ``operator.parameter``, if that is no grid.
    """

    shape: Shape
    slice_axis: int = 2

    def __post_init__(self) -> None:
        check_grid(self.shape, self.slice_axis)

    @property
    def fine_shape(self) -> Shape:
        """(I, J, K)."""
        return self.shape

    @property
    def coarse_shape(self) -> Shape:
        """(I, J, K)."""
        return self.shape

    @property
    def rank(self) -> int:
        """Every voxel."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x."""
        self._check_fine(x)
        return x

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Return y."""
        self._check_coarse(y)
        return y

    def pinv(self, y: torch.Tensor) -> torch.Tensor:
        """Return y."""
        return self.adjoint(y)

    def parameters(self) -> Mapping[str, object]:
        """Shape and slice axis."""
        return {"shape": list(self.shape), "slice_axis": self.slice_axis}

    def coarse_geometry(self, fine: Geometry) -> Geometry:
        """The same geometry."""
        return fine

    def fine_geometry(self, coarse: Geometry) -> Geometry:
        """The same geometry."""
        return coarse

    def slab(self, start: int, stop: int) -> Identity:
        """The identity on fewer slices."""
        shape = list(self.shape)
        if not 0 <= start < stop <= shape[self.slice_axis]:
            raise Refusal("operator.slab", f"slices {start} to {stop} of {shape[self.slice_axis]}")
        shape[self.slice_axis] = stop - start
        return replace(self, shape=(shape[0], shape[1], shape[2]))
