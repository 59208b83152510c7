"""Training stacks for the through-plane tasks: thin slices along every axis that holds enough of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from medsr.models.inputs import HU_SCALE, MR_PERCENTILE
from medsr.physics.estimate import estimate_noise
from medsr.train.scans import Scan, Stack
from medsr.volume import Volume

__all__ = ["NARROW_SIDE", "WIDE_SIDE", "through_scan"]

WIDE_SIDE, NARROW_SIDE = 64, 8
"""Smallest sides of a stack whose patches are square, and of one whose patches are strips."""

_FEWEST_SLICES = 7
_ISOTROPIC = 1.4
_ANISOTROPIC_SHARE = 0.35
_THICKEST_THIN_MM = {"MR": 2.1, "CT": 2.6}
_THICKEST_MM = 4.5


def through_scan(volume: Volume, name: str, subject: str) -> Scan | None:
    """Stacks of a scan for thick-to-thin and lost slices; None where its slices are too far apart or too few.

    A near-isotropic scan is also cut along its in-plane axes, which hold many more thin slices than a slab does, and
    averaged over 2 x 2 x 2 voxels. ``full_support`` marks stacks whose slices are thin enough to stand for the truth
    of a thick-slice pair; the others serve lost slices only. Values are in the units of the network times 1 (MR,
    float16) or HU (CT, int16).
    """
    spacing, axis = volume.geometry.spacing_mm, volume.geometry.slice_axis
    if spacing[axis] > _THICKEST_MM:
        return None
    values = _scaled(volume)
    estimate = estimate_noise(volume)
    # Blocks of a skull-stripped or masked scan can pass for air and give ten times its noise.
    sigma = (estimate.sigma if estimate.tissue is None else estimate.tissue) / _divisor(volume)
    thin = spacing[axis] <= _THICKEST_THIN_MM[volume.modality]
    isotropic = max(spacing) < _ISOTROPIC * min(spacing)
    whole = np.ascontiguousarray(np.moveaxis(values, axis, 0))
    stacks = [_stack(whole, volume.modality, thin, sigma)]
    if isotropic or volume.modality == "CT":
        others = [other for other in range(3) if other != axis]
        stacks += [
            _stack(np.ascontiguousarray(np.moveaxis(values, other, 0)), volume.modality, True, sigma)
            for other in others
        ]
    if isotropic:
        stacks.append(_stack(_halved(whole), volume.modality, True, sigma / np.sqrt(8)))
    usable = tuple(stack for stack in stacks if _usable(stack))
    if not usable:
        return None
    weight = float(np.sqrt(values.size) * (1.0 if isotropic or thin else _ANISOTROPIC_SHARE))
    return Scan(name, subject, usable, weight, spacing)


def _divisor(volume: Volume) -> float:
    if volume.modality == "CT":
        return HU_SCALE
    positive = volume.values[volume.values > 0]
    return float(np.percentile(positive, MR_PERCENTILE))


def _scaled(volume: Volume) -> npt.NDArray[np.float32]:
    if volume.modality == "CT":
        return volume.values
    scaled: npt.NDArray[np.float32] = (np.maximum(volume.values, 0) / _divisor(volume)).astype(np.float32)
    return scaled


def _halved(stack: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    sizes = [size // 2 * 2 for size in stack.shape]
    cut = stack[: sizes[0], : sizes[1], : sizes[2]]
    shaped = cut.reshape(sizes[0] // 2, 2, sizes[1] // 2, 2, sizes[2] // 2, 2)
    mean: npt.NDArray[np.float32] = shaped.mean((1, 3, 5)).astype(np.float32)
    return mean


def _stack(values: npt.NDArray[np.float32], modality: Literal["CT", "MR"], thin: bool, sigma: float) -> Stack:
    kept = np.rint(values).astype(np.int16) if modality == "CT" else values.astype(np.float16)
    return Stack(kept, thin, sigma=float(sigma))


def _usable(stack: Stack) -> bool:
    slices, rows, columns = stack.values.shape
    wide = min(rows, columns) >= WIDE_SIDE
    strip = min(rows, columns) >= NARROW_SIDE and max(rows, columns) >= 1.5 * WIDE_SIDE
    return bool(slices >= _FEWEST_SLICES and (wide or strip))
