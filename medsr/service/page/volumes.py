"""Whole volumes for the page's viewer, as NIfTI-1 made from a view: numbers and geometry, no text, no extension."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.errors import UsageError
from medsr.report.view import ImageName, View
from medsr.volume import Geometry

__all__ = ["VolumeRequest", "most_voxels", "nifti_gz"]

most_voxels = 64 << 20
"""Above this a browser gets the volume at half resolution, and a box of it whole."""

_INT16, _HEADER_BYTES, _OFFSET = 4, 348, 352
_SCANNER, _MILLIMETRES = 1, 2
_CHUNK, _GZIP, _FAST = 1 << 20, 31, 1


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """What a viewer asks for: an image, every n-th voxel's mean along each axis, and a half open box of it."""

    image: ImageName
    half: bool = False
    box: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None


def nifti_gz(view: View, request: VolumeRequest) -> Iterator[bytes]:
    """The volume as gzip of int16 NIfTI-1, in pieces.

    The input stays on its own, measured grid; all else lies on the restored one.

    Raises
    ------
    UsageError : ``preview.none``, if there is no such image or box.
    """
    if request.image not in view.images:
        raise UsageError("preview.none", f"this result has no volume {request.image}")
    values, geometry, slope = _volume(view, request.image)
    if request.box is not None:
        values, geometry = _boxed(values, geometry, request.box)
    if request.half:
        values, geometry = _halved(values, geometry)
    return _packed(values, geometry, slope)


def _volume(view: View, image: ImageName) -> tuple[npt.NDArray[np.int16], Geometry, float]:
    facts = view.facts
    if image == "input":
        grid = Geometry(facts.measured_shape, np.asarray(facts.measured_affine), facts.slice_axis)
        return view.voxels("input"), grid, facts.slopes["input"]
    if image in facts.slopes:
        return view.voxels(image), facts.geometry, facts.slopes[image]
    # Both are stored in the same steps, of which each takes at most half the range.
    places = [np.asarray(along) for along in facts.places]
    difference = view.voxels("restored") - view.voxels("input")[np.ix_(*places)]
    return difference, facts.geometry, facts.slopes["restored"]


def _boxed(
    values: npt.NDArray[np.int16], geometry: Geometry, box: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> tuple[npt.NDArray[np.int16], Geometry]:
    low = [max(0, start) for start in box[0]]
    high = [min(size, stop) for size, stop in zip(values.shape, box[1], strict=True)]
    if any(stop <= start for start, stop in zip(low, high, strict=True)):
        raise UsageError("preview.none", "the box holds no voxel of the volume")
    affine = np.array(geometry.world_from_voxel)
    affine[:3, 3] = geometry.world(low)
    part = values[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return part, Geometry((part.shape[0], part.shape[1], part.shape[2]), affine, geometry.slice_axis)


def _halved(values: npt.NDArray[np.int16], geometry: Geometry) -> tuple[npt.NDArray[np.int16], Geometry]:
    """Means over two voxels along each axis that has them, an odd last voxel left out."""
    factors = [2 if size >= 2 else 1 for size in values.shape]
    size_i, size_j, size_k = (size // factor for size, factor in zip(values.shape, factors, strict=True))
    whole = values[: size_i * factors[0], : size_j * factors[1], : size_k * factors[2]]
    total = np.zeros((size_i, size_j, size_k), np.int32)
    for i in range(factors[0]):
        for j in range(factors[1]):
            for k in range(factors[2]):
                total += whole[i :: factors[0], j :: factors[1], k :: factors[2]]
    mean = np.rint(total / np.prod(factors)).astype(np.int16)
    affine = np.array(geometry.world_from_voxel)
    affine[:3, :3] = affine[:3, :3] * factors
    affine[:3, 3] = geometry.world((np.asarray(factors) - 1) / 2)
    return mean, Geometry((size_i, size_j, size_k), affine, geometry.slice_axis)


def _packed(values: npt.NDArray[np.int16], geometry: Geometry, slope: float) -> Iterator[bytes]:
    squeezer = zlib.compressobj(_FAST, wbits=_GZIP)
    yield squeezer.compress(_header(geometry, slope))
    waiting = bytearray()
    for index in range(values.shape[2]):
        waiting += values[:, :, index].astype("<i2").tobytes(order="F")
        if len(waiting) >= _CHUNK:
            yield squeezer.compress(waiting)
            waiting.clear()
    yield squeezer.compress(waiting) + squeezer.flush()


def _header(geometry: Geometry, slope: float) -> bytes:
    """NIfTI-1 (n+1): sizes, spacing, slope, sform; every text field empty."""
    header = bytearray(_OFFSET)
    struct.pack_into("<i", header, 0, _HEADER_BYTES)
    struct.pack_into("<8h", header, 40, 3, *geometry.shape, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, _INT16, 16)
    struct.pack_into("<8f", header, 76, 1.0, *geometry.spacing_mm, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, _OFFSET, slope, 0.0)
    struct.pack_into("<B", header, 123, _MILLIMETRES)
    struct.pack_into("<hh", header, 252, 0, _SCANNER)
    struct.pack_into("<12f", header, 280, *geometry.world_from_voxel[:3].ravel().tolist())
    header[344:348] = b"n+1\0"
    return bytes(header)
