"""Where the voxels of a scan lie in the patient: shape, affine, spacing, slice axis, gap. No voxels, no files."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from medsr.errors import Refusal

__all__ = [
    "AFFINE_TOLERANCE_MM",
    "LARGEST_SPACING_MM",
    "ORTHOGONALITY_TOLERANCE",
    "SMALLEST_SPACING_MM",
    "Geometry",
]

AFFINE_TOLERANCE_MM = 1e-3
"""Two geometries match when no corner of the volume lies farther apart than this."""
ORTHOGONALITY_TOLERANCE = 1e-3
"""Largest cosine between two voxel axes of a regular grid (float32 headers reach 1e-6)."""
SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 0.01, 50.0
"""Outside these a header is taken for a unit error (micrometres, metres)."""

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A regular grid of voxels in patient space.

    Parameters
    ----------
    shape : (I, J, K), voxels along each axis, each at least 1.
    world_from_voxel : (4, 4) float64, voxel index to mm in RAS+ (x to the patient's right, y anterior, z superior).
    slice_axis : 0, 1 or 2: the axis along which slices were acquired.
    slice_thickness_mm : full width of the slice profile in mm, or None where the header does not say.

    Raises
    ------
    Refusal : ``geometry.shape``, ``geometry.affine``, ``geometry.spacing``, ``geometry.shear``.
    """

    shape: Shape
    world_from_voxel: npt.NDArray[np.float64]
    slice_axis: int = 2
    slice_thickness_mm: float | None = None

    def __post_init__(self) -> None:
        affine = np.array(self.world_from_voxel, dtype=np.float64)
        affine.setflags(write=False)
        object.__setattr__(self, "world_from_voxel", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        _check(self)

    @property
    def spacing_mm(self) -> Spacing:
        """Distance between voxel centres along i, j, k, in mm."""
        columns = np.linalg.norm(self.world_from_voxel[:3, :3], axis=0)
        return (float(columns[0]), float(columns[1]), float(columns[2]))

    @property
    def gap_mm(self) -> float | None:
        """Spacing minus slice thickness along the slice axis, in mm; negative where slices overlap; None if unknown."""
        if self.slice_thickness_mm is None:
            return None
        return self.spacing_mm[self.slice_axis] - self.slice_thickness_mm

    @property
    def in_plane_axes(self) -> tuple[int, int]:
        """The two axes that are not the slice axis, in array order."""
        first, second = (axis for axis in range(3) if axis != self.slice_axis)
        return first, second

    def world(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Position in mm, RAS+, of voxel indices (..., 3); fractions are allowed."""
        points = np.asarray(index, dtype=np.float64)
        mapped: npt.NDArray[np.float64] = points @ self.world_from_voxel[:3, :3].T + self.world_from_voxel[:3, 3]
        return mapped

    def matches(self, other: Geometry, tolerance_mm: float = AFFINE_TOLERANCE_MM) -> bool:
        """True if both have the same shape and no corner lies more than `tolerance_mm` apart."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1).T
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= tolerance_mm)

    def resized(self, shape: Shape) -> Geometry:
        """The same field of view cut into another number of voxels.

        The outer edges of the volume stay where they are, so voxel 0 moves by (s - 1) / 2 old voxels, where
        s = old / new is the ratio of voxel sizes; an axis of unchanged length is left exactly alone.
        """
        ratio = np.array([old / new for old, new in zip(self.shape, shape, strict=True)])
        affine = np.array(self.world_from_voxel)
        affine[:3, :3] = affine[:3, :3] * ratio
        affine[:3, 3] = self.world((ratio - 1) / 2)
        thickness = self.slice_thickness_mm
        if thickness is not None and shape[self.slice_axis] != self.shape[self.slice_axis]:
            thickness = None
        return replace(self, shape=shape, world_from_voxel=affine, slice_thickness_mm=thickness)

    def slices(self, start: int, stop: int) -> Geometry:
        """The geometry of slices `start` to `stop` (half open) along the slice axis.

        Raises
        ------
        Refusal : ``geometry.shape``, if the stack does not hold them.
        """
        if not 0 <= start < stop <= self.shape[self.slice_axis]:
            raise Refusal("geometry.shape", f"slices {start} to {stop} of {self.shape[self.slice_axis]}")
        offset = np.zeros(3)
        offset[self.slice_axis] = start
        affine = np.array(self.world_from_voxel)
        affine[:3, 3] = self.world(offset)
        shape = list(self.shape)
        shape[self.slice_axis] = stop - start
        return replace(self, shape=(shape[0], shape[1], shape[2]), world_from_voxel=affine)


def _check(geometry: Geometry) -> None:
    sizes: tuple[int, ...] = geometry.shape
    if len(sizes) != 3 or min(sizes) < 1:
        raise Refusal("geometry.shape", f"shape {sizes} is not three positive numbers")
    affine = geometry.world_from_voxel
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise Refusal("geometry.affine", "the affine is not a 4 x 4 matrix of finite numbers")
    if not np.array_equal(affine[3], (0, 0, 0, 1)):
        raise Refusal("geometry.affine", f"the affine's last row is {affine[3].tolist()}, not 0 0 0 1")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    for axis, size in zip("ijk", spacing, strict=True):
        if not SMALLEST_SPACING_MM <= size <= LARGEST_SPACING_MM:
            bounds = f"{SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm"
            raise Refusal("geometry.spacing", f"axis {axis} has a spacing of {size:.6g} mm, outside {bounds}")
    unit = affine[:3, :3] / spacing
    cosine = np.abs(unit.T @ unit - np.eye(3)).max()
    if cosine > ORTHOGONALITY_TOLERANCE:
        degrees = np.degrees(np.arcsin(min(cosine, 1.0)))
        raise Refusal("geometry.shear", f"the voxel axes are {degrees:.2f} degrees off a right angle")
    if geometry.slice_axis not in (0, 1, 2):
        raise Refusal("geometry.shape", f"slice axis {geometry.slice_axis} is not 0, 1 or 2")
