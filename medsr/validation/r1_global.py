"""R1: does the restored image agree with the measurement as a whole?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from medsr.records import ChannelResult
from medsr.validation.residual import SliceResidual
from medsr.validation.spectrum import window_variance

__all__ = ["LARGEST_BIAS_HU", "LARGEST_BIAS_SHARE", "LARGEST_MEAN_SQUARE", "GlobalAgreement"]

LARGEST_BIAS_HU = 1.0
LARGEST_BIAS_SHARE = 0.005
"""A mean residual beyond 1 HU, or .5 % of q, is too large whatever its significance."""
LARGEST_MEAN_SQUARE = 1.10
"""mean u^2 above this: the residual holds more than noise, so structure went."""

_SIGNIFICANCE = 1e-3


@dataclass(slots=True)
class GlobalAgreement:
    """Accumulates mean r, mean u and mean u^2 over the body, slice by slice.

    Fails only if a deviation is significant (two-sided p < 1e-3 under the residual's own spectrum) *and* large.
    mean u^2 below 1 is noise left in the image: told, no failure.

    Parameters
    ----------
    largest_bias : in image units.
    """

    largest_bias: float
    _count: int = 0
    _residual: float = 0.0
    _u: float = 0.0
    _square: float = 0.0
    _variance: float = 0.0
    _notes: list[str] = field(default_factory=list)

    def add(self, item: SliceResidual, spectrum: npt.NDArray[np.float64]) -> None:
        """Take in one slice."""
        count = int(item.mask.sum())
        if count < 100:
            return
        u = item.u[item.mask].astype(np.float64)
        self._count += count
        self._residual += float(item.residual[item.mask].astype(np.float64).sum())
        self._u += float(u.sum())
        self._square += float((u**2).sum())
        self._variance += window_variance(spectrum, item.mask) * count**2

    def result(self, name: str, null_share: float) -> ChannelResult:
        """The channel: value is the mean residual over its bound, or mean u^2 over its bound, whichever is larger."""
        if self._count == 0:
            return ChannelResult(name, "range", "not_assessed", None, 1.0, may="reject", note="no voxel to judge")
        bias = self._residual / self._count
        square = self._square / self._count
        deviation = math.sqrt(self._variance) / self._count
        p = 2 * float(norm.sf(abs(self._u / self._count) / deviation)) if deviation > 0 else 1.0
        biased = p < _SIGNIFICANCE and abs(bias) > self.largest_bias
        excessive = square > LARGEST_MEAN_SQUARE
        value = max(abs(bias) / self.largest_bias if p < _SIGNIFICANCE else 0.0, square / LARGEST_MEAN_SQUARE)
        left = ", noise left in the image" if square < 0.9 else ""
        note = f"mean residual {bias:.3g}, mean u^2 {square:.3f}{left}; {null_share:.0%} of the image is not seen by it"
        status = "held" if biased or excessive or not math.isfinite(value) else "passed"
        return ChannelResult(name, "range", status, value, 1.0, p, may="reject", note=note)
