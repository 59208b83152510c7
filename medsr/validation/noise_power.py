"""F8: noise power of the image against that of the reference, in flat tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from medsr.records import ChannelResult
from medsr.validation.comparison import Compared, measured_only, not_comparable

__all__ = ["NoisePower"]

_SIDE, _STEP = 32, 16
_BANDS = ((0.03, 0.17), (0.17, 0.33), (0.33, 0.5))
"""In cycles a pixel; the lowest frequencies hold anatomy."""
_BODY_SHARE, _FLATTEST = 0.98, 0.3
_MOST_TILES = 60


class NoisePower:
    """Power of the flattest 30 % of 32 px tiles inside the body, after a plane was taken off.

    References
    ----------
    ICRU Report 54 (1996) on the noise power spectrum; AAPM TG-233 on tiles and detrending.
    """

    def __init__(self) -> None:
        line = np.linspace(-1, 1, _SIDE)
        first, second = (axis.ravel() for axis in np.meshgrid(line, line, indexing="ij"))
        self._basis: npt.NDArray[np.float64] = np.linalg.qr(np.stack([np.ones_like(first), first, second], 1))[0]
        radius = np.hypot(fft.fftfreq(_SIDE)[:, None], fft.rfftfreq(_SIDE)[None])
        self._members = [(radius >= low) & (radius < high) for low, high in _BANDS]
        self._power: tuple[list[list[float]], list[list[float]]] = ([], [])

    def add(self, item: Compared) -> None:
        """Take in one slice."""
        if min(item.flat.shape) < _SIDE:
            return
        body, flat = (
            np.lib.stride_tricks.sliding_window_view(mask, (_SIDE, _SIDE))[::_STEP, ::_STEP].mean((2, 3))
            for mask in (item.body, item.flat)
        )
        inside = body > _BODY_SHARE
        if not inside.any():
            return
        flattest = inside & (flat >= np.quantile(flat[inside], 1 - _FLATTEST))
        places = np.argwhere(flattest)[:_MOST_TILES] * _STEP
        for row, column in places:
            for kind, values in enumerate((item.image, item.reference)):
                tile = values[row : row + _SIDE, column : column + _SIDE].astype(np.float64).ravel()
                tile -= self._basis @ (self._basis.T @ tile)
                power = np.abs(fft.rfft2(tile.reshape(_SIDE, _SIDE))) ** 2
                self._power[kind].append([float(power[members].mean()) for members in self._members])

    def result(self) -> ChannelResult:
        """The channel: value is the root of image over reference power in the middle band."""
        tiles = len(self._power[0])
        if not tiles:
            return not_comparable("F8", "no flat tissue large enough")
        # The median: an edge in a few tiles is no noise.
        image, reference = (np.median(np.array(powers), 0) for powers in self._power)
        if not (reference > 0).all():
            return not_comparable("F8", "the reference holds no noise")
        ratios = np.sqrt(image / reference)
        low, middle, high = (f"{100 * ratio:.0f} %" for ratio in ratios)
        note = f"noise of the image against the reference's: coarse {low}, middle {middle}, fine {high}"
        return measured_only("F8", float(ratios[1]), f"{note}; {tiles} tiles of flat tissue")
