"""Slices of a restoration for showing: input, restored image and their difference, all on the restored grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from medsr.records import Finding, Restoration

__all__ = ["SlicePlanes", "in_patient", "middle_slice", "nearest_places", "shown_slices", "slice_planes"]

Plane = npt.NDArray[np.float32]

_MOST_SLICES = 4


@dataclass(frozen=True, slots=True, eq=False)
class SlicePlanes:
    """One slice in array order.

    measured is the input by nearest neighbour, None where the slice was never measured; difference is restored minus
    what `difference_words` says, None likewise.
    """

    index: int
    restored: Plane
    measured: Plane | None
    difference: Plane | None
    difference_words: str


def middle_slice(finding: Finding, axis: int) -> int:
    """The slice on which a finding is shown."""
    return (finding.box_voxel[0][axis] + finding.box_voxel[1][axis] - 1) // 2


def shown_slices(findings: Sequence[Finding], restoration: Restoration) -> tuple[int, ...]:
    """The slice of the clearest finding, then those of the next ones; the middle slice if there is none."""
    axis = restoration.geometry.slice_axis
    count = restoration.geometry.shape[axis]
    chosen = dict.fromkeys(min(count - 1, middle_slice(finding, axis)) for finding in findings)
    return tuple(chosen)[:_MOST_SLICES] or (count // 2,)


def slice_planes(restoration: Restoration, index: int) -> SlicePlanes:
    """What there is to show of slice `index` of the restored grid."""
    restored = _slice(restoration.image, restoration.geometry.slice_axis, index)
    if index in restoration.synthetic_slices:
        return SlicePlanes(index, restored, None, None, "This slice is synthetic: there is no measurement of it")
    places = nearest_places(restoration)
    measured = _nearest_plane(restoration, places, index)
    linear = restoration.operator.linear
    if linear.kind == "identity":
        return SlicePlanes(index, restored, measured, restored - measured, "Restored minus input")
    if not linear.slices_are_independent or linear.coarse_shape != restoration.measured.geometry.shape:
        words = "Restored minus input by nearest neighbour"
        return SlicePlanes(index, restored, measured, restored - measured, words)
    axis = restoration.geometry.slice_axis
    coarse = torch.from_numpy(_slice(restoration.measured.values, axis, int(places[axis][index]))).unsqueeze(axis)
    seen = linear.slab(index, index + 1).pinv(coarse).squeeze(axis).numpy()
    words = "Restored minus the measured part alone, A⁺y: what the restoration holds beyond the measurement"
    return SlicePlanes(index, restored, measured, restored - seen, words)


def in_patient(planes: SlicePlanes) -> npt.NDArray[np.bool_]:
    """Where the slice holds more than background, roughly; everywhere if nothing stands out."""
    values = planes.restored
    low, high = np.percentile(values, (1, 99))
    inside = values > low + 0.1 * (high - low)
    return inside if inside.any() else np.ones_like(inside)


def _slice(values: npt.NDArray[np.float32], axis: int, index: int) -> Plane:
    place: list[int | slice] = [slice(None)] * 3
    place[axis] = index
    return np.array(values[tuple(place)], np.float32, order="C")


def nearest_places(restoration: Restoration) -> tuple[npt.NDArray[np.intp], ...]:
    """For every index along i, j, k of the restored grid the measured index that lies nearest."""
    fine, coarse = restoration.geometry, restoration.measured.geometry
    coarse_from_fine = np.linalg.solve(coarse.world_from_voxel, fine.world_from_voxel)
    places = []
    for axis in range(3):
        along = np.arange(fine.shape[axis]) * coarse_from_fine[axis, axis] + coarse_from_fine[axis, 3]
        # Rounding of the affine must not decide between two neighbours that lie equally near.
        nearest = np.floor(along + 0.5 + 1e-6)
        places.append(np.clip(nearest, 0, coarse.shape[axis] - 1).astype(np.intp))
    return tuple(places)


def _nearest_plane(restoration: Restoration, places: tuple[npt.NDArray[np.intp], ...], index: int) -> Plane:
    axis, (first, second) = restoration.geometry.slice_axis, restoration.geometry.in_plane_axes
    coarse = _slice(restoration.measured.values, axis, int(places[axis][index]))
    return coarse[np.ix_(places[first], places[second])]
