"""R3: does the scan behave as the stated operator says? Offset, gain, curve, shift and blur of the residual."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.residual import SliceResidual

__all__ = ["Audit", "audit"]

LARGEST_GAIN = 0.005
LARGEST_SHIFT_PX = 0.1
LARGEST_BLUR = 0.1
"""Beyond .5 % gain, .1 px shift or 10 % of the point spread's width the operator does not fit (offset: R1's bound)."""

_SIGNIFICANCE = 4.0
_PSF_FWHM_PX = 1.0
_FWHM_SQUARED = 8 * math.log(2)
_TERMS = 6

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """The residual explained by what a wrong operator would leave.

    Parameters
    ----------
    coefficients : of 1, (p - c)/s, ((p - c)/s)^2, dp/di, dp/dj and the laplacian of p = A x, in image units (px, px^2).
    errors : their standard errors.
    centre, scale : c and s, mean and deviation of p in the body.
    """

    coefficients: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    centre: float
    scale: float

    @property
    def offset(self) -> float:
        """Mean residual at the mean signal, in image units."""
        return float(self.coefficients[0])

    @property
    def gain(self) -> float:
        """Relative gain error of the image: 0.02 where the scan is 2 % stronger than A x."""
        return float(self.coefficients[1]) / self.scale

    @property
    def curve(self) -> float:
        """Quadratic term at one deviation from the mean signal, relative to that deviation."""
        return float(self.coefficients[2]) / self.scale

    @property
    def shift_px(self) -> tuple[float, float]:
        """Where the scan lies against A x, in measured pixels: p(x - d) = p - d . grad p."""
        return -float(self.coefficients[3]), -float(self.coefficients[4])

    @property
    def blur(self) -> float:
        """Relative width of the scan's point spread against that of A x, for one of 1 px: 0.1 is 10 % wider.

        A Gaussian of variance s^2 adds s^2 / 2 times the laplacian.
        """
        squared = 1 + 2 * float(self.coefficients[5]) * _FWHM_SQUARED / _PSF_FWHM_PX**2
        return math.sqrt(max(squared, 0.0)) - 1

    def explained(self, predicted: Plane) -> Plane:
        """What the fit says the residual of a slice should be."""
        terms = _terms(predicted, self.centre, self.scale)
        total = np.tensordot(self.coefficients.astype(np.float32), terms, axes=1)
        return np.asarray(total, np.float32)

    def significant(self, *terms: int) -> bool:
        """True if one of these coefficients is beyond 4 standard errors."""
        return any(abs(self.coefficients[term]) > _SIGNIFICANCE * self.errors[term] for term in terms)

    def result(self, name: str, *, largest_offset: float, declared: bool, note: str) -> ChannelResult:
        """The channel: value is the worst of all readings over its bound, where significant."""
        shift = math.hypot(*self.shift_px)
        readings = {
            "offset": (abs(self.offset) / largest_offset, (0,)),
            "gain": (abs(self.gain) / LARGEST_GAIN, (1,)),
            "curve": (abs(self.curve) / LARGEST_GAIN, (2,)),
            "shift": (shift / LARGEST_SHIFT_PX, (3, 4)),
            "blur": (abs(self.blur) / LARGEST_BLUR, (5,)),
        }
        finite = bool(np.isfinite(self.coefficients).all() and np.isfinite(self.errors).all())
        counted = {key: share for key, (share, terms) in readings.items() if self.significant(*terms)}
        value = max(counted.values(), default=0.0) if finite else math.nan
        status: ChannelStatus = "passed" if finite and value <= 1 else "held"
        words = (
            f"offset {self.offset:+.3g}, gain {100 * self.gain:+.2f} %, curve {100 * self.curve:+.2f} %, "
            f"shift {self.shift_px[0]:+.2f} {self.shift_px[1]:+.2f} px, blur {100 * self.blur:+.0f} %"
        )
        if status == "held":
            blame = "the image does not fit its operator" if declared else "operator.unverified"
            words += f"; {blame} ({', '.join(key for key, share in counted.items() if share > 1)})"
            if counted.get("blur", 0) > 1:
                words += "; a wrong blur of the operator and one of the model look alike"
        return ChannelResult(name, "range", status, value, 1.0, None, may="hold", note=f"{words}; {note}")


def audit(items: Iterable[SliceResidual]) -> Audit | None:
    """Weighted least squares over the body of some slices; None where there is too little to fit."""
    chosen = [item for item in items if item.judgeable]
    if not chosen:
        return None
    signal = np.concatenate([item.predicted[item.mask].astype(np.float64)[::5] for item in chosen])
    centre, scale = float(signal.mean()), float(signal.std())
    if not (math.isfinite(scale) and scale > 0):
        return None
    normal, moment = np.zeros((_TERMS, _TERMS)), np.zeros(_TERMS)
    for item in chosen:
        inside = ndimage.binary_erosion(item.mask) & (item.sigma > 0)
        weights = 1 / item.sigma[inside].astype(np.float64)
        terms = _terms(item.predicted, centre, scale)[:, inside].astype(np.float64) * weights
        normal += terms @ terms.T
        moment += terms @ (item.residual[inside] * weights)
    try:
        covariance = np.linalg.inv(normal)
    except np.linalg.LinAlgError:
        return None
    return Audit(covariance @ moment, np.sqrt(np.maximum(np.diag(covariance), 0)), centre, scale)


def _terms(predicted: Plane, centre: float, scale: float) -> Plane:
    level = (predicted - np.float32(centre)) / np.float32(scale)
    first, second = np.gradient(predicted)
    return np.stack([np.ones_like(level), level, level**2, first, second, ndimage.laplace(predicted)])
