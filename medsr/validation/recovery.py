"""F7: how much of the reference's contrast the image shows, by size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.comparison import Compared, not_comparable

__all__ = ["LEAST_RECOVERED", "Recovery"]

LEAST_RECOVERED = 0.5
"""Structures that show less than half of their contrast count as lost, as in R9."""

Plane = npt.NDArray[np.float32]

_SIZES_PX = (4.0, 8.0, 16.0)
_STANDING_OUT = 4.0
_MAD = 1.4826
_FEWEST = 200


class Recovery:
    """Slope of the image's band on the reference's, over places where the reference stands out from its own noise.

    A band is the difference of two Gaussians tuned to discs of 4, 8 and 16 px; its noise is read in the flat part.
    """

    def __init__(self, pixel_mm: float) -> None:
        self._pixel_mm = pixel_mm
        self._products = np.zeros(len(_SIZES_PX))
        self._squares = np.zeros(len(_SIZES_PX))
        self._counts = np.zeros(len(_SIZES_PX), int)

    def add(self, item: Compared) -> None:
        """Take in one slice."""
        images, truths = (_bands(values) for values in (item.image, item.reference))
        for place, (image, truth) in enumerate(zip(images, truths, strict=True)):
            noise = _MAD * float(np.median(np.abs(truth[item.flat]))) if item.flat.any() else 0.0
            chosen = item.body & (np.abs(truth) > _STANDING_OUT * noise)
            self._products[place] += float((image[chosen].astype(np.float64) * truth[chosen]).sum())
            self._squares[place] += float((truth[chosen].astype(np.float64) ** 2).sum())
            self._counts[place] += int(chosen.sum())

    def result(self) -> ChannelResult:
        """The channel: value is the least recovery of any size."""
        known = (self._counts >= _FEWEST) & (self._squares > 0)
        if not known.any():
            return not_comparable("F7", "no structure stands out from the reference's noise")
        shares = self._products[known] / self._squares[known]
        sizes = np.array(_SIZES_PX)[known] * self._pixel_mm
        value = float(shares.min())
        status: ChannelStatus = "passed" if value >= LEAST_RECOVERED else "held"
        listed = ", ".join(f"{100 * share:.0f} % at {size:.1f} mm" for size, share in zip(sizes, shares, strict=True))
        worst = sizes[int(shares.argmin())]
        words = f"structures of {worst:.1f} mm show {100 * value:.0f} % of the reference's contrast"
        return ChannelResult(
            "F7", "reference", status, value, LEAST_RECOVERED, note=f"contrast shown: {listed}",
            words=words if status == "held" else "",
        )  # fmt: skip


def _bands(values: Plane) -> list[Plane]:
    """Differences of Gaussians of a quarter and half a size; each size is twice the one before."""
    smooth = [ndimage.gaussian_filter(values, size / 4, truncate=3) for size in (*_SIZES_PX, 2 * _SIZES_PX[-1])]
    return [narrow - wide for narrow, wide in pairwise(smooth)]
