"""What readers and their callers hand each other: declared shapes, granted memory, replies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Declared", "Grant", "Planes", "Reply", "planes_of"]


@dataclass(frozen=True, slots=True)
class Declared:
    """A volume as its judged headers state it: (I, J, K) voxels, of which so many pixels are compressed."""

    shape: tuple[int, int, int]
    compressed_pixels: int = 0

    def to_record(self) -> dict[str, object]:
        """As JSON values."""
        return {"shape": list(self.shape), "compressed_pixels": self.compressed_pixels}


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Memory to read into: values (I, J, K) float32 and mask (I, J, K) bool, both Fortran ordered and zero."""

    values: npt.NDArray[np.float32]
    padding: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reply:
    """A closed record, and bytes that would not do as JSON."""

    record: Mapping[str, object]
    blob: bytes = field(default=b"", repr=False)


Grant = Callable[[Declared], Planes]
"""Asked once, when every header is judged and before anything is decoded."""


def planes_of(memory: npt.NDArray[np.uint8], shape: tuple[int, int, int]) -> Planes:
    """Values and padding mask on one stretch of memory: float32 values first, one byte a voxel of mask after them."""
    voxels = math.prod(shape)
    values = memory[: 4 * voxels].view(np.float32).reshape(shape, order="F")
    padding = memory[4 * voxels : 5 * voxels].view(np.bool_).reshape(shape, order="F")
    return Planes(values, padding)
