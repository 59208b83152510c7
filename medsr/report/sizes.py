"""From which size on structure was measured: how much of a disc's energy the operator lets through."""

from __future__ import annotations

import math

import numpy as np
import torch

from medsr.physics.lesions import disc_at
from medsr.records import Restoration

__all__ = ["measured_sizes"]

_DIAMETERS = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Of the discs, in restored pixels."""
_OFFSETS = (0, 1)
"""Places of the disc against the measured grid, in restored pixels; their mean is told."""
_LARGEST_SIDE = 8


def measured_sizes(restoration: Restoration) -> tuple[tuple[float, float | None], ...]:
    """(diameter in mm, |A+ A L|^2 / |L|^2) for discs L in the middle slice.

    Empty where every voxel was measured, or where the operator mixes slices so that a disc of one slice has no share.
    """
    linear, geometry = restoration.operator.linear, restoration.geometry
    if linear.kind == "identity" or not linear.slices_are_independent:
        return ()
    axis, (first, second) = geometry.slice_axis, geometry.in_plane_axes
    shape = (geometry.shape[first], geometry.shape[second])
    slab = linear.slab(geometry.shape[axis] // 2, geometry.shape[axis] // 2 + 1)
    pixel_mm = math.sqrt(geometry.spacing_mm[first] * geometry.spacing_mm[second])
    sizes = []
    for diameter in _DIAMETERS:
        if 2 * diameter + _LARGEST_SIDE > min(shape):
            break
        discs = np.stack([disc_at(shape, (shape[0] // 2 + step, shape[1] // 2 + step), diameter) for step in _OFFSETS])
        lesions = torch.from_numpy(discs).unsqueeze(axis + 1)
        seen = slab.project(lesions)
        share = float((seen.double().square().sum() / lesions.double().square().sum()).clamp(0, 1))
        sizes.append((diameter * pixel_mm, share if math.isfinite(share) else None))
    return tuple(sizes)
