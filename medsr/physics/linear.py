"""The base of all degradation operators, and their registry.

An operator A maps a volume x of shape (..., I, J, K) to a measurement of shape (..., I', J', K'). The same object
trains, degrades, restores and judges; registering a class puts it under the laws of tests/physics/test_laws.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch

from medsr.errors import Refusal
from medsr.volume import Geometry

__all__ = ["OPERATORS", "LinearOperator", "Shape", "apply_along", "check_grid", "check_sizes", "register"]

Shape = tuple[int, int, int]

OPERATORS: dict[str, type[LinearOperator]] = {}
"""Every registered operator by its kind, the name it has in sidecars and reports."""


def register(kind: str) -> Callable[[type[LinearOperator]], type[LinearOperator]]:
    """Class decorator: enter an operator under `kind`."""

    def enter(cls: type[LinearOperator]) -> type[LinearOperator]:
        cls.kind = kind
        OPERATORS[kind] = cls
        return cls

    return enter


class LinearOperator(ABC):
    """A linear map between voxel grids, with its adjoint and a pseudo-inverse A+.

    A+ A is an orthogonal projector (the range part); A A+ A = A where no singular value was cut. Tensors may
    carry leading axes; float32 and float64 are kept.
    """

    kind: ClassVar[str] = ""

    @property
    @abstractmethod
    def fine_shape(self) -> Shape:
        """(I, J, K) of x, in voxels."""

    @property
    @abstractmethod
    def coarse_shape(self) -> Shape:
        """(I', J', K') of y, in voxels."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Number of singular values that A+ inverts; also trace(A+ A)."""

    @property
    def exact(self) -> bool:
        """True if no singular value was cut, so that A A+ A = A."""
        return True

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A x."""

    @abstractmethod
    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """A^T y, exact to rounding: <A x, y> = <x, A^T y>."""

    @abstractmethod
    def pinv(self, y: torch.Tensor) -> torch.Tensor:
        """A+ y, the least-norm preimage."""

    @abstractmethod
    def parameters(self) -> Mapping[str, object]:
        """Constructor arguments as JSON values."""

    @abstractmethod
    def coarse_geometry(self, fine: Geometry) -> Geometry:
        """Where the voxels of y lie, given where those of x lie."""

    @abstractmethod
    def fine_geometry(self, coarse: Geometry) -> Geometry:
        """Where the voxels of x lie, given where those of y lie; inverse of :meth:`coarse_geometry`."""

    @abstractmethod
    def slab(self, start: int, stop: int) -> LinearOperator:
        """The operator on slices `start` to `stop` of x alone.

        Raises
        ------
        Refusal : ``operator.slab``, where the operator mixes slices.
        """

    @property
    def slices_are_independent(self) -> bool:
        """True if slice k of y depends on slice k of x alone, so that a volume can be walked slice by slice."""
        return True

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """A+ A x, the part of x that the measurement sees."""
        return self.pinv(self.forward(x))

    def measured_fraction(self) -> float:
        """trace(A+ A) over the number of voxels of x: the share of degrees of freedom that were measured."""
        count = 1
        for size in self.fine_shape:
            count *= size
        return self.rank / count

    def _check_fine(self, x: torch.Tensor) -> None:
        _check_shape(x, self.fine_shape, "x")

    def _check_coarse(self, y: torch.Tensor) -> None:
        _check_shape(y, self.coarse_shape, "y")


def check_grid(shape: object, slice_axis: object) -> None:
    """Refuse a grid that is not three whole positive sizes with a slice axis among them; sidecars come from anywhere.

    Raises
    ------
    Refusal : ``operator.parameter``.
    """
    check_sizes("shape", shape, 3)
    if slice_axis not in (0, 1, 2) or isinstance(slice_axis, (bool, float)):
        raise Refusal("operator.parameter", f"slice axis {slice_axis!r} is not 0, 1 or 2")


def check_sizes(name: str, sizes: object, count: int | None = None, *, smallest: int = 1) -> None:
    """Refuse anything but a tuple of (`count`) whole numbers of at least `smallest`.

    Raises
    ------
    Refusal : ``operator.parameter``.
    """
    whole = isinstance(sizes, tuple) and all(type(size) is int and size >= smallest for size in sizes)
    if not whole or (count is not None and len(sizes) != count):  # type: ignore[arg-type]  # whole says it is a tuple
        many = "" if count is None else f"{count} "
        raise Refusal("operator.parameter", f"{name} {str(sizes)[:60]} is not {many}whole numbers from {smallest}")


def apply_along(matrix: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    """Multiply `matrix` (m, n) onto axis `axis` (counted from the end, negative) of x, keeping its place."""
    moved = x.movedim(axis, -1) @ matrix.to(x.dtype).to(x.device).T
    return moved.movedim(-1, axis)


def _check_shape(x: torch.Tensor, shape: Shape, name: str) -> None:
    if x.ndim < 3 or tuple(x.shape[-3:]) != shape:
        raise Refusal(
            "operator.shape",
            f"{name} has shape {tuple(x.shape)}, the operator expects (..., {shape})",
        )
