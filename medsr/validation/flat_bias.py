"""F10: is flat tissue of the image as bright as the reference's?"""

from __future__ import annotations

import math

import numpy as np

from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.comparison import Compared, not_comparable
from medsr.validation.wording import level_words
from medsr.volume import Modality

__all__ = ["FlatBias"]

_BLOCK_PX = 32
_FEWEST_PIXELS = 100
_SIGNIFICANCE = 4.0


class FlatBias:
    """Mean error in the flat part, with the standard error of its blocks: correlated noise is no bias.

    Parameters
    ----------
    largest : bias below this is too small to hold, in image units.
    """

    def __init__(self, modality: Modality, largest: float) -> None:
        self._modality, self._largest = modality, largest
        self._means: list[float] = []

    def add(self, item: Compared) -> None:
        """Take in one slice."""
        error = item.error
        for row in range(0, error.shape[0], _BLOCK_PX):
            for column in range(0, error.shape[1], _BLOCK_PX):
                part = (slice(row, row + _BLOCK_PX), slice(column, column + _BLOCK_PX))
                if np.count_nonzero(item.flat[part]) >= _FEWEST_PIXELS:
                    self._means.append(float(error[part][item.flat[part]].mean(dtype=np.float64)))

    def result(self) -> ChannelResult:
        """The channel: value is the mean error, in image units."""
        if len(self._means) < 2:
            return not_comparable("F10", "too little flat tissue")
        value = float(np.mean(self._means))
        error = float(np.std(self._means, ddof=1)) / math.sqrt(len(self._means))
        large = not abs(value) <= self._largest and not abs(value) <= _SIGNIFICANCE * error
        status: ChannelStatus = "held" if large else "passed"
        side = "brighter" if value > 0 else "darker"
        words = f"flat tissue is {level_words(value, self._largest, self._modality)} {side} than in the reference"
        note = f"mean error {value:+.3g}, standard error {error:.2g}, {len(self._means)} blocks of flat tissue"
        return ChannelResult(
            "F10", "reference", status, value, self._largest, note=note, words=words if large else ""
        )  # fmt: skip
