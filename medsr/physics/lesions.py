"""Discs that stand for lesions: drawing them, and the contrast that makes them as detectable as wanted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

__all__ = ["contrast_for", "disc", "disc_at"]

_SUBPIXELS = 5


def disc(diameter: float, *, offset: tuple[float, float] = (0.0, 0.0)) -> npt.NDArray[np.float32]:
    """An antialiased disc in a small square of odd side; 1 inside, 0 outside, the share of area at its rim.

    Parameters
    ----------
    diameter : pixels.
    offset : sub-pixel shift of its centre from the centre pixel, each within half a pixel.
    """
    reach = int(diameter / 2 + 2)
    line = (np.arange((2 * reach + 1) * _SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5 - reach
    inside = (line[:, None] - offset[0]) ** 2 + (line[None] - offset[1]) ** 2 <= (diameter / 2) ** 2
    side = 2 * reach + 1
    shares: npt.NDArray[np.float32] = inside.reshape(side, _SUBPIXELS, side, _SUBPIXELS).mean((1, 3), dtype=np.float32)
    return shares


def disc_at(shape: tuple[int, int], place: tuple[int, int], diameter: float) -> npt.NDArray[np.float32]:
    """A disc in an image of zeros; parts outside the image are cut."""
    small = disc(diameter)
    reach = small.shape[0] // 2
    image = np.zeros((shape[0] + 2 * reach, shape[1] + 2 * reach), np.float32)
    image[place[0] : place[0] + small.shape[0], place[1] : place[1] + small.shape[1]] = small
    return image[reach : reach + shape[0], reach : reach + shape[1]]


def contrast_for(
    dprime: float, diameter: float, *, sigma: float, nps: npt.NDArray[np.float64] | None = None, side: int = 128
) -> float:
    """Contrast, in the units of `sigma`, at which a disc is detectable at `dprime` in the measurement itself.

    d' = |S^(-1/2) L| for the ideal observer: sqrt(sum |L(f)|^2 / NPS(f)) / sigma. `nps` is (side, side / 2 + 1)
    in rfft2 layout, mean 1, and counts at least 5 % of its largest value; None is white. `side` is even.
    """
    image = disc_at((side, side), (side // 2, side // 2), diameter)
    power = np.abs(fft.rfft2(image.astype(np.float64))) ** 2
    weights = np.full(power.shape, 2.0)
    weights[:, 0] = weights[:, -1] = 1.0
    density = np.ones(power.shape) if nps is None else np.maximum(nps, 0.05 * nps.max())
    energy = float((weights * power / density).sum()) / side**2
    return dprime * sigma / float(np.sqrt(energy))
