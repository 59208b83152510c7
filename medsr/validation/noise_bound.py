"""How much noise a residual leaves room for: a bound on a level that the pixels of a coarse scan overstate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from medsr.records import NoiseLevel, Restoration
from medsr.validation.r3_audit import audit
from medsr.validation.residual import Measurement, Residuals

__all__ = ["bounded_noise", "residual_spread"]

_MOST_SLICES = 8
_MAD = 1.4826
_ROUNDING = math.sqrt(1 / 12)


def bounded_noise(restoration: Restoration) -> NoiseLevel:
    """The noise level, lowered to the spread of the residual where it was estimated from a coarse CT scan.

    The blind estimate of a scan of two millimetres a pixel counts anatomy as noise. Noise that is not in the residual
    must be in the image, which then claims to have reproduced it; what departs from the scan by far more than the rest
    of the image does cannot be put down to it. A level that was declared or given stands.
    """
    noise, operator = restoration.noise, restoration.operator
    blind = noise.provenance == "estimated" and restoration.measured.modality == "CT"
    if not blind or operator.linear.kind == "identity":
        return noise
    spread = residual_spread(restoration)
    return noise if spread is None else replace(noise, sigma=min(noise.sigma, spread))


def residual_spread(restoration: Restoration) -> float | None:
    """1.4826 MAD of the audited residual of the image over the body of a few slices; None where nothing is judged.

    Never less than what rounding leaves where the scan holds whole numbers.
    """
    measurement = Measurement(restoration)
    image = restoration.image if restoration.estimate is None else restoration.estimate
    residuals = Residuals(measurement, image)
    identity = restoration.operator.linear.kind == "identity"
    chosen = np.unique(np.linspace(0, measurement.count - 1, min(measurement.count, _MOST_SLICES)).round().astype(int))
    items = [item for item in residuals.slices(chosen.tolist()) if item.judgeable]
    fit = audit(items, identity=identity)
    left: list[npt.NDArray[np.float32]] = []
    for item in items:
        part = fit.subtracted(item, identity=identity) if fit else item
        left.append(part.residual[part.mask])
    if not left:
        return None
    values = np.concatenate(left)
    spread = _MAD * float(np.median(np.abs(values - np.median(values))))
    smallest = _ROUNDING if restoration.measured.source.integer else 0.0
    return max(spread, smallest) if math.isfinite(spread) and max(spread, smallest) > 0 else None
