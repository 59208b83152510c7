"""R1: does the restored image agree with the measurement as a whole?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.residual import SliceResidual
from medsr.validation.spectrum import square_variance, window_variance
from medsr.validation.wording import agreement_words
from medsr.volume import Modality

__all__ = ["LARGEST_BIAS_HU", "LARGEST_BIAS_SHARE", "LARGEST_MEAN_SQUARE", "GlobalAgreement"]

LARGEST_BIAS_HU = 1.0
LARGEST_BIAS_SHARE = 0.005
"""A mean residual beyond 1 HU, or .5 % of q, is too large where it is significant."""
LARGEST_MEAN_SQUARE = {"MR": 1.10, "CT": 1.30}
"""A significant mean u^2 above this: the residual holds more than noise, so structure went. The noise map of CT is the
smaller of two and a tenth too low on the whole (decision 0201), which its square doubles."""

_NOISE_LEFT = 0.9
_SIGNIFICANCE = 1e-3


@dataclass(slots=True)
class GlobalAgreement:
    """Accumulates mean r, mean u and mean u^2 over the body, slice by slice.

    Fails only if a deviation is significant (p < 1e-3 under the residual's own spectrum; two-sided for the mean,
    one-sided for the square) *and* large. mean u^2 below 1 is noise left in the image: told, no failure.

    Parameters
    ----------
    modality : decides how large a mean square is large.
    largest_bias : in image units.
    """

    modality: Modality
    largest_bias: float
    _count: int = 0
    _residual: float = 0.0
    _u: float = 0.0
    _square: float = 0.0
    _mean_variance: float = 0.0
    _square_variance: float = 0.0

    def add(self, item: SliceResidual, spectrum: npt.NDArray[np.float64]) -> None:
        """Take in one slice; `spectrum` is the noise power in rfft2 layout, mean 1."""
        if item.judgeable:
            self.add_with(item, window_variance(spectrum, item.mask), square_variance(spectrum))

    def add_with(self, item: SliceResidual, mean_variance: float, square: float) -> None:
        """Take in one slice whose variances are known: of the mean of u, and n times that of the mean of u^2."""
        count = int(item.mask.sum())
        u = item.u[item.mask].astype(np.float64)
        self._count += count
        self._residual += float(item.residual[item.mask].astype(np.float64).sum())
        self._u += float(u.sum())
        self._square += float((u**2).sum())
        self._mean_variance += mean_variance * count**2
        self._square_variance += square * count

    def result(self, name: str, note: str, *, audited: GlobalAgreement | None = None) -> ChannelResult:
        """The channel: value is the worst of mean residual and mean u^2 over their bounds, where significant.

        `audited` holds the same slices after the operator's audit; where those agree, the failure is the operator's
        and holds the result instead of rejecting it.
        """
        if self._count == 0:
            return ChannelResult(name, "range", "not_assessed", None, 1.0, may="reject", note="no voxel to judge")
        bias, square = self._residual / self._count, self._square / self._count
        tests = (
            self._u / math.sqrt(self._mean_variance),
            (self._square - self._count) / math.sqrt(self._square_variance),
        )
        p_mean, p_square = 2 * float(norm.sf(abs(tests[0]))), float(norm.sf(tests[1]))
        shares = (abs(bias) / self.largest_bias, square / LARGEST_MEAN_SQUARE[self.modality])
        counted = [share for share, p in zip(shares, (p_mean, p_square), strict=True) if p < _SIGNIFICANCE]
        finite = all(math.isfinite(item) for item in (*tests, *shares))
        value = max(counted, default=0.0) if finite else math.nan
        figures = f"mean residual {bias:.3g}, mean u^2 {square:.3f}"
        if square < _NOISE_LEFT:
            figures += ", noise_left: less than the noise was removed"
        status: ChannelStatus = "passed" if finite and value <= 1 else "held"
        excused = status == "held" and audited is not None and audited.result(name, "").status == "passed"
        may: Literal["hold", "reject"] = "hold" if excused else "reject"
        words = ""
        if status == "held" and finite:
            beyond = [share > 1 and p < _SIGNIFICANCE for share, p in zip(shares, (p_mean, p_square), strict=True)]
            words = agreement_words(
                bias if beyond[0] else None,
                square if beyond[1] else None,
                largest_bias=self.largest_bias,
                modality=self.modality,
            )
        note, p = f"{figures}; {note}", min(p_mean, p_square)
        return ChannelResult(name, "range", status, value, 1.0, p, may=may, note=note, words=words)
