"""From frames to a regular grid: order by position, and every irregularity named with its place in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.errors import Refusal
from medsr.io.dicom.frames import Frame, number_of
from medsr.volume import Geometry
from medsr.volume.geometry import ORTHOGONALITY_TOLERANCE

__all__ = ["Grid", "grid_of"]

_STEP_TOLERANCE_MM, _STEP_TOLERANCE_SHARE = 0.01, 0.01
_DRIFT_SHARE = ORTHOGONALITY_TOLERANCE
"""Shift in plane for each mm along the normal: a stack that leans no more is right-angled to its geometry too."""
_LISTED = 8
_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Frames in order of position, the index of each along the slice axis, the grid, and the indices none has."""

    frames: tuple[Frame, ...]
    indices: tuple[int, ...]
    geometry: Geometry
    missing: tuple[int, ...]


def grid_of(frames: Sequence[Frame], *, gaps: bool = False) -> Grid:
    """The regular grid that the frames lie on.

    Axes: i along a row (columns), j down the columns (rows), k along the slice normal, ascending. Frames are sorted
    by ImagePositionPatient on the normal; instance numbers, slice locations and file names tell nothing.

    Parameters
    ----------
    gaps : go on where whole slices are missing, which `missing` then names.

    Raises
    ------
    Refusal : ``geometry.orientation``, ``geometry.duplicate``, ``geometry.missing_slice``, ``geometry.uneven``,
        ``geometry.tilt``, ``geometry.spacing``.
    """
    row, column = np.mean([frame.orientation for frame in frames], axis=0)
    worst = float(np.abs([np.linalg.norm(row) - 1, np.linalg.norm(column) - 1, row @ column]).max())
    if worst > ORTHOGONALITY_TOLERANCE:
        raise Refusal("geometry.orientation", f"row and column directions are {worst:.3f} off a right-angled frame")
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    ordered = sorted(frames, key=lambda frame: float(frame.position @ normal))
    along = np.array([float(frame.position @ normal) for frame in ordered])
    _check_duplicates(ordered, along)
    _check_drift(ordered, normal, along)
    step, indices = _steps(ordered, along)
    missing = tuple(sorted(set(range(indices[-1] + 1)) - set(indices)))
    if missing and not gaps:
        raise Refusal("geometry.missing_slice", _missing_fact(missing, indices[-1] + 1, along[0], step))
    thickness = number_of(ordered[0].get("SliceThickness"))
    distance = step or thickness or number_of(ordered[0].get("SpacingBetweenSlices")) or 0.0
    if not distance > 0:
        raise Refusal("geometry.spacing", f"{ordered[0].name} is a single slice of unknown thickness")
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = row * ordered[0].spacing[1], column * ordered[0].spacing[0]
    lean = (ordered[-1].position - ordered[0].position) / max(indices[-1], 1)
    lps[:3, 2], lps[:3, 3] = lean if step else normal * distance, ordered[0].position
    shape = (ordered[0].form.columns, ordered[0].form.rows, indices[-1] + 1)
    profile = thickness if thickness is not None and thickness > 0 else None
    return Grid(tuple(ordered), indices, Geometry(shape, _RAS_FROM_LPS @ lps, 2, profile), missing)


def _check_duplicates(ordered: Sequence[Frame], along: npt.NDArray[np.float64]) -> None:
    for index, size in enumerate(np.diff(along)):
        if size <= _STEP_TOLERANCE_MM:
            names = f"{ordered[index].name} and {ordered[index + 1].name}"
            raise Refusal("geometry.duplicate", f"{names} lie at the same position, {along[index]:.2f} mm")


def _check_drift(ordered: Sequence[Frame], normal: npt.NDArray[np.float64], along: npt.NDArray[np.float64]) -> None:
    for frame, place in zip(ordered, along, strict=True):
        offset = frame.position - ordered[0].position
        drift = float(np.linalg.norm(offset - (offset @ normal) * normal))
        if drift > max(_STEP_TOLERANCE_MM, _DRIFT_SHARE * abs(place - along[0])):
            degrees = np.degrees(np.arctan2(drift, abs(place - along[0])))
            fact = f"{frame.name} is shifted {drift:.2f} mm in plane against the first slice ({degrees:.1f} degrees)"
            raise Refusal("geometry.tilt", fact)


def _steps(ordered: Sequence[Frame], along: npt.NDArray[np.float64]) -> tuple[float | None, tuple[int, ...]]:
    """Distance between neighbours of the grid in mm, and the place of each frame on it."""
    if len(ordered) == 1:
        return None, (0,)
    sizes = np.diff(along)
    step = float(np.median(sizes)) if len(sizes) > 2 else float(sizes.min())
    counts = np.maximum(np.rint(sizes / step).astype(int), 1)
    for size, count, place in zip(sizes, counts, along, strict=False):
        tolerance = max(_STEP_TOLERANCE_MM, _STEP_TOLERANCE_SHARE * step)
        if abs(size - count * step) > tolerance * (count if count > 1 else 1):
            raise Refusal("geometry.uneven", f"a step of {size:.2f} mm at {place:.2f} mm, others {step:.2f} mm")
    indices = np.concatenate([[0], np.cumsum(counts)])
    even = (along[-1] - along[0]) / indices[-1]
    off = np.abs(along - along[0] - even * indices)
    worst = int(off.argmax())
    if off[worst] > max(_STEP_TOLERANCE_MM, _STEP_TOLERANCE_SHARE * even):
        fact = f"{ordered[worst].name} lies {off[worst]:.2f} mm off the even grid of {even:.3f} mm steps"
        raise Refusal("geometry.uneven", fact)
    return float(even), tuple(int(index) for index in indices)


def _missing_fact(missing: tuple[int, ...], count: int, start: float, step: float | None) -> str:
    places = [f"{start + index * (step or 0):.2f}" for index in missing[:_LISTED]]
    more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    numbers = ", ".join(str(index + 1) for index in missing[:_LISTED])
    what = "slice" if len(missing) == 1 else "slices"
    return f"{what} {numbers} of {count} missing, at {', '.join(places)} mm along the normal{more}"
