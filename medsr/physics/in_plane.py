"""What the in-plane operators share: two axes change, slices stay, the field of view is kept."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Self

from medsr.errors import Refusal
from medsr.physics.linear import LinearOperator, Shape
from medsr.volume import Geometry

__all__ = ["InPlaneOperator"]


class InPlaneOperator(LinearOperator):
    """An operator that acts on every slice alike and maps (N1, N2) voxels to (M1, M2) on the same field of view."""

    shape: Shape
    slice_axis: int

    @property
    @abstractmethod
    def coarse(self) -> tuple[int, int]:
        """(M1, M2), voxels of y along the two in-plane axes in array order."""

    @abstractmethod
    def _with_shape(self, shape: Shape) -> Self:
        """The same operator on another number of slices."""

    @property
    def in_plane_axes(self) -> tuple[int, int]:
        """The two axes of a slice, in array order."""
        first, second = (axis for axis in range(3) if axis != self.slice_axis)
        return first, second

    @property
    def tensor_axes(self) -> tuple[int, int]:
        """The in-plane axes counted from the end, as tensors with leading axes need them."""
        first, second = self.in_plane_axes
        return first - 3, second - 3

    @property
    def fine_shape(self) -> Shape:
        """(I, J, K) of x."""
        return self.shape

    @property
    def coarse_shape(self) -> Shape:
        """(I', J', K') of y: K unchanged along the slice axis."""
        sizes = list(self.shape)
        for axis, size in zip(self.in_plane_axes, self.coarse, strict=True):
            sizes[axis] = size
        return (sizes[0], sizes[1], sizes[2])

    def coarse_geometry(self, fine: Geometry) -> Geometry:
        """The field of view of `fine`, cut into the coarse voxels."""
        return _same_thickness(fine.resized(self.coarse_shape), fine)

    def fine_geometry(self, coarse: Geometry) -> Geometry:
        """The field of view of `coarse`, cut into the fine voxels."""
        return _same_thickness(coarse.resized(self.fine_shape), coarse)

    def slab(self, start: int, stop: int) -> Self:
        """The same operator on `stop` - `start` slices."""
        shape = list(self.shape)
        if not 0 <= start < stop <= shape[self.slice_axis]:
            raise Refusal("operator.slab", f"slices {start} to {stop} of {shape[self.slice_axis]}")
        shape[self.slice_axis] = stop - start
        return self._with_shape((shape[0], shape[1], shape[2]))


def _same_thickness(made: Geometry, source: Geometry) -> Geometry:
    return replace(made, slice_thickness_mm=source.slice_thickness_mm)
