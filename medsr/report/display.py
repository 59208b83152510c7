"""How a slice is turned for reading: the radiological convention, derived from the affine for any slice axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.volume import Geometry

__all__ = ["Display", "place_words"]

_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Towards + and - along x, y, z of RAS+."""
_PLANES = ("sagittal", "coronal", "axial")
_OBLIQUE_DEGREES = 2.0


@dataclass(frozen=True, slots=True)
class Display:
    """The turn of a slice of one geometry: patient right on the left, anterior and superior on top.

    Axial: right | left, anterior on top. Coronal: right | left, superior on top. Sagittal: anterior | posterior,
    superior on top. An oblique slice is shown as the nearest of the three.

    Parameters
    ----------
    row_axis, column_axis : voxel axes that run down and to the right on the picture.
    rows_flipped, columns_flipped : whether they run against their index.
    pixel_mm : height and width of a pixel.
    letters : of the patient directions at the left, right, top and bottom rim.
    title : ``axial``, ``coronal`` or ``sagittal``, with the obliquity in degrees if there is any.
    """

    geometry: Geometry
    row_axis: int
    column_axis: int
    rows_flipped: bool
    columns_flipped: bool
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    title: str

    @classmethod
    def of(cls, geometry: Geometry) -> Display:
        """The turn for the slices of `geometry`."""
        directions = geometry.world_from_voxel[:3, :3] / np.asarray(geometry.spacing_mm)
        plane = int(np.abs(directions[:, geometry.slice_axis]).argmax())
        across, down = (axis for axis in range(3) if axis != plane)
        first, second = geometry.in_plane_axes
        straight = abs(directions[across, first]) + abs(directions[down, second])
        crossed = abs(directions[across, second]) + abs(directions[down, first])
        column_axis, row_axis = (first, second) if straight >= crossed else (second, first)
        # Every column runs towards L or P, every row towards P or I: down the world axis.
        columns_flipped = bool(directions[across, column_axis] > 0)
        rows_flipped = bool(directions[down, row_axis] > 0)
        cosine = min(1.0, float(abs(directions[plane, geometry.slice_axis])))
        degrees = float(np.degrees(np.arccos(cosine)))
        oblique = f", {degrees:.0f}° oblique" if degrees > _OBLIQUE_DEGREES else ""
        spacing = geometry.spacing_mm
        return cls(
            geometry,
            row_axis,
            column_axis,
            rows_flipped,
            columns_flipped,
            (spacing[row_axis], spacing[column_axis]),
            (*_LETTERS[across], *_LETTERS[down]),
            _PLANES[plane] + oblique,
        )

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the picture."""
        shape = self.geometry.shape
        return shape[self.column_axis] * self.pixel_mm[1], shape[self.row_axis] * self.pixel_mm[0]

    def picture(self, plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A slice in array order, (N1, N2) along the in-plane axes, turned for reading, (rows, columns)."""
        turned = plane if self.row_axis < self.column_axis else plane.T
        turned = turned[::-1] if self.rows_flipped else turned
        return turned[:, ::-1] if self.columns_flipped else turned

    def rectangle(
        self, box_voxel: tuple[tuple[int, int, int], tuple[int, int, int]]
    ) -> tuple[float, float, float, float]:
        """A half open voxel box on the picture: left, top, width, height in mm from its upper left corner."""
        left, width = self._span(box_voxel, self.column_axis, self.columns_flipped, self.pixel_mm[1])
        top, height = self._span(box_voxel, self.row_axis, self.rows_flipped, self.pixel_mm[0])
        return left, top, width, height

    def _span(
        self, box: tuple[tuple[int, int, int], tuple[int, int, int]], axis: int, flipped: bool, pixel_mm: float
    ) -> tuple[float, float]:
        start, stop = box[0][axis], box[1][axis]
        from_left = self.geometry.shape[axis] - stop if flipped else start
        return from_left * pixel_mm, (stop - start) * pixel_mm


def place_words(point: npt.ArrayLike) -> str:
    """A place in RAS+ mm with the letters of its side.

    >>> place_words((34.2, -12.0, 0.0))
    'R 34, P 12, S 0 mm'
    """
    parts = []
    for value, (positive, negative) in zip(np.asarray(point, np.float64), _LETTERS, strict=True):
        rounded = round(float(value))
        parts.append(f"{positive if rounded >= 0 else negative} {abs(rounded)}")
    return ", ".join(parts) + " mm"
