"""What a failing channel says in the first sentence of a report, in words with figures."""

from __future__ import annotations

import math
from collections.abc import Mapping

from medsr.volume import Modality

__all__ = ["agreement_words", "audit_words", "level_words"]

_TIMES = 2.0
_BIAS_PERCENT = 0.5
"""What R1 and R3 bear of a mean deviation in MR, in % of q; their bound in image units is this much."""


def level_words(deviation: float, largest: float, modality: Modality) -> str:
    """The size of a deviation: in HU, or in % of the bright end of the scan.

    >>> level_words(-42.71, 1.0, "CT"), level_words(12.0, 5.0, "MR")
    ('43 HU', '1.2 % of the bright end')
    """
    if modality == "CT":
        return f"{abs(deviation):.0f} HU" if abs(deviation) >= 10 else f"{abs(deviation):.1f} HU"
    return f"{_BIAS_PERCENT * abs(deviation) / largest:.1f} % of the bright end"


def agreement_words(bias: float | None, square: float | None, *, largest_bias: float, modality: Modality) -> str:
    """What R1 found; None for what is within its bound.

    Parameters
    ----------
    bias : mean of scan minus image; square : mean squared residual in units of the noise.
    """
    if bias is not None:
        side = "darker" if bias > 0 else "brighter"
        return f"the restored image is on average {level_words(bias, largest_bias, modality)} {side} than the scan"
    if square is None:
        return ""
    much = f"{square:.1f} times" if square >= _TIMES else f"{100 * (square - 1):.0f} % more than"
    return f"the difference of image and scan holds {much} the power of the scan's noise"


def audit_words(
    counted: Mapping[str, float],
    *,
    offset: float,
    largest_offset: float,
    shift_px: tuple[float, float],
    gain: float,
    curve: float,
    blur: float,
    modality: Modality,
    declared: bool,
) -> str:
    """What R3 found: how the image, seen through the operator, differs from the scan.

    Parameters
    ----------
    counted : the readings that are significant, over their bounds.
    """
    beyond = {key for key, share in counted.items() if share > 1}
    clauses = []
    if "offset" in beyond:
        side = "darker" if offset > 0 else "brighter"
        clauses.append(f"is {level_words(offset, largest_offset, modality)} {side} than the scan")
    if "gain" in beyond:
        clauses.append(f"shows {100 * abs(gain):.1f} % {'less' if gain > 0 else 'more'} contrast")
    if "shift" in beyond:
        clauses.append(f"lies {math.hypot(*shift_px):.2f} pixels beside it")
    if "blur" in beyond:
        clauses.append(f"has a point spread {100 * blur:.0f} % too narrow (the operator's or the restorer's)")
    if "curve" in beyond:
        clauses.append(f"bends the intensities by {100 * abs(curve):.1f} %")
    listed = clauses[0] if len(clauses) == 1 else ", ".join(clauses[:-1]) + f" and {clauses[-1]}"
    if declared:
        return f"the image does not fit its declared operator: seen through it, the image {listed}"
    return f"the scan does not behave as the assumed operator says: seen through it, the image {listed}"
