"""R8: does a second, independent scan agree with the restored image?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from medsr.errors import Refusal
from medsr.physics import Operator
from medsr.physics.estimate import estimate_noise
from medsr.records import ChannelResult, ChannelStatus, NoiseLevel, Restoration
from medsr.validation.local_noise import plane_of
from medsr.validation.registration import displacement
from medsr.validation.residual import Measurement, Residuals
from medsr.volume import Volume

__all__ = ["LARGEST_ERROR", "second_result"]

LARGEST_ERROR = 1.0
"""Of mean u2^2 - 1: an image that is farther from the truth than the noise of a scan is worse than the scan."""

_REGISTERED_SLICES = 5


def second_result(restoration: Restoration) -> ChannelResult:
    """The channel: value is mean u2^2 - 1 over the patient, u2 = (y2 - A x) / sigma2.

    The noise of the second scan knows nothing of the image, so the mean of u2^2 is 1 plus the error of A x in units
    of that noise, squared: no truth is needed. The scans must lie within a quarter of a pixel of each other; a patient
    who moved would count as an error of the image. Its noise is that of its own sidecar, else estimated.
    """
    second = restoration.second
    if second is None:
        return _not_assessed("no second scan was given")
    misfit = _misfit(restoration.measured, second)
    if misfit:
        return _not_assessed(misfit)
    operator, level = _noise_of(restoration, second)
    other = replace(restoration, measured=second, operator=operator, noise=level)
    residuals = Residuals(Measurement(other), restoration.image)
    total, count, slices = 0.0, 0, []
    for item in residuals.slices():
        if item.judgeable:
            square = item.u[item.mask].astype(np.float64) ** 2
            total += float(square.sum())
            count += square.size
            slices.append(float(square.mean()))
    if count == 0:
        return _not_assessed("no voxel to judge")
    value = total / count - 1
    finite = math.isfinite(value)
    status: ChannelStatus = "passed" if finite and value <= LARGEST_ERROR else "held"
    error = math.sqrt(max(value, 0.0)) if finite else math.nan
    note = f"the image is wrong by {error:.2f} of the noise ({level.provenance}) where the scan sees it"
    if len(slices) > 1:
        note += f", {math.sqrt(max(max(slices) - 1, 0.0)):.2f} on the worst slice"
    return ChannelResult("R8", "range", status, value, LARGEST_ERROR, may="verify", note=note)


def _not_assessed(note: str) -> ChannelResult:
    return ChannelResult("R8", "range", "not_assessed", None, LARGEST_ERROR, may="verify", note=note)


def _misfit(measured: Volume, second: Volume) -> str:
    """Why the second scan cannot be compared with the first; empty if it can."""
    if second.geometry.shape != measured.geometry.shape or second.modality != measured.modality:
        return f"the second scan is {second.modality} {second.geometry.shape}, the first {measured.geometry.shape}"
    if not measured.geometry.matches(second.geometry, tolerance_mm=0.25 * min(measured.geometry.spacing_mm)):
        return "the second scan lies elsewhere in space"
    if second.source.sha256 == measured.source.sha256 and np.array_equal(second.values, measured.values):
        return "the second scan is the first one: it is not independent"
    axis = measured.geometry.slice_axis
    count = measured.geometry.shape[axis]
    inner = np.unique(np.linspace(count // 4, count - 1 - count // 4, _REGISTERED_SLICES).round().astype(int))
    found = [displacement(plane_of(second.values, i, axis), plane_of(measured.values, i, axis)) for i in inner]
    apart = [item for item in found if not item.comparable]
    if apart:
        worst = max(apart, key=lambda item: np.nan_to_num(np.hypot(item.rows, item.columns), nan=np.inf))
        return (
            f"not comparable: {len(apart)} of {len(found)} slices lie apart, the worst by {worst.rows:+.2f} "
            f"{worst.columns:+.2f} px with a likeness of {worst.likeness:.2f}"
        )
    return ""


def _noise_of(restoration: Restoration, second: Volume) -> tuple[Operator, NoiseLevel]:
    """Operator and noise of the second scan: its sidecar's noise where it fits, else what its pixels show."""
    operator, model = restoration.operator, restoration.noise.model
    record = (second.degradation or {}).get("operator", second.degradation)
    if isinstance(record, dict):
        try:
            stated = Operator.from_record(record)
        except Refusal:
            stated = None
        if stated is not None and stated.noise.level > 0 and second.modality == "MR":
            return replace(operator, noise=stated.noise), NoiseLevel(stated.noise.level, model, "declared")
    return operator, NoiseLevel(estimate_noise(second).sigma, model, "estimated")
