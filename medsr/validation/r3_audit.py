"""R3: does the scan behave as the stated operator says? Offset, gain, curve, shift and blur of the residual."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.records import ChannelResult, ChannelStatus
from medsr.validation.residual import SliceResidual
from medsr.validation.wording import audit_words
from medsr.volume import Modality

__all__ = ["LARGEST_BLUR", "LARGEST_GAIN", "LARGEST_SHIFT_PX", "Audit", "audit"]

LARGEST_GAIN = 0.005
LARGEST_SHIFT_PX = 0.1
LARGEST_BLUR = 0.1
"""Beyond .5 % gain, .1 px shift or 10 % of the point spread's width the operator does not fit (offset: R1's bound)."""

_SIGNIFICANCE = 4.0
_INSTRUMENT_PX = {True: 3.0, False: 1.5}
"""Smoothing of the instruments for the identity, whose restorers leave the more noise in, and for other operators."""
_LINEAR = (0, 1)
_EROSION = 3
_LARGEST_CONDITION = 1e3
_GROUPS, _BLOCK_PX = 16, 32
_PSF_FWHM_PX = 1.0
_FWHM_SQUARED = 8 * math.log(2)
_TERMS = 6

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """The residual explained by what a wrong operator would leave.

    Noise that a restorer left in its image is correlated with the noise in the residual, which least squares would take
    for gain and blur. The terms are therefore tested against those of the smoothed image (instruments), whose share of
    that noise is small: b = (Z^T X)^-1 Z^T r.

    Parameters
    ----------
    coefficients : of 1, (p - c)/s, ((p - c)/s)^2, dp/di, dp/dj and the laplacian of p = A x, in image units (px, px^2).
    errors : their standard errors.
    centre, scale : c and s, mean and deviation of p in the body.
    largest : of each term where it was fitted; beyond, only offset and gain are carried on.

    References
    ----------
    Bowden and Turkington, Instrumental Variables, Cambridge 1984, doi 10.1017/CCOL0521262410 (estimator, covariance).
    """

    coefficients: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    centre: float
    scale: float
    largest: npt.NDArray[np.float64]

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

    def trusted(self, *, identity: bool) -> npt.NDArray[np.float64]:
        """Coefficients that an operator may be blamed for: significant, and none that a restorer makes by smoothing."""
        allowed = np.array([True, not identity, not identity, True, True, not identity and self.coefficients[5] > 0])
        significant = np.abs(self.coefficients) > _SIGNIFICANCE * self.errors
        significant[0] |= (allowed & significant)[1:3].any()  # gain and curve have a mean of their own
        return np.where(allowed & significant, self.coefficients, 0.0)

    def subtracted(self, item: SliceResidual, *, identity: bool) -> SliceResidual:
        """The slice with the trusted part of the fit taken off its residual."""
        coefficients = self.trusted(identity=identity).astype(np.float32)
        if not coefficients.any():
            return item
        used = np.flatnonzero(coefficients)
        bounds = self.largest[used].astype(np.float32)[:, None, None]
        terms = _terms(item.predicted, self.centre, self.scale)[used]
        terms = np.where(np.isin(used, _LINEAR)[:, None, None], terms, np.clip(terms, -bounds, bounds))
        residual = item.residual - np.tensordot(coefficients[used], terms, axes=1).astype(np.float32)
        u = np.divide(residual, item.sigma, out=np.zeros_like(residual), where=item.sigma > 0)
        return replace(item, residual=residual, u=u)

    def significant(self, *terms: int) -> bool:
        """True if one of these coefficients is beyond 4 standard errors."""
        return any(abs(self.coefficients[term]) > _SIGNIFICANCE * self.errors[term] for term in terms)

    def result(
        self, name: str, *, largest_offset: float, identity: bool, declared: bool, modality: Modality = "CT"
    ) -> ChannelResult:
        """The channel: value is the worst of all readings over its bound, where significant.

        The identity can be wrong in nothing but offset and place. Elsewhere a point spread wider than stated counts; a
        narrower one means that the restorer smoothed.
        """
        readings = {"offset": (abs(self.offset) / largest_offset, (0,)), "shift": (self._shift_share, (3, 4))}
        if not identity:
            readings |= {
                "gain": (abs(self.gain) / LARGEST_GAIN, (1,)),
                "curve": (abs(self.curve) / LARGEST_GAIN, (2,)),
                "blur": (max(self.blur, 0.0) / LARGEST_BLUR, (5,)),
            }
        finite = bool(np.isfinite(self.coefficients).all() and not np.isnan(self.errors).any())
        counted = {key: share for key, (share, terms) in readings.items() if self.significant(*terms)}
        value = max(counted.values(), default=0.0) if finite else math.nan
        status: ChannelStatus = "passed" if finite and value <= 1 else "held"
        note = f"offset {self.offset:+.3g}, shift {self.shift_px[0]:+.2f} {self.shift_px[1]:+.2f} px"
        if not identity:
            note += f", gain {100 * self.gain:+.2f} %, curve {100 * self.curve:+.2f} %, blur {100 * self.blur:+.0f} %"
        words = ""
        if status == "held":
            blame = "the image does not fit its declared operator" if declared else "the operator does not fit"
            note += f"; {blame} ({', '.join(key for key, share in counted.items() if share > 1)})"
            if counted.get("blur", 0) > 1:
                note += "; a wrong blur of the operator and one of the restorer look alike"
            words = self._words(counted, largest_offset=largest_offset, modality=modality, declared=declared)
        return ChannelResult(name, "range", status, value, 1.0, None, may="hold", note=note, words=words)

    def _words(self, counted: Mapping[str, float], *, largest_offset: float, modality: Modality, declared: bool) -> str:
        if not any(share > 1 for share in counted.values()):
            return ""
        return audit_words(
            counted,
            offset=self.offset,
            largest_offset=largest_offset,
            shift_px=self.shift_px,
            gain=self.gain,
            curve=self.curve,
            blur=self.blur,
            modality=modality,
            declared=declared,
        )

    @property
    def _shift_share(self) -> float:
        return math.hypot(*self.shift_px) / LARGEST_SHIFT_PX


def audit(items: Iterable[SliceResidual], *, identity: bool) -> Audit | None:
    """Fit over the body of some slices, weighted by their noise; None where there is too little to fit.

    The identity is fitted by offset and shift. Terms that a flat image cannot tell from each other are left out.
    Errors are those of a jackknife over 16 groups of 32 px blocks: correlated noise widens them, and what rests on one
    place, as a lesion does, is not significant.
    """
    chosen = [(item, _inside(item)) for item in items if item.judgeable]
    chosen = [(item, inside) for item, inside in chosen if inside.any()]
    if not chosen:
        return None
    signal = np.concatenate([item.predicted[inside].astype(np.float64) for item, inside in chosen])
    centre, scale = float(signal.mean()), max(float(signal.std()), 1e-6)
    largest = np.zeros(_TERMS)
    cross, moment = np.zeros((_GROUPS, _TERMS, _TERMS)), np.zeros((_GROUPS, _TERMS))
    for item, inside in chosen:
        weights = 1 / item.sigma[inside].astype(np.float64)
        smooth = ndimage.gaussian_filter(item.predicted, _INSTRUMENT_PX[identity])
        terms, instruments = (
            _terms(image, centre, scale)[:, inside].astype(np.float64) for image in (item.predicted, smooth)
        )
        largest = np.maximum(largest, np.abs(terms).max(1))
        terms, instruments = terms * weights, instruments * weights
        scaled, groups = item.residual[inside] * weights, _groups(inside)
        for group in range(_GROUPS):
            mine = groups == group
            cross[group] += instruments[:, mine] @ terms[:, mine].T
            moment[group] += instruments[:, mine] @ scaled[mine]
    empty = Audit(np.zeros(_TERMS), np.full(_TERMS, np.inf), centre, scale, largest)
    for used in ([0, 3, 4],) if identity else (list(range(_TERMS)), [0, 3, 4]):
        fit = _solved(cross, moment, used, empty)
        if fit is not None:
            return fit
    return _solved(cross, moment, [0], empty)


def _solved(
    cross: npt.NDArray[np.float64], moment: npt.NDArray[np.float64], used: list[int], empty: Audit
) -> Audit | None:
    """The fit of the terms in `used`; the others are 0 with an error without bound. None where terms are alike."""
    chosen = np.ix_(used, used)
    wholes = [cross.sum(0) - part for part in (np.zeros_like(cross[0]), *cross)]
    sums = [moment.sum(0) - part for part in (np.zeros_like(moment[0]), *moment)]
    if not all(_well_conditioned(whole[chosen]) for whole in wholes):
        return None
    fits = np.array([np.linalg.solve(whole[chosen], part[used]) for whole, part in zip(wholes, sums, strict=True)])
    spread = fits[1:] - fits[1:].mean(0)
    coefficients, errors = np.zeros(_TERMS), np.full(_TERMS, np.inf)
    coefficients[used] = fits[0]
    errors[used] = np.sqrt((_GROUPS - 1) / _GROUPS * (spread**2).sum(0))
    return replace(empty, coefficients=coefficients, errors=errors)


def _groups(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Group of each pixel inside: blocks of 32 px, neighbours in different groups."""
    rows, columns = np.nonzero(inside)
    blocks: npt.NDArray[np.intp] = (4 * (rows // _BLOCK_PX % 4) + columns // _BLOCK_PX % 4) % _GROUPS
    return blocks


def _well_conditioned(matrix: npt.NDArray[np.float64]) -> bool:
    size = np.sqrt(np.abs(np.diag(matrix)))
    if not (np.isfinite(matrix).all() and (size > 0).all()):
        return False
    return bool(np.linalg.cond(matrix / np.outer(size, size)) < _LARGEST_CONDITION)


def _inside(item: SliceResidual) -> npt.NDArray[np.bool_]:
    return np.asarray(ndimage.binary_erosion(item.mask, iterations=_EROSION) & (item.sigma > 0))


def _terms(predicted: Plane, centre: float, scale: float) -> Plane:
    level = (predicted - np.float32(centre)) / np.float32(scale)
    first, second = np.gradient(predicted)
    return np.stack([np.ones_like(level), level, level**2, first, second, ndimage.laplace(predicted)])
