"""N5: how wrong is the model on slices that were acquired, hidden, and restored like the lost ones?"""

from __future__ import annotations

import math

from medsr.records import ChannelResult
from medsr.validation.null_space import NullSpace, uncalibrated

__all__ = ["hidden_result"]

_FEWEST = 1


def hidden_result(null: NullSpace, *, unit: float) -> ChannelResult:
    """The channel: value is the worst error of a hidden slice, its noise taken off, in % of q (MR) or HU (CT).

    Hidden slices lie in a wider gap than lost ones: their error is larger by a ratio that a calibration measures.

    Parameters
    ----------
    unit : 1 HU, or a hundredth of q, in image units.
    """
    hidden, linear = null.restoration.hidden, null.linear
    if linear.kind != "slice_mask":
        return ChannelResult("N5", "null", "not_assessed", None, None, may="hold", note="no slice was lost")
    if hidden is None:
        return ChannelResult("N5", "null", "not_assessed", None, None, may="hold", note="nobody hid acquired slices")
    if len(hidden) < _FEWEST:
        note = "the stack has no acquired slice between two others that could be hidden"
        return ChannelResult("N5", "null", "not_assessed", None, None, may="hold", note=note)
    sigma = null.restoration.noise.sigma
    worst = max(hidden, key=lambda item: item.error if math.isfinite(item.error) else math.inf)
    error = math.sqrt(max(worst.error**2 - sigma**2, 0.0)) / unit if math.isfinite(worst.error) else math.nan
    line = math.sqrt(max(worst.linear**2 - sigma**2, 0.0)) / unit if math.isfinite(worst.linear) else math.nan
    word = "HU" if null.restoration.measured.modality == "CT" else "% of q"
    note = (
        f"worst of {len(hidden)} hidden slices is {worst.index}, wrong by {error:.3g} {word}; linear interpolation "
        f"there by {line:.3g}"
    )
    return uncalibrated("N5", error, note)
