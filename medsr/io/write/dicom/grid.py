"""Where output slices lie, in DICOM's terms, and which source slices they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medsr.io.encoding import decimal
from medsr.io.sources import DicomSource, SourceSlice
from medsr.volume import Geometry

__all__ = ["Plane", "nearest", "planes_of", "same_grid", "sources_of"]

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_EDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Plane:
    """One output slice in LPS mm, as decimal strings give it back.

    pixel_spacing is between rows and between columns; location is along the normal.
    """

    index: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, float]
    spacing_between_slices: float
    location: float


def planes_of(geometry: Geometry) -> list[Plane]:
    """The output slices along k: i runs along a row, j down the columns."""
    lps = _LPS_FROM_RAS @ geometry.world_from_voxel
    spacing = geometry.spacing_mm
    row, column = lps[:3, 0] / spacing[0], lps[:3, 1] / spacing[1]
    orientation = tuple(_rounded(number) for number in (*row, *column))
    normal = np.cross(row, column)
    planes = []
    for index in range(geometry.shape[2]):
        position = lps[:3, 3] + index * lps[:3, 2]
        planes.append(
            Plane(
                index,
                tuple(_rounded(number) for number in position),
                orientation,
                (decimal(spacing[1]), decimal(spacing[0])),
                decimal(spacing[2]),
                _rounded(float(position @ normal)),
            )
        )
    return planes


def nearest(source: DicomSource, measured: Geometry, output: Geometry, index: int) -> SourceSlice:
    """The source slice whose header output slice `index` takes."""
    place = _place(measured, output, index)
    return min(source.slices, key=lambda item: (abs(item.index - place), item.index))


def sources_of(
    source: DicomSource, measured: Geometry, output: Geometry, index: int, *, synthetic: bool
) -> list[SourceSlice]:
    """The source slices that output slice `index` overlaps; of one that no measurement supports, its neighbours."""
    place = _place(measured, output, index)
    reach = 0.5 * (1 + output.spacing_mm[2] / measured.spacing_mm[2]) - _EDGE
    found = [] if synthetic else [item for item in source.slices if abs(item.index - place) < reach]
    if found:
        return found
    below = [item for item in source.slices if item.index < place - _EDGE]
    above = [item for item in source.slices if item.index > place + _EDGE]
    return [*below[-1:], *above[:1]] or [nearest(source, measured, output, index)]


def same_grid(measured: Geometry, output: Geometry) -> bool:
    """True where voxels of the output stand on those of the source: SpatialLocationsPreserved."""
    return output.matches(measured)


def _place(measured: Geometry, output: Geometry, index: int) -> float:
    middle = output.world(((output.shape[0] - 1) / 2, (output.shape[1] - 1) / 2, index))
    return float(np.linalg.solve(measured.world_from_voxel, [*middle, 1.0])[2])


def _rounded(number: float) -> float:
    """A micrometre is far below any scanner's word; rounding keeps -0 and 1e-17 out of decimal strings."""
    return decimal(round(float(number), 9)) + 0.0
