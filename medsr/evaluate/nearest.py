"""Normalised correlation of small patches with every place of many pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["PATCH", "Nearest", "nearest", "patch_at"]

Array = npt.NDArray[np.float32]

PATCH = 32
_CHUNK = 125
_FAINTEST = 0.3
"""Places whose energy is below this share of the median are empty and no neighbours."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """Of each patch: its highest correlation, and the picture and corner where it was found; places is their number."""

    correlation: npt.NDArray[np.float64]
    picture: npt.NDArray[np.int64]
    corner: npt.NDArray[np.int64]
    places: int


def nearest(patches: Array, pictures: Sequence[Array]) -> Nearest:
    """The nearest place of each patch among all places of all pictures.

    Parameters
    ----------
    patches : (Q, 32, 32); mean and size of a patch do not matter.
    pictures : of the same sides each, at least 32 px.

    Returns
    -------
    Pearson's correlation, found by FFT at every whole-pixel place: details of a null space agree at one place only.
    """
    given = torch.from_numpy(_normalised(patches))
    rows, columns = pictures[0].shape
    size = (_fast(rows + PATCH - 1), _fast(columns + PATCH - 1))
    spectra = torch.fft.rfft2(given, s=size).conj()
    norms = [_norms(picture) for picture in pictures]
    floor = _FAINTEST * float(np.median(np.concatenate([norm.ravel() for norm in norms])))
    best = torch.full((len(given),), -1.0)
    where, place = torch.zeros(len(given), dtype=torch.int64), torch.zeros(len(given), dtype=torch.int64)
    for index, (picture, norm) in enumerate(zip(pictures, norms, strict=True)):
        usable = torch.from_numpy(norm > floor)
        divisor = torch.from_numpy(np.maximum(norm, floor).astype(np.float32))
        spectrum = torch.fft.rfft2(torch.from_numpy(picture), s=size)
        for start in range(0, len(given), _CHUNK):
            part = slice(start, start + _CHUNK)
            found = torch.fft.irfft2(spectrum * spectra[part], s=size)[:, : norm.shape[0], : norm.shape[1]] / divisor
            values, corners = torch.where(usable, found, -1.0).flatten(1).max(1)
            better = values > best[part]
            best[part] = torch.where(better, values, best[part])
            where[part] = torch.where(better, index, where[part])
            place[part] = torch.where(better, corners, place[part])
    corner: npt.NDArray[np.int64] = np.stack(np.unravel_index(place.numpy(), norms[0].shape), 1)
    places = sum(int((norm > floor).sum()) for norm in norms)
    return Nearest(best.double().numpy(), where.numpy(), corner, places)


def patch_at(picture: Array, corner: Sequence[int]) -> Array:
    """The patch of a picture at a corner."""
    row, column = (int(value) for value in corner)
    patch: Array = picture[row : row + PATCH, column : column + PATCH]
    return patch


def _normalised(patches: Array) -> Array:
    centred = patches - patches.mean((1, 2), keepdims=True)
    size = np.sqrt((centred.astype(np.float64) ** 2).sum((1, 2), keepdims=True))
    normalised: Array = (centred / np.maximum(size, 1e-12)).astype(np.float32)
    return normalised


def _norms(picture: Array) -> npt.NDArray[np.float64]:
    """Root of the centred energy of the patch at every corner."""
    total, squares = (_box(values) for values in (picture.astype(np.float64), picture.astype(np.float64) ** 2))
    norms: npt.NDArray[np.float64] = np.sqrt(np.maximum(squares - total**2 / PATCH**2, 0))
    return norms


def _box(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over windows of a patch's size."""
    table = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums: npt.NDArray[np.float64] = (
        table[PATCH:, PATCH:] - table[:-PATCH, PATCH:] - table[PATCH:, :-PATCH] + table[:-PATCH, :-PATCH]
    )
    return sums


def _fast(size: int) -> int:
    """The next multiple of 16."""
    return -(-size // 16) * 16
