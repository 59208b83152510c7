"""The values that will stand in the file: rounded, clipped and filled before they are judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medsr.volume import Geometry, Volume

__all__ = ["SMALLEST_LEVELS", "Stored", "as_stored"]

SMALLEST_LEVELS = 4.0
"""Rounding to integers is harmless where the noise spans at least this many levels (it adds 1 / 12 of a level^2)."""

_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """An image as it will be read back: `values` float32, exactly; `clipped` voxels did not fit the type."""

    values: npt.NDArray[np.float32]
    dtype: np.dtype[np.generic]
    slope: float
    intercept: float
    clipped: int = 0


def as_stored(image: npt.NDArray[np.float32], geometry: Geometry, measured: Volume, *, sigma: float) -> Stored:
    """Round an image to the type it will be written in, and put fill values back.

    int16 with slope 1 where the input was integer and its noise `sigma` (image units) is at least 4 levels, else
    float32. Fill values of the input stand at the same place, on a finer grid in every voxel they cover.
    """
    whole = measured.source.integer and sigma >= SMALLEST_LEVELS and measured.values.max() <= _INT16.max
    dtype = np.dtype(np.int16) if whole else np.dtype(np.float32)
    values = np.empty(image.shape, np.float32, order="F")
    clipped = 0
    for index in range(image.shape[2]):
        plane = image[:, :, index]
        if whole:
            rounded = np.rint(plane)
            clipped += int(np.count_nonzero((rounded < _INT16.min) | (rounded > _INT16.max)))
            plane = np.clip(rounded, _INT16.min, _INT16.max)
        values[:, :, index] = plane
    _fill(values, geometry, measured)
    return Stored(values, dtype, 1.0, 0.0, clipped)


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
