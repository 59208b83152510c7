"""R9: what does this restoration keep of lesions that are known to be there?

A lesion of small d' can vanish without a trace in the residual. Discs planted into the scan and restored again say how
much of their contrast survives in this patient, and from which size on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from medsr.records import ChannelResult, ChannelStatus, ProbeDisc

__all__ = ["LEAST_KEPT", "STRONG_DPRIME", "probe_result", "smallest_kept_mm"]

LEAST_KEPT = 0.5
"""A disc that keeps less than half of its contrast counts as lost."""
STRONG_DPRIME = 8.0
"""Lesions this detectable in the scan must survive; of weaker ones the scan itself says little."""

_FEWEST_DISCS = 8


def probe_result(discs: Sequence[ProbeDisc] | None) -> ChannelResult:
    """The channel: value is the mean share of contrast lost by discs of d' 8 or more, held above one half."""
    threshold = 1 - LEAST_KEPT
    if discs is None:
        note = "nobody planted discs and restored again"
        return ChannelResult("R9", "range", "not_assessed", None, threshold, may="hold", note=note)
    strong = [disc.kept for disc in discs if disc.dprime >= STRONG_DPRIME]
    if len(strong) < _FEWEST_DISCS:
        note = f"only {len(strong)} discs of d' {STRONG_DPRIME:g} or more"
        return ChannelResult("R9", "range", "not_assessed", None, threshold, may="hold", note=note)
    value = 1 - float(np.mean(strong))
    status: ChannelStatus = "passed" if math.isfinite(value) and value <= threshold else "held"
    smallest = smallest_kept_mm(discs)
    size = f"from {smallest:.1f} mm on" if smallest is not None else "at no size that was tried"
    lost = sum(kept < LEAST_KEPT for kept in strong)
    note = (
        f"discs of d' {STRONG_DPRIME:g} or more keep {100 * (1 - value):.0f} % of their contrast, "
        f"{lost} of {len(strong)} less than half; kept {size}"
    )
    return ChannelResult("R9", "range", status, value, threshold, may="hold", note=note)


def smallest_kept_mm(discs: Sequence[ProbeDisc]) -> float | None:
    """The size from which on discs of d' 8 or more keep at least half of their contrast, all larger ones too."""
    smallest = None
    strong = [disc for disc in discs if disc.dprime >= STRONG_DPRIME]
    for diameter in sorted({disc.diameter_mm for disc in strong}, reverse=True):
        kept = float(np.mean([disc.kept for disc in strong if disc.diameter_mm == diameter]))
        if not kept >= LEAST_KEPT:
            break
        smallest = diameter
    return smallest
