"""F9: up to which frequency image and reference correlate, ring by ring."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from medsr.records import ChannelResult
from medsr.validation.comparison import Compared, measured_only, not_comparable

__all__ = ["RingCorrelation"]

_RINGS = 48
_CRITERION = 0.5


class RingCorrelation:
    """Fourier ring correlation over whole slices, windowed; the classical figure beside sFRC's tiles.

    References
    ----------
    Saxton and Baumeister, J Microsc 127, 127 (1982), doi 10.1111/j.1365-2818.1982.tb00405.x.
    """

    def __init__(self, pixel_mm: float) -> None:
        self._pixel_mm = pixel_mm
        self._sums = np.zeros((3, _RINGS))

    def add(self, item: Compared) -> None:
        """Take in one slice."""
        window = np.hanning(item.image.shape[0])[:, None] * np.hanning(item.image.shape[1])[None]
        first, second = (
            fft.rfft2((values - values[item.body].mean()) * window) for values in (item.image, item.reference)
        )
        radius = np.hypot(fft.fftfreq(item.image.shape[0])[:, None], fft.rfftfreq(item.image.shape[1])[None])
        rings = (radius / 0.5 * _RINGS).astype(int).ravel()
        for row, values in enumerate(((first * second.conj()).real, np.abs(first) ** 2, np.abs(second) ** 2)):
            self._sums[row] += np.bincount(rings, values.ravel(), minlength=_RINGS)[:_RINGS]

    def correlation(self) -> npt.NDArray[np.float64]:
        """By ring, from 0 to half a cycle a pixel."""
        result: npt.NDArray[np.float64] = self._sums[0] / np.maximum(np.sqrt(self._sums[1] * self._sums[2]), 1e-30)
        return result

    def result(self) -> ChannelResult:
        """The channel: value is the first frequency, in cycles a mm, where less than half correlates."""
        if not self._sums[1:].any():
            return not_comparable("F9", "nothing to correlate")
        below = np.flatnonzero(self.correlation() < _CRITERION)
        ring = int(below[0]) if below.size else _RINGS
        frequency = 0.5 * ring / _RINGS / self._pixel_mm
        if ring == 0:
            return measured_only("F9", 0.0, "image and reference do not correlate")
        detail = 1 / (2 * frequency)
        return measured_only("F9", frequency, f"image and reference correlate down to details of {detail:.2f} mm")
