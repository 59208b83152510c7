"""`medsr evaluate`: bundles beside the input and classical peers, on the same inputs in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.evaluate.cases import LEVELS, Case, Level, cases_of, read_folder
from medsr.evaluate.metrics import body_mask_ct, excess_rmse, flat_bias, foreground_mr, gradient_ratio, psnr, rmse, ssim
from medsr.evaluate.peers import best_of, cubic, nlm_candidates, zero_filled
from medsr.physics import MagnitudeNoise, ProjectionNoise
from medsr.restore.intensity import percentile_of_positive
from medsr.restore.operators import declared_operator
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.train.scans import subjects_of
from medsr.volume import Volume

__all__ = ["Row", "evaluate_case", "evaluate_folder"]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SLICES = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one case.

    error is the RMSE in the mask (HU for CT, image units for MR); score is what the tables compare: PSNR in dB
    for MR (larger is better), excess RMSE in HU for CT denoising and RMSE for CT x2 (smaller is better);
    worst_slice is the worst score of any slice.
    """

    case: str
    subject: str
    level: str
    method: str
    score: float
    worst_slice: float
    error: float
    ssim: float
    gradient: float
    bias: float
    cpu_s_per_slice: float


def evaluate_folder(
    folder: Path,
    *,
    levels: tuple[Level, ...] = LEVELS,
    slices: int = _SLICES,
    names: tuple[str, ...] = (),
    log: Callable[[str], None],
) -> list[Row]:
    """Evaluate every scan of a folder at every level of its modality.

    Parameters
    ----------
    folder : of .nii.gz scans; ``files.csv`` beside them may name subjects.
    slices : of the middle of each scan that are used.
    names : restrict to scans whose name starts with one of these.
    """
    refused: list[str] = []
    subjects = subjects_of(folder)
    rows: list[Row] = []
    for name, volume in read_folder(folder, log_refused=refused):
        if names and not name.startswith(names):
            continue
        subject = subjects.get(f"{name}.nii.gz", name)
        for case in cases_of(name, volume, levels, subject=subject, slices=slices):
            found = list(evaluate_case(case))
            rows += found
            log(f"{name}, {case.level.name}: " + ", ".join(f"{row.method} {row.score:.2f}" for row in found))
    for line in refused:
        log(f"refused {line}")
    return rows


def evaluate_case(case: Case) -> Iterator[Row]:
    """Rows of one case: input (or zero-fill and cubic), NLM at its best, and the installed regressor."""
    reference = _stack(case.reference.values, case.reference)
    judge = _Judge(case, reference)
    for method, image, seconds in _images(case, judge):
        yield judge.row(method, image, seconds)


def _images(case: Case, judge: _Judge) -> Iterator[tuple[str, Array, float]]:
    measured = case.degraded
    operator = declared_operator(measured)
    if operator is None:
        raise ValueError("a case always carries its operator")
    if case.level.task == "denoise":
        noisy = _stack(measured.values, measured)
        yield "input", noisy, 0.0
        sigma = operator.noise.level
        blends = (0.1, 0.2, 0.3, 0.4, 0.5) if measured.modality == "CT" else ()
        magnitude = isinstance(operator.noise, MagnitudeNoise)
        started = time.process_time()
        image, _ = best_of(nlm_candidates(noisy, sigma, magnitude=magnitude, blends=blends), judge.error)
        yield "NLM at its best", image, time.process_time() - started
    else:
        for method, upsample in (("A+ y", zero_filled), ("cubic", cubic)):
            started = time.process_time()
            image = upsample(measured.values, operator.linear)
            yield method, _stack(image, case.reference), time.process_time() - started
    request = RestoreRequest(case.level.task, scale=case.level.scale)
    started = time.process_time()
    restored = restore(measured, request)
    seconds = time.process_time() - started
    name = restored.model.bundle if restored.model else "medsr"
    yield name, _stack(restored.image, case.reference), seconds


class _Judge:
    """Scores images of one case against its reference."""

    def __init__(self, case: Case, reference: Array) -> None:
        self.case, self.reference = case, reference
        self.modality = case.reference.modality
        self.mask = body_mask_ct(reference) if self.modality == "CT" else foreground_mr(reference)
        self.peak = percentile_of_positive(case.reference.values) if self.modality == "MR" else 1000.0
        self.floor = _noise_floor(case)

    def error(self, image: Array) -> float:
        """RMSE in the mask."""
        return rmse(image, self.reference, self.mask)

    def score(self, image: Array, reference: Array, mask: Mask) -> float:
        """PSNR (MR), excess RMSE (CT denoising) or RMSE (CT x2)."""
        if self.modality == "MR":
            return psnr(image, reference, mask, peak=self.peak)
        return excess_rmse(rmse(image, reference, mask), self.floor)

    def row(self, method: str, image: Array, seconds: float) -> Row:
        """The row of one method."""
        each = [
            self.score(image[k : k + 1], self.reference[k : k + 1], self.mask[k : k + 1])
            for k in range(len(image))
            if self.mask[k].any()
        ]
        return Row(
            case=self.case.name,
            subject=self.case.subject,
            level=self.case.level.name,
            method=method,
            score=self.score(image, self.reference, self.mask),
            worst_slice=min(each) if self.modality == "MR" else max(each),
            error=self.error(image),
            ssim=ssim(image, self.reference, self.mask, peak=self.peak),
            gradient=gradient_ratio(image, self.reference, self.mask),
            bias=flat_bias(image, self.reference, self.mask),
            cpu_s_per_slice=seconds / len(image),
        )


def _noise_floor(case: Case) -> float:
    """Error that the reference's own noise makes unavoidable: sigma_full sqrt(1 - d) for a dose cut, else 0."""
    operator = declared_operator(case.degraded)
    if operator is None or not isinstance(operator.noise, ProjectionNoise):
        return 0.0
    dose = operator.noise.dose_fraction
    full = operator.noise.sigma_hu / (1 / dose - 1) ** 0.5
    return full * float((1 - dose) ** 0.5)


def _stack(values: npt.NDArray[np.float32], like: Volume) -> Array:
    """(I, J, K) values as (S, N1, N2)."""
    return np.ascontiguousarray(np.moveaxis(values, like.geometry.slice_axis, 0))


def row_record(row: Row) -> dict[str, object]:
    """A row as JSON values."""
    return asdict(row)
