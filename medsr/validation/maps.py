"""The maps that a reader sees beside the image: contradicted, and supplied by the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.records import Finding, Restoration
from medsr.validation.local_noise import plane_of

__all__ = ["contradicted", "null_details", "shown_slices", "strength", "supplied"]

Map = npt.NDArray[np.float32]

_SHOWN_SLICES = 4
_SMOOTH = 8


def shown_slices(restoration: Restoration, findings: Sequence[Finding]) -> tuple[int, ...]:
    """Slices of the strongest findings, else the middle one; at most four."""
    axis = restoration.geometry.slice_axis
    chosen: list[int] = []
    for finding in sorted(findings, key=lambda item: -item.dprime):
        middle = (finding.box_voxel[0][axis] + finding.box_voxel[1][axis] - 1) // 2
        if middle not in chosen:
            chosen.append(middle)
    return tuple(chosen[:_SHOWN_SLICES]) or (restoration.geometry.shape[axis] // 2,)


def contradicted(restoration: Restoration, maps: Mapping[int, Map], shown: Sequence[int]) -> dict[int, Map]:
    """The z map of the shown slices, on the restored grid by nearest neighbour."""
    geometry, coarse = restoration.geometry, restoration.measured.geometry
    axis = coarse.slice_axis
    result = {}
    for index in shown:
        origin = min(coarse.shape[axis] - 1, int((index + 0.5) * coarse.shape[axis] / geometry.shape[axis]))
        if origin in maps:
            places = [
                ((np.arange(geometry.shape[a]) + 0.5) * coarse.shape[a] / geometry.shape[a]).astype(int)
                for a in coarse.in_plane_axes
            ]
            result[index] = maps[origin][np.ix_(places[0], places[1])]
    return result


def supplied(restoration: Restoration, shown: Sequence[int]) -> tuple[float, dict[int, Map]]:
    """|P0 (x - l)|^2 / |x - l|^2 over the volume, and local rms of P0 (x - l) on the shown slices.

    l is x smoothed over 8 voxels in plane. Slices that the operator mixes are projected together.
    """
    linear, axis = restoration.operator.linear, restoration.geometry.slice_axis
    if linear.kind == "identity":
        plane = tuple(size for a, size in enumerate(restoration.geometry.shape) if a != axis)
        return 0.0, {index: np.zeros(plane, np.float32) for index in shown}
    null_energy, energy, maps = 0.0, 0.0, {}
    for index, detail, null in null_details(restoration):
        null_energy += float((null.astype(np.float64) ** 2).sum())
        energy += float((detail.astype(np.float64) ** 2).sum())
        if index in shown:
            maps[index] = strength(null)
    return (null_energy / energy if energy > 0 else 0.0), maps


def null_details(restoration: Restoration) -> Iterator[tuple[int, Map, Map]]:
    """Slice by slice: index, fine detail x - l, and the part of it that A does not see."""
    linear, axis = restoration.operator.linear, restoration.geometry.slice_axis
    whole = None
    if not linear.slices_are_independent:
        stack = np.stack([_detail(restoration, index) for index in range(restoration.geometry.shape[axis])], axis)
        whole = linear.project(torch.from_numpy(stack))
    for index in range(restoration.geometry.shape[axis]):
        detail = _detail(restoration, index)
        if whole is None:
            seen = linear.slab(index, index + 1).project(torch.from_numpy(detail).unsqueeze(axis)).squeeze(axis)
        else:
            seen = whole.select(axis, index)
        yield index, detail, detail - seen.numpy()


def strength(null: Map) -> Map:
    """Local rms of a slice's supplied detail."""
    rms: Map = np.sqrt(np.maximum(ndimage.uniform_filter(null**2, _SMOOTH), 0)).astype(np.float32)
    return rms


def _detail(restoration: Restoration, index: int) -> Map:
    plane = plane_of(restoration.image, index, restoration.geometry.slice_axis)
    detail: Map = plane - ndimage.uniform_filter(plane, _SMOOTH, mode="nearest")
    return detail
