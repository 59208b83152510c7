"""What a judgement could not know, in sentences for its reader."""

from __future__ import annotations

from medsr.records import Restoration

__all__ = ["limits_of"]


def limits_of(restoration: Restoration) -> tuple[str, ...]:
    """Sentences on what this scan, operator and noise leave open."""
    limits = ["Structures with a detectability d' below 5 in the measurement cannot be told from noise."]
    if restoration.operator.linear.kind != "identity":
        limits.append("Detail beyond the measured resolution was supplied by the model; no measurement can verify it.")
    if restoration.operator.provenance != "declared":
        limits.append("The degradation operator was taken from the modality and the grids, not declared.")
    if restoration.measured.modality == "MR":
        limits.append("Where the signal drowns in the noise (Rician floor) nothing was judged.")
    else:
        limits.append("The noise spectrum was taken from the residual itself, since the kernel is not known.")
    if restoration.noise.provenance == "estimated":
        limits.append("The noise level was estimated from the pixels.")
    if restoration.estimate is None:
        limits.append("The estimate before projection is not there: agreement with the measurement proves nothing.")
    return tuple(limits)
