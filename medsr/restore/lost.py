"""Which slices of a stack are lost: blank, duplicated or corrupt ones, found in the pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from medsr.errors import Refusal, UsageError
from medsr.physics import SliceMask
from medsr.volume import Volume

__all__ = ["LostSlice", "acquired", "find_lost", "lost_slices"]

Plane = npt.NDArray[np.float32]

_BLANK_SHARE = 0.999
_CORRUPT_RATIO = 3.0
_CORRUPT_OVER_NEIGHBOURS = 1.4
_FEWEST_SLICES = 3
_THUMBNAIL = 4


@dataclass(frozen=True, slots=True)
class LostSlice:
    """A slice that holds no measurement of its place, and what shows it."""

    index: int
    reason: Literal["blank", "duplicate", "corrupt"]


def lost_slices(volume: Volume, mask: tuple[int, ...] | None) -> SliceMask:
    """The operator of a stack with lost slices: those of `mask`, or those that :func:`find_lost` sees.

    Raises
    ------
    UsageError : ``restore.slices``, for slices outside the stack, or if none is lost.
    Refusal : ``restore.edge``, if the first or the last slice is lost: it lies between nothing.
    """
    axis = volume.geometry.slice_axis
    count = volume.geometry.shape[axis]
    lost = tuple(sorted(set(mask))) if mask is not None else tuple(item.index for item in find_lost(volume))
    if not lost:
        raise UsageError("restore.slices", f"none of {count} slices is blank, doubled or unlike its neighbours")
    if lost[0] < 0 or lost[-1] >= count:
        outside = [index for index in lost if not 0 <= index < count]
        raise UsageError("restore.slices", f"slices {outside} are outside 0 to {count - 1}")
    if lost[0] == 0 or lost[-1] == count - 1:
        raise Refusal(
            "restore.edge", f"slice {lost[0] if lost[0] == 0 else lost[-1]} is an end of the stack of {count}"
        )
    kept = tuple(index for index in range(count) if index not in set(lost))
    return SliceMask(volume.geometry.shape, kept, axis)


def find_lost(volume: Volume) -> list[LostSlice]:
    """Blank, duplicate and corrupt slices, ascending.

    Blank: one value in 99.9 % of the slice. Duplicate: equal to the slice before, voxel by voxel. Corrupt: its
    distance from the mean of its sound neighbours is three times the stack's median, and well above that of the
    slices beside it, which a corrupt neighbour spoils by half.
    """
    axis = volume.geometry.slice_axis
    count = volume.geometry.shape[axis]
    found: dict[int, LostSlice] = {}
    before: Plane | None = None
    thumbnails: list[Plane] = []
    for index in range(count):
        plane = np.array(np.moveaxis(volume.values, axis, 0)[index])
        if _blank(plane):
            found[index] = LostSlice(index, "blank")
        elif before is not None and np.array_equal(plane, before):
            found[index] = LostSlice(index, "duplicate")
        thumbnails.append(_small(plane))
        before = plane
    sound = [index for index in range(count) if index not in found]
    for index in _corrupt(thumbnails, sound):
        found[index] = LostSlice(index, "corrupt")
    return [found[index] for index in sorted(found)]


def acquired(volume: Volume, linear: SliceMask) -> Volume:
    """y: the acquired slices alone; where they are uneven, the geometry states the whole stack's spacing."""
    axis = linear.slice_axis
    values = np.asfortranarray(np.take(volume.values, linear.kept, axis))
    padding = None if volume.padding is None else np.take(volume.padding, linear.kept, axis)
    try:
        geometry = linear.coarse_geometry(volume.geometry)
    except Refusal:
        geometry = replace(volume.geometry, shape=linear.coarse_shape)
    return replace(volume, values=values, geometry=geometry, padding=padding)


def _blank(plane: Plane) -> bool:
    middle = np.median(plane)
    return bool(np.mean(plane == middle) >= _BLANK_SHARE)


def _small(plane: Plane) -> Plane:
    """Means of 4 x 4 pixels: noise falls out, anatomy stays."""
    rows, columns = (max(1, size // _THUMBNAIL) for size in plane.shape)
    cut = plane[: rows * _THUMBNAIL, : columns * _THUMBNAIL]
    if min(cut.shape) < _THUMBNAIL:
        return plane
    mean: Plane = cut.reshape(rows, _THUMBNAIL, columns, _THUMBNAIL).mean((1, 3))
    return mean


def _corrupt(thumbnails: list[Plane], sound: list[int]) -> list[int]:
    if len(sound) < _FEWEST_SLICES + 2:
        return []
    distances = np.array(
        [
            float(np.sqrt(np.mean((thumbnails[k] - (thumbnails[a] + thumbnails[b]) / 2) ** 2)))
            for a, k, b in zip(sound, sound[1:], sound[2:], strict=False)
        ]
    )
    limit = _CORRUPT_RATIO * float(np.median(distances))
    bad = []
    for place, distance in enumerate(distances):
        beside = [distances[other] for other in (place - 1, place + 1) if 0 <= other < len(distances)]
        if distance > limit and distance > _CORRUPT_OVER_NEIGHBOURS * max(beside):
            bad.append(sound[place + 1])
    return bad
