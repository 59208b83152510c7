"""One image of a case, scored: the numbers of a row."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from medsr.evaluate.cases import Case, stack_of
from medsr.evaluate.levels import REAL_LOW_DOSE
from medsr.evaluate.metrics import (
    CT_NOISE_CORRELATION,
    body_mask_ct,
    excess_rmse,
    flat_bias,
    flat_part,
    foreground_mr,
    gradient_ratio,
    psnr,
    rank_correlation,
    rmse,
    spread_ratio,
    ssim,
)
from medsr.evaluate.resources import Used
from medsr.physics.estimate import estimate_noise
from medsr.restore.intensity import percentile_of_positive
from medsr.validation.haarpsi import haarpsi

__all__ = ["Judge", "Row", "Spread", "row_record"]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_CT_WINDOW_HU = (-160.0, 240.0)
_CT_PEAK_HU = 1000.0


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one case.

    score is what tables compare (the level's metric); worst_slice the worst score of any judged slice; error the
    RMSE in the mask and bias the flat bias, in HU (CT) or % of q (MR); gradient is noise-corrected; the spread
    fields are None where the method draws no samples; seconds of CPU and peak memory are of the method alone; bundle
    is the start of the bundle's hash, empty for peers; basis says what the figures rest on beside bundle and setting
    (see :mod:`medsr.evaluate.basis`).
    """

    case: str
    subject: str
    role: str
    scanner: str
    level: str
    method: str
    score: float
    worst_slice: float
    error: float
    ssim: float
    haarpsi: float
    gradient: float | None
    bias: float
    cpu_s_per_slice: float
    peak_mb: float | None
    setting: str = ""
    bundle: str = ""
    spread_ratio: float | None = None
    spread_rank: float | None = None
    gradient_rank: float | None = None
    basis: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Standard deviation of K samples, and the regressor's gradient as the predictor to beat."""

    deviation: Array
    samples: int


class Judge:
    """Scores images of one case against its reference, inside the mask and on the judged slices."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.modality = case.reference.modality
        self._judged = list(case.judged)
        self.reference = stack_of(case.reference.values, case.reference)[self._judged]
        self.mask = body_mask_ct(self.reference) if self.modality == "CT" else foreground_mr(self.reference)
        q = percentile_of_positive(case.reference.values) if self.modality == "MR" else _CT_PEAK_HU
        self.peak = q
        self.window = (0.0, q) if self.modality == "MR" else _CT_WINDOW_HU
        self.unit = q / 100 if self.modality == "MR" else 1.0
        simulated = case.level.dose is not None and case.level.name != REAL_LOW_DOSE
        self._noisy = stack_of(case.degraded.values, case.degraded)[self._judged] if simulated else None
        self._flat = flat_part(self.reference, self.mask)
        self._own_sigma = estimate_noise(case.reference).sigma

    def error(self, image: Array) -> float:
        """RMSE in the mask, of an image of the whole slab; image units."""
        return rmse(image[self._judged], self.reference, self.mask)

    def score(self, image: Array) -> float:
        """The level's metric, of an image of the whole slab."""
        return self._score(image[self._judged], slice(None))

    def row(
        self,
        method: str,
        image: Array,
        used: Used,
        *,
        setting: str = "",
        bundle: str = "",
        spread: Spread | None = None,
    ) -> Row:
        """The row of one method."""
        chosen = image[self._judged]
        each = [self._score(chosen[k : k + 1], slice(k, k + 1)) for k in range(len(chosen)) if self.mask[k].any()]
        rho = CT_NOISE_CORRELATION if self.modality == "CT" else 0.0
        gradient = gradient_ratio(chosen, self.reference, self.mask, sigma=self._own_sigma, correlation=rho)
        scan, level = self.case.scan, self.case.level
        ratio, rank, baseline = self._spread(chosen, spread)
        return Row(
            case=scan.name,
            subject=scan.subject,
            role=scan.role,
            scanner=scan.seen,
            level=level.name,
            method=method,
            score=self._score(chosen, slice(None)),
            worst_slice=min(each) if level.larger_is_better else max(each),
            error=rmse(chosen, self.reference, self.mask) / self.unit,
            ssim=ssim(chosen, self.reference, self.mask, peak=self.peak),
            haarpsi=haarpsi(chosen, self.reference, self.mask, window=self.window),
            gradient=None if math.isnan(gradient) else gradient,
            bias=flat_bias(chosen, self.reference, self._flat) / self.unit,
            cpu_s_per_slice=used.cpu_s / len(image),
            peak_mb=used.peak_mb,
            setting=setting,
            bundle=bundle,
            spread_ratio=ratio,
            spread_rank=rank,
            gradient_rank=baseline,
        )

    def _score(self, image: Array, part: slice) -> float:
        """The level's metric over a part of the judged slices.

        The floor of the excess error is sqrt(d) times the error of the input: the added noise is
        sigma_full sqrt(1/d - 1), the floor sigma_full sqrt(1 - d), both over the same mask.
        """
        reference, mask = self.reference[part], self.mask[part]
        if self.modality == "MR":
            return psnr(image, reference, mask, peak=self.peak)
        error = rmse(image, reference, mask)
        if self._noisy is None or self.case.level.dose is None:
            return error
        return excess_rmse(error, math.sqrt(self.case.level.dose) * rmse(self._noisy[part], reference, mask))

    def _spread(self, chosen: Array, spread: Spread | None) -> tuple[float | None, float | None, float | None]:
        if spread is None:
            return None, None, None
        error, deviation = chosen - self.reference, spread.deviation[self._judged]
        steps = np.stack(np.gradient(chosen, axis=(1, 2)))
        return (
            spread_ratio(deviation, error, self.mask, samples=spread.samples),
            rank_correlation(deviation, error, self.mask),
            rank_correlation(np.sqrt((steps**2).sum(0)), error, self.mask),
        )


def row_record(row: Row) -> dict[str, object]:
    """A row as JSON values."""
    return asdict(row)
