"""The raw NIfTI header, judged before anything is allocated and before any library interprets it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from medsr.errors import Refusal
from medsr.settings import settings
from medsr.volume.geometry import LARGEST_SPACING_MM, SMALLEST_SPACING_MM

__all__ = ["LARGEST_HEADER", "NiftiHeader", "parse_header"]

LARGEST_HEADER = 540
_LARGEST_OFFSET = 1 << 20
_ISOTROPIC = 1.3
_VOLUME_TOLERANCE = 0.1
_TYPES: dict[int, str] = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_REFUSED_TYPES = {32: "complex64", 128: "RGB24", 1792: "complex128", 2304: "RGBA32", 1: "binary", 1536: "float128"}


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """What a NIfTI header says, after every check.

    shape has three axes; dtype includes the byte order; slope and intercept are (1, 0) where the file has none.
    """

    shape: tuple[int, int, int]
    time_points: int
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    world_from_voxel: npt.NDArray[np.float64]
    sform_code: int
    qform_code: int
    slice_axis: int
    notes: tuple[str, ...]

    @property
    def bytes_of_volume(self) -> int:
        """Stored bytes of one time point."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(raw: bytes, *, name: str) -> NiftiHeader:
    """Judge and parse the first bytes of an (inflated) NIfTI-1 or NIfTI-2 file.

    Raises
    ------
    Refusal : ``nifti.not_nifti``, ``nifti.dimensions``, ``nifti.datatype``, ``nifti.offset``, ``nifti.scale``,
        ``nifti.unit``, ``nifti.affine``, ``geometry.spacing``, ``geometry.singleton``, ``volume.too_large``.
    """
    order, version = _version(raw, name)
    fields = _fields(raw, order, version)
    shape, time_points = _shape(fields["dim"])
    _check_spacing(fields["pixdim"][1:4])
    dtype = _dtype(int(fields["datatype"][0]), order)
    _check_size(shape, dtype)
    offset = fields["vox_offset"][0]
    if not math.isfinite(offset) or not version <= offset <= _LARGEST_OFFSET:
        raise Refusal("nifti.offset", f"voxels are said to start at byte {offset:.6g}")
    slope, intercept = fields["scl"]
    if math.isnan(slope):  # how nibabel's headers say "no scaling"
        slope, intercept = 0.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)) or abs(slope) > 1e6 or abs(intercept) > 1e9:
        raise Refusal("nifti.scale", f"values are to be scaled by {slope:g} and {intercept:g}")
    if int(fields["units"][0]) & 7 in (1, 3):
        raise Refusal("nifti.unit", "the header gives spacing in metres or micrometres")
    affine, notes = _affine(raw, version, fields)
    scaled = slope not in (0.0,)
    return NiftiHeader(
        shape=shape,
        time_points=time_points,
        dtype=dtype,
        offset=int(offset),
        slope=float(slope) if scaled else 1.0,
        intercept=float(intercept) if scaled else 0.0,
        world_from_voxel=affine,
        sform_code=int(fields["codes"][1]),
        qform_code=int(fields["codes"][0]),
        slice_axis=_slice_axis(int(fields["dim_info"][0]), shape, fields["pixdim"][1:4]),
        notes=notes,
    )


def _version(raw: bytes, name: str) -> tuple[str, int]:
    for order in "<>":
        if len(raw) >= 348:
            size = struct.unpack(order + "i", raw[:4])[0]
            magic = raw[344:348] if size == 348 else raw[4:8]
            if (size == 348 and magic == b"n+1\0") or (size == 540 and magic == b"n+2\0"):
                if len(raw) < size:
                    break
                return order, size
    raise Refusal("nifti.not_nifti", f"{name} has no NIfTI header in its first {LARGEST_HEADER} bytes")


def _fields(raw: bytes, order: str, version: int) -> dict[str, tuple[float, ...]]:
    layout: dict[str, tuple[str, int]] = (
        {"dim": ("8h", 40), "datatype": ("h", 70), "pixdim": ("8f", 76), "vox_offset": ("f", 108), "scl": ("2f", 112),
         "units": ("B", 123), "codes": ("2h", 252), "srow": ("12f", 280), "dim_info": ("B", 39)}
        if version == 348
        else {"dim": ("8q", 16), "datatype": ("h", 12), "pixdim": ("8d", 104), "vox_offset": ("q", 168),
              "scl": ("2d", 176), "units": ("i", 500), "codes": ("2i", 344), "srow": ("12d", 400),
              "dim_info": ("B", 524)}
    )  # fmt: skip
    return {key: struct.unpack_from(order + form, raw, place) for key, (form, place) in layout.items()}


