"""The values that will stand in the file: rounded, clipped and filled before they are judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from medsr.io.sources import DicomSource
from medsr.volume import Geometry, Volume

__all__ = ["SMALLEST_LEVELS", "Container", "Stored", "as_stored", "decimal"]

SMALLEST_LEVELS = 4.0
"""Rounding to integers is harmless where the noise spans at least this many levels (it adds 1 / 12 of a level^2)."""

_INT16 = np.iinfo(np.int16)
_LARGEST_LEVEL = 32_000
_LARGEST_CT_SLOPE = 1.0

Container = Literal["nifti", "dicom"]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """An image as it will be read back.

    Parameters
    ----------
    values : float32, exactly what a reader gets: stored number x slope + intercept.
    dtype : of the stored numbers.
    slope, intercept : of the whole image.
    clipped : voxels that did not fit the type.
    bits : used bits of an integer type; 0 means all of them.
    """

    values: npt.NDArray[np.float32]
    dtype: np.dtype[np.generic]
    slope: float
    intercept: float
    clipped: int = 0
    bits: int = 0

    def numbers(self, index: int) -> npt.NDArray[np.generic]:
        """The stored numbers of slice `index` along k, (I, J)."""
        plane = self.values[:, :, index].astype(np.float64)
        return np.rint((plane - self.intercept) / self.slope).astype(self.dtype)


def as_stored(
    image: npt.NDArray[np.float32],
    geometry: Geometry,
    measured: Volume,
    *,
    sigma: float,
    container: Container = "nifti",
) -> Stored:
    """Round an image to the type it will be written in, and put fill values back.

    Fill values of the input stand at the same place, on a finer grid in every voxel they cover.

    - NIfTI: int16 with slope 1 where the input was integer and its noise `sigma` (image units) is at least 4 levels,
      else float32.
    - DICOM, which holds integers only: the source's bits, sign and rescale if every value fits to half a unit;
      else int16 with slope 1; for MR whose noise or range slope 1 would not do justice, int16 with the slope that
      spans it.
    """
    values = np.array(image, np.float32, order="F")
    _fill(values, geometry, measured)
    whole = measured.source.integer and sigma >= SMALLEST_LEVELS
    if container == "dicom":
        return _integers(values, measured, whole=whole)
    fits = measured.values.max() <= _INT16.max and measured.values.min() >= _INT16.min
    if not (whole and fits):
        return Stored(values, np.dtype(np.float32), 1.0, 0.0)
    return _rounded(values, np.dtype(np.int16), (_INT16.min, _INT16.max), slope=1.0, intercept=0.0)


def decimal(number: float) -> float:
    """The number that a DICOM decimal string of at most 16 characters gives back."""
    for digits in range(16, 0, -1):
        text = f"{number:.{digits}g}"
        if len(text) <= 16:
            return float(text)
    return float(f"{number:.1g}")


def _integers(values: npt.NDArray[np.float32], measured: Volume, *, whole: bool) -> Stored:
    low, high = float(values.min()), float(values.max())
    source = measured.source
    if isinstance(source, DicomSource) and source.bits_stored:
        limits = _limits(source.bits_stored, signed=source.signed)
        slope, intercept = source.slope, source.intercept
        ends = [round((end - intercept) / slope) for end in (low, high)]
        fine = slope > 0 and (measured.modality == "MR" or slope <= _LARGEST_CT_SLOPE)
        if fine and min(ends) >= limits[0] and max(ends) <= limits[1]:
            dtype = np.dtype(source.dtype)
            return _rounded(values, dtype, limits, slope=slope, intercept=intercept, bits=source.bits_stored)
    slope = 1.0
    if measured.modality == "MR" and (not whole or max(-low, high) > _INT16.max):
        slope = decimal(float(f"{max(-low, high) / _LARGEST_LEVEL:.6g}"))
    return _rounded(values, np.dtype(np.int16), (_INT16.min, _INT16.max), slope=slope, intercept=0.0)


def _limits(bits: int, *, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _rounded(
    values: npt.NDArray[np.float32],
    dtype: np.dtype[np.generic],
    limits: tuple[int, int],
    *,
    slope: float,
    intercept: float,
    bits: int = 0,
) -> Stored:
    """Round in place to the numbers between `limits`."""
    clipped = 0
    for index in range(values.shape[2]):
        numbers = np.rint((values[:, :, index].astype(np.float64) - intercept) / slope)
        clipped += int(np.count_nonzero((numbers < limits[0]) | (numbers > limits[1])))
        values[:, :, index] = np.clip(numbers, *limits) * slope + intercept
    return Stored(values, dtype, slope, intercept, clipped, bits)


def _fill(values: npt.NDArray[np.float32], geometry: Geometry, measured: Volume) -> None:
    if measured.padding is None:
        return
    places = [
        np.minimum(((np.arange(fine) + 0.5) * coarse / fine).astype(int), coarse - 1)
        for fine, coarse in zip(geometry.shape, measured.geometry.shape, strict=True)
    ]
    for index in range(values.shape[2]):
        plane = np.ix_(places[0], places[1])
        mask = measured.padding[:, :, places[2][index]][plane]
        values[:, :, index][mask] = measured.values[:, :, places[2][index]][plane][mask]
