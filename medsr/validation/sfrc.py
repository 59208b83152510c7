"""sFRC: Fourier ring correlation by tile against a reference, as published and with its window set right.

Where a reference exists it tells where image and reference decorrelate. Plain noise decorrelates too, so a flagged
tile is no proof of an invented structure; a reference can hold a result, never release it.

References
----------
Kc, Zeng, Soni and Badano, arXiv 2603.04673; reference implementation DIDSR/sfrc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

__all__ = ["SfrcSettings", "SfrcTiles", "sfrc"]

Plane = npt.NDArray[np.float64]

TILE_PX = 64


@dataclass(frozen=True, slots=True)
class SfrcSettings:
    """Parameters of the count.

    Parameters
    ----------
    published : to the letter of the authors' code: tiles side by side, the last row and column one pixel short and
        padded with zeros, and a "Hann window" that multiplies the row-windowed tile by its own transpose. Otherwise a
        true Hann window on tiles that overlap by half.
    threshold : correlation below which a ring counts as lost (.5 for CT, .75 for MR).
    highest : a tile is flagged whose first crossing lies at or below this frequency, in cycles a mm.
    spacing_mm : pixel size.
    offset : added to the values first, so that air is about 0 (1024 for HU).
    tissue_level, tissue_mean, tissue_share : a tile is judged that has more than `tissue_share` of its pixels above
        `tissue_level` and a mean above `tissue_mean`, in offset values of the reference.
    """

    published: bool = True
    threshold: float = 0.5
    highest: float = 0.33
    spacing_mm: float = 0.48
    offset: float = 1024.0
    tissue_level: float = 200.0
    tissue_mean: float = 150.0
    tissue_share: float = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class SfrcTiles:
    """One entry a tile: its first pixel, whether it was judged, its first crossing in cycles a mm (inf for none)."""

    places: tuple[tuple[int, int], ...]
    judged: npt.NDArray[np.bool_]
    crossing: npt.NDArray[np.float64]
    flagged: npt.NDArray[np.bool_]


def sfrc(image: npt.NDArray[np.floating], reference: npt.NDArray[np.floating], settings: SfrcSettings) -> SfrcTiles:
    """Tiles of a slice (N1, N2) that decorrelate from the reference below a frequency.

    Raises
    ------
    ValueError : if the two differ in shape or are smaller than a tile.
    """
    if image.shape != reference.shape or min(image.shape) < TILE_PX:
        raise ValueError(f"image {image.shape} and reference {reference.shape} must be alike and {TILE_PX} px wide")
    step = TILE_PX if settings.published else TILE_PX // 2
    places = _places((int(image.shape[0]), int(image.shape[1])), step, whole=not settings.published)
    truth = _tiles(reference.astype(np.float64) + settings.offset, places, published=settings.published)
    other = _tiles(image.astype(np.float64) + settings.offset, places, published=settings.published)
    enough = int(settings.tissue_share * TILE_PX**2)
    judged = (truth > settings.tissue_level).sum((1, 2)) > enough
    judged &= truth.mean((1, 2)) > settings.tissue_mean
    correlation = _correlation(truth[judged], other[judged], published=settings.published)
    frequency = np.linspace(0, 1 / (2 * settings.spacing_mm), TILE_PX // 2)
    crossing = np.full(len(places), np.inf)
    crossing[judged] = _first_crossing(frequency, correlation, settings.threshold)
    return SfrcTiles(places, judged, crossing, judged & (crossing <= settings.highest))


def _places(shape: tuple[int, int], step: int, *, whole: bool) -> tuple[tuple[int, int], ...]:
    """First pixels of tiles; with `whole`, of those that fit."""
    last = [size - TILE_PX + 1 if whole else size for size in shape]
    return tuple((row, column) for row in range(0, last[0], step) for column in range(0, last[1], step))


def _tiles(image: Plane, places: tuple[tuple[int, int], ...], *, published: bool) -> Plane:
    """Tiles (n, 64, 64); the published code stops one pixel before the edge and pads with zeros."""
    tiles = np.zeros((len(places), TILE_PX, TILE_PX))
    for tile, (row, column) in zip(tiles, places, strict=True):
        ends = [start + TILE_PX for start in (row, column)]
        if published:
            ends = [size - 1 if end >= size else end for end, size in zip(ends, image.shape, strict=True)]
        part = image[row : ends[0], column : ends[1]]
        tile[: part.shape[0], : part.shape[1]] = part
    return tiles


def _correlation(truth: Plane, other: Plane, *, published: bool) -> Plane:
    """|Re| of the ring correlation of each pair, (n, 32)."""
    weights = _rings().T
    first, second = (_spectra(tiles, published=published) for tiles in (truth, other))
    cross = np.abs((first * second.conj()).real @ weights)
    power = (np.abs(first) ** 2 @ weights) * (np.abs(second) ** 2 @ weights)
    correlation: Plane = cross / np.maximum(np.sqrt(power), 1e-30)
    return correlation


def _spectra(tiles: Plane, *, published: bool) -> npt.NDArray[np.complex128]:
    low, high = tiles.min((1, 2), keepdims=True), tiles.max((1, 2), keepdims=True)
    hann = np.hanning(TILE_PX)
    rows = (tiles - low) / np.where(high > low, high - low, 1) * hann[:, None]
    windowed = rows * rows.transpose(0, 2, 1) if published else rows * hann[None, :]
    spectra: npt.NDArray[np.complex128] = fft.fftshift(fft.fft2(windowed), axes=(1, 2)).reshape(len(tiles), TILE_PX**2)
    return spectra


def _rings() -> Plane:
    """Half of each floor ring and half of each ceiling ring, (32, 4096)."""
    line = np.arange(TILE_PX) - TILE_PX // 2
    radius = np.hypot(line[:, None], line[None])
    weights = np.zeros((TILE_PX // 2, TILE_PX**2))
    for labels in (np.floor(radius).astype(int).ravel(), np.ceil(radius).astype(int).ravel()):
        inside = labels < TILE_PX // 2
        weights[labels[inside], np.flatnonzero(inside)] += 0.5
    return weights


def _first_crossing(frequency: Plane, correlation: Plane, threshold: float) -> Plane:
    """Frequency where each row first meets the threshold, by linear interpolation; the last ring is not used."""
    x, above = frequency[:-1], correlation[:, :-1] - threshold
    meets = (above[:, :-1] * above[:, 1:] <= 0) & (above[:, :-1] != above[:, 1:])
    first = meets.argmax(1)
    rows = np.arange(len(above))
    before, after = above[rows, first], above[rows, first + 1]
    share = before / np.where(before == after, 1, before - after)
    return np.where(meets.any(1), x[first] + (x[first + 1] - x[first]) * share, np.inf)