def _shape(dim: tuple[float, ...]) -> tuple[tuple[int, int, int], int]:
    count = int(dim[0])
    sizes = [int(size) for size in dim[1 : count + 1]]
    if not 2 <= count <= 7 or any(size < 1 for size in sizes):
        raise Refusal("nifti.dimensions", f"the header gives {count} dimensions of {sizes[:7]} voxels")
    sizes += [1] * (3 - len(sizes))
    if sizes[0] == 1 or sizes[1] == 1:
        raise Refusal("geometry.singleton", f"a matrix of {sizes[0]} x {sizes[1]} is no image plane")
    return (sizes[0], sizes[1], sizes[2]), math.prod(sizes[3:])


def _check_spacing(spacing: tuple[float, ...]) -> None:
    for axis, size in zip("ijk", spacing, strict=True):
        if not SMALLEST_SPACING_MM <= abs(size) <= LARGEST_SPACING_MM:
            bounds = f"{SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm"
            raise Refusal("geometry.spacing", f"axis {axis} has a spacing of {size:.6g} mm, outside {bounds}")


def _dtype(code: int, order: str) -> np.dtype[np.generic]:
    if code not in _TYPES:
        raise Refusal("nifti.datatype", f"voxels of type {_REFUSED_TYPES.get(code, code)} are no scan values")
    return np.dtype(f"{order}{_TYPES[code]}")


def _check_size(shape: tuple[int, int, int], dtype: np.dtype[np.generic]) -> None:
    voxels, limits = math.prod(shape), settings()
    too_many = voxels > limits.max_voxels or max(shape) > limits.max_side
    if too_many or voxels * dtype.itemsize > limits.max_volume_bytes:
        limit = f"{limits.max_voxels} voxels, {limits.max_side} a side"
        raise Refusal("volume.too_large", f"the header claims {' x '.join(map(str, shape))} voxels, over {limit}")


def _affine(
    raw: bytes, version: int, fields: dict[str, tuple[float, ...]]
) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """sform if it has a code, else qform, else nibabel's centred base affine with a note."""
    kind: Any = nibabel.Nifti1Header if version == 348 else nibabel.Nifti2Header
    spacing = np.abs(fields["pixdim"][1:4])
    if fields["codes"][1] > 0:
        affine = np.vstack([np.reshape(fields["srow"], (3, 4)), [0, 0, 0, 1]]).astype(np.float64)
    elif fields["codes"][0] > 0:
        header = kind(raw[:version], check=False)
        try:
            affine = np.asarray(header.get_qform(), np.float64)
        except (ValueError, nibabel.spatialimages.HeaderDataError) as error:
            raise Refusal("nifti.affine", "the quaternion of the header is no rotation") from error
    else:
        base = np.asarray(kind(raw[:version], check=False).get_base_affine(), np.float64)
        return base, ("no sform or qform: orientation and position are unknown",)
    if not np.isfinite(affine).all():
        raise Refusal("nifti.affine", "the affine of the header holds NaN or infinite numbers")
    volume, stated = abs(np.linalg.det(affine[:3, :3])), float(np.prod(spacing))
    if abs(volume / stated - 1) > _VOLUME_TOLERANCE:
        fact = f"the affine gives voxels of {volume:.4g} mm3, the spacing {stated:.4g} mm3"
        raise Refusal("nifti.affine", fact)
    return affine, ()


def _slice_axis(dim_info: int, shape: tuple[int, int, int], spacing: tuple[float, ...]) -> int:
    """From dim_info; else the axis with much the largest spacing; else k."""
    stated = (dim_info >> 4) & 3
    if stated:
        return stated - 1
    if shape[2] == 1:
        return 2
    sizes = np.abs(spacing)
    others = [min(np.delete(sizes, axis)) for axis in range(3)]
    thick = [axis for axis in range(3) if sizes[axis] > _ISOTROPIC * max(np.delete(sizes, axis)) and others[axis] > 0]
    return thick[0] if thick else 2
