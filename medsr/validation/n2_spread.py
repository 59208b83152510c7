"""N2: how far apart are repeated draws of the model?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medsr.records import ChannelResult
from medsr.validation.local_noise import plane_of
from medsr.validation.null_space import NullSpace, uncalibrated

__all__ = ["COVERAGE", "conformal_scale", "spread_result"]

COVERAGE = 0.9
"""Share of pixels whose error the scaled spread must cover, on the average over subjects."""

_PERCENTILE = 99.0
_SAMPLE = 20_000
_ITERATIONS = 60


def spread_result(null: NullSpace, *, unit: float, needed: bool) -> ChannelResult:
    """The channel: value is the 99th percentile of the samples' sd inside the patient, in % of q (MR) or HU (CT).

    Consistent samples agree wherever the scan decides, so their spread is that of the null part; where the scan
    sees everything it is what noise leaves open.

    Parameters
    ----------
    unit : 1 HU, or a hundredth of q, in image units.
    needed : the method draws samples, so that their absence is worth a word.
    """
    spread = null.restoration.spread
    if spread is None:
        note = "the spread of the samples is missing" if needed else "the method draws no samples"
        return ChannelResult("N2", "null", "not_assessed", None, None, may="hold", note=note)
    if spread.shape != null.restoration.geometry.shape or not any(
        plane_of(spread, index, null.axis).any() for index in range(null.count)
    ):
        note = "one sample has no spread" if spread.shape == null.restoration.geometry.shape else "spread misfits"
        return ChannelResult("N2", "null", "not_assessed", None, None, may="hold", note=note)
    values = []
    for index in range(null.count):
        inside = plane_of(spread, index, null.axis)[null.mask(index)]
        values.append(inside[:: max(1, inside.size // _SAMPLE)])
    pooled = np.concatenate(values)
    if not pooled.size:
        return ChannelResult("N2", "null", "not_assessed", None, None, may="hold", note="no voxel to judge")
    value = float(np.percentile(pooled, _PERCENTILE)) / unit if np.isfinite(pooled).all() else math.nan
    word = "HU" if null.restoration.measured.modality == "CT" else "% of q"
    return uncalibrated("N2", value, f"99 % of the patient's voxels spread by less than {value:.3g} {word}")


def conformal_scale(ratios: Sequence[npt.NDArray[np.floating]], *, coverage: float = COVERAGE) -> float | None:
    """The smallest factor with which the samples' sd covers the error in `coverage` of the pixels of a new subject.

    Parameters
    ----------
    ratios : for each calibration subject |x - truth| / sd of some pixels inside the patient; inf where sd is 0.
    coverage : mean share of pixels that must be covered.

    Returns
    -------
    None where there are too few subjects for any finite factor, or where none covers enough.

    Raises
    ------
    ValueError : for NaN, or a subject without pixels.

    References
    ----------
    Angelopoulos, Bates, Fisch, Lei and Schuster, Conformal risk control, ICLR 2024, arXiv 2208.02814, eq. 4, with the
    share of uncovered pixels as the loss (at most 1, falling in the factor).
    """
    if any(not item.size or np.isnan(item).any() for item in ratios):
        raise ValueError("every subject needs pixels, none of them NaN")
    count, allowed = len(ratios), 1 - coverage + 1e-12

    def risk(factor: float) -> float:
        missed = sum(float((item > factor).mean()) for item in ratios)
        return (missed + 1) / (count + 1)

    finite = [float(item[np.isfinite(item)].max(initial=0.0)) for item in ratios]
    high = max(finite, default=0.0)
    if risk(high) > allowed:
        return None
    low = 0.0
    for _ in range(_ITERATIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if risk(middle) <= allowed else (middle, high)
    return high
