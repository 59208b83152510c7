"""Lost slices: some were acquired, the others were not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from medsr.errors import Refusal
from medsr.physics.linear import LinearOperator, Shape, check_grid, check_sizes, register
from medsr.volume import Geometry

__all__ = ["SliceMask"]


@register("slice_mask")
@dataclass(frozen=True, slots=True)
class SliceMask(LinearOperator):
    """Selection S of the acquired slices; S S^T = I, hence S+ = S^T (zeros where nothing was acquired).

    Parameters
    ----------
    shape : (I, J, K) of the whole stack x.
    kept : ascending indices of acquired slices along `slice_axis`; at least one.
    slice_axis : the axis that lost slices.

    Raises
    ------
    Refusal : ``operator.parameter``, if the indices are empty, unordered or outside the stack.
    """

    shape: Shape
    kept: tuple[int, ...]
    slice_axis: int = 2

    def __post_init__(self) -> None:
        check_grid(self.shape, self.slice_axis)
        check_sizes("kept slices", self.kept, smallest=0)
        size = self.shape[self.slice_axis]
        ordered = all(a < b for a, b in zip(self.kept, self.kept[1:], strict=False))
        if not self.kept or not ordered or self.kept[-1] >= size:
            raise Refusal(
                "operator.parameter",
                f"{len(self.kept)} kept slices do not ascend within 0 to {size - 1}",
            )

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of the slices that were not acquired."""
        kept = set(self.kept)
        return tuple(index for index in range(self.shape[self.slice_axis]) if index not in kept)

    @property
    def fine_shape(self) -> Shape:
        """(I, J, K) of the whole stack."""
        return self.shape

    @property
    def coarse_shape(self) -> Shape:
        """(I, J, K) of the acquired slices alone."""
        sizes = list(self.shape)
        sizes[self.slice_axis] = len(self.kept)
        return (sizes[0], sizes[1], sizes[2])

    @property
    def rank(self) -> int:
        """Voxels of the acquired slices."""
        sizes = self.coarse_shape
        return sizes[0] * sizes[1] * sizes[2]

    @property
    def slices_are_independent(self) -> bool:
        """False: slice numbers of y are not those of x."""
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The acquired slices of x."""
        self._check_fine(x)
        return x.index_select(self.slice_axis - 3, self._index(x))

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """The whole stack, zero where nothing was acquired."""
        self._check_coarse(y)
        whole = torch.zeros((*y.shape[:-3], *self.shape), dtype=y.dtype, device=y.device)
        return whole.index_copy_(self.slice_axis - 3 + whole.ndim, self._index(y), y)

    def pinv(self, y: torch.Tensor) -> torch.Tensor:
        """S^T y."""
        return self.adjoint(y)

    def parameters(self) -> Mapping[str, object]:
        """Shape, kept slices, slice axis."""
        return {
            "shape": list(self.shape),
            "kept": list(self.kept),
            "slice_axis": self.slice_axis,
        }

    def coarse_geometry(self, fine: Geometry) -> Geometry:
        """The grid of acquired slices, which must be evenly spaced to have one.

        Raises
        ------
        Refusal : ``operator.uneven``, if the acquired slices are no regular stack.
        """
        step = self._step()
        first = fine.slices(self.kept[0], self.kept[0] + 1)
        affine = first.world_from_voxel.copy()
        affine[:3, self.slice_axis] *= step
        return replace(fine, shape=self.coarse_shape, world_from_voxel=affine)

    def fine_geometry(self, coarse: Geometry) -> Geometry:
        """The whole stack, given the grid of evenly spaced acquired slices.

        Raises
        ------
        Refusal : ``operator.uneven``, if the acquired slices are no regular stack.
        """
        step = self._step()
        affine = coarse.world_from_voxel.copy()
        affine[:3, self.slice_axis] /= step
        affine[:3, 3] -= affine[:3, self.slice_axis] * self.kept[0]
        return replace(coarse, shape=self.shape, world_from_voxel=affine)

    def slab(self, start: int, stop: int) -> LinearOperator:
        """Not defined: acquired slices are counted over the whole stack."""
        raise Refusal(
            "operator.slab",
            f"a slice mask belongs to the whole stack; slices {start} to {stop} do not",
        )

    def _step(self) -> int:
        """Distance of acquired slices, 1 where there is only one."""
        steps = {b - a for a, b in zip(self.kept, self.kept[1:], strict=False)}
        if len(steps) > 1:
            raise Refusal("operator.uneven", f"acquired slices lie {sorted(steps)} slices apart: no regular grid")
        return steps.pop() if steps else 1

    def _index(self, like: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.kept, dtype=torch.long, device=like.device)
