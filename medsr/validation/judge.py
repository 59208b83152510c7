"""The judge: every channel over a Restoration, fail closed. It knows no model."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from medsr.errors import MedsrError
from medsr.records import ChannelResult, Finding, Judgement, Restoration, pixels_sha256
from medsr.validation.findings import findings_of
from medsr.validation.r1_global import LARGEST_BIAS_HU, LARGEST_BIAS_SHARE, GlobalAgreement
from medsr.validation.r4_scan import THRESHOLD, Peak, Scan
from medsr.validation.residual import SliceResidual, residual_slices
from medsr.validation.spectrum import radial_spectrum

__all__ = ["CHANNELS", "judge"]

CHANNELS = ("R1", "R4", "R1w", "R4w")
"""Built channels: R1 and R4 on the estimate before projection, and again (w) on the written pixels."""

_SPECTRUM_SLICES = 24
_SHOWN_SLICES = 4
_SMOOTH = 8
_INTERPOLATED = 0.3

_log = logging.getLogger("medsr.validation")


@dataclass(frozen=True, slots=True, eq=False)
class _Scanned:
    """What R1 and R4 found on one image."""

    channels: tuple[ChannelResult, ...]
    findings: tuple[Finding, ...]
    peaks: tuple[Peak, ...]
    maps: dict[int, npt.NDArray[np.float32]]


def judge(restoration: Restoration) -> Judgement:
    """Judge a restoration; never raises.

    Anything that goes wrong becomes ``Judgement.error`` with every channel not assessed, which no policy releases.
    """
    try:
        return _judge(restoration)
    except MedsrError as error:
        return _failed(restoration, error.code)
    except Exception as error:  # the gate fails closed: an unknown error is a blocked result, never a passed one
        _log.exception("judge.failed")
        return _failed(restoration, type(error).__name__)


def _judge(restoration: Restoration) -> Judgement:
    null_share = 1 - restoration.operator.linear.measured_fraction()
    scanned = []
    if restoration.estimate is not None:
        scanned.append(_scan(restoration, restoration.estimate, "", null_share))
    else:
        scanned.append(_Scanned(_without_estimate(), (), (), {}))
    same = restoration.estimate is restoration.image or _equal(restoration)
    written = scanned[0] if same else _scan(restoration, restoration.image, "w", null_share)
    channels = scanned[0].channels + tuple(
        ChannelResult(f"{item.name.rstrip('w')}w", item.kind, item.status, item.value, item.threshold, item.p,
                      item.may, item.note)
        for item in written.channels
    )  # fmt: skip
    findings = scanned[0].findings + tuple(
        item for item in written.findings if not any(_overlap(item, other) for other in scanned[0].findings)
    )
    shown = _shown_slices(restoration, findings)
    energy, supplied = _supplied(restoration, shown)
    return Judgement(
        pixels_sha256=pixels_sha256(restoration.image, restoration.geometry),
        channels=channels,
        findings=findings,
        score=None,
        calibration=None,
        measured_fraction=restoration.operator.linear.measured_fraction(),
        supplied_energy=energy,
        maps={"contradicted": _contradicted(restoration, scanned[0].maps or written.maps, shown), "supplied": supplied},
        limits=_limits(restoration),
    )


def _scan(restoration: Restoration, image: npt.NDArray[np.float32], suffix: str, null_share: float) -> _Scanned:
    """R1 and R4 over every slice; two walks, the first for the spectrum that whitens the second."""
    axis = restoration.measured.geometry.slice_axis
    shape = tuple(restoration.measured.geometry.shape[a] for a in restoration.measured.geometry.in_plane_axes)
    plane_shape = (shape[0], shape[1])
    count = restoration.measured.geometry.shape[axis]
    sample = set(np.unique(np.linspace(0, count - 1, min(count, _SPECTRUM_SLICES)).round().astype(int)).tolist())
    spectrum = _spectrum(
        restoration, (item for item in residual_slices(restoration, image) if item.index in sample), plane_shape
    )
    scan = Scan(plane_shape, spectrum)
    agreement = GlobalAgreement(_largest_bias(restoration))
    peaks: list[Peak] = []
    sigmas: list[float] = []
    maps: dict[int, npt.NDArray[np.float32]] = {}
    spreads: list[float] = []
    for item in residual_slices(restoration, image):
        agreement.add(item, spectrum)
        found, best = scan.peaks(item)
        peaks += found
        sigmas += [float(item.sigma[peak.place]) for peak in found]
        if found or item.index == count // 2:
            maps[item.index] = best.astype(np.float16).astype(np.float32)
        if item.mask.sum() > 400:
            spreads.append(float(np.median(scan.spreads(scan.maps(item), item.mask))) if item.index in sample else 1.0)
    channels = (
        agreement.result(f"R1{suffix}", null_share),
        _scan_channel(f"R4{suffix}", peaks, spreads, null_share, count),
    )
    return _Scanned(channels, findings_of(peaks, restoration, sigmas, channel="R4"), tuple(peaks), maps)


def _spectrum(
    restoration: Restoration, items: Iterable[SliceResidual], shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Noise spectrum: of the residual for CT; white for MR unless the residual's outer band is empty (interpolated)."""
    measured = radial_spectrum(((item.u, item.mask) for item in items), shape)
    if restoration.measured.modality == "CT":
        return measured
    middle = measured[: shape[0] // 8, : shape[1] // 8].mean()
    outer = measured[3 * shape[0] // 8 : shape[0] // 2, 3 * shape[1] // 8 :].mean()
    interpolated = outer < _INTERPOLATED * middle and restoration.noise.provenance == "estimated"
    return measured if interpolated else np.ones_like(measured)


def _scan_channel(name: str, peaks: list[Peak], spreads: list[float], null_share: float, slices: int) -> ChannelResult:
    if not spreads:
        return ChannelResult(name, "range", "not_assessed", None, THRESHOLD, may="verify", note="no voxel to judge")
    value = max((abs(peak.z) for peak in peaks), default=0.0)
    spread = float(np.median(spreads))
    p = min(1.0, min((peak.p for peak in peaks), default=1.0) * slices)
    note = (
        f"{len(peaks)} places above {THRESHOLD} noise sd, spread {spread:.2f}; "
        f"{null_share:.0%} of the image is not seen by it"
    )
    status = "held" if peaks or not math.isfinite(value) or not math.isfinite(spread) else "passed"
    return ChannelResult(name, "range", status, value, THRESHOLD, p, may="verify", note=note)


def _without_estimate() -> tuple[ChannelResult, ...]:
    note = "no_preprojection: the estimate before projection is not there, so agreement proves nothing"
    return tuple(
        ChannelResult(name, "range", "not_assessed", None, limit, may=may, note=note)
        for name, limit, may in (("R1", 1.0, "reject"), ("R4", THRESHOLD, "verify"))
    )  # type: ignore[arg-type, unused-ignore]


def _largest_bias(restoration: Restoration) -> float:
    if restoration.measured.modality == "CT":
        return LARGEST_BIAS_HU
    positive = restoration.measured.values[restoration.measured.values > 0]
    return LARGEST_BIAS_SHARE * float(np.percentile(positive[:: max(1, positive.size >> 22)], 99.9))


def _equal(restoration: Restoration) -> bool:
    """True for denoising: image and estimate differ by rounding and fill values alone."""
    if restoration.estimate is None or restoration.operator.linear.kind != "identity":
        return False
    step = 0.51 if restoration.measured.source.integer else 0.0
    return bool(np.abs(restoration.image - restoration.estimate).max() <= step)


def _overlap(one: Finding, other: Finding) -> bool:
    pairs = zip(one.box_voxel[0], one.box_voxel[1], other.box_voxel[0], other.box_voxel[1], strict=True)
    return one.type == other.type and all(a < d and c < b for a, b, c, d in pairs)


def _shown_slices(restoration: Restoration, findings: tuple[Finding, ...]) -> tuple[int, ...]:
    """Slices of the strongest findings, else the middle one; at most four."""
    axis = restoration.geometry.slice_axis
    chosen: list[int] = []
    for finding in sorted(findings, key=lambda item: -item.dprime):
        middle = (finding.box_voxel[0][axis] + finding.box_voxel[1][axis] - 1) // 2
        if middle not in chosen:
            chosen.append(middle)
    return tuple(chosen[:_SHOWN_SLICES]) or (restoration.geometry.shape[axis] // 2,)


def _supplied(restoration: Restoration, shown: tuple[int, ...]) -> tuple[float, dict[int, npt.NDArray[np.float32]]]:
    """|P0 (x - l)|^2 / |x - l|^2 over the volume, and local rms of P0 (x - l) on the shown slices."""
    linear, axis = restoration.operator.linear, restoration.geometry.slice_axis
    if linear.kind == "identity":
        plane = tuple(size for a, size in enumerate(restoration.geometry.shape) if a != axis)
        return 0.0, {index: np.zeros(plane, np.float32) for index in shown}
    supplied, total, maps = 0.0, 0.0, {}
    for index in range(restoration.geometry.shape[axis]):
        place: list[int | slice] = [slice(None)] * 3
        place[axis] = index
        plane_values = np.array(restoration.image[tuple(place)], np.float32)
        detail = plane_values - ndimage.uniform_filter(plane_values, _SMOOTH, mode="nearest")
        part = torch.from_numpy(detail).unsqueeze(axis)
        null = detail - linear.slab(index, index + 1).project(part).squeeze(axis).numpy()
        supplied += float((null.astype(np.float64) ** 2).sum())
        total += float((detail.astype(np.float64) ** 2).sum())
        if index in shown:
            maps[index] = np.sqrt(ndimage.uniform_filter(null**2, _SMOOTH)).astype(np.float32)
    return (supplied / total if total > 0 else 0.0), maps


def _contradicted(
    restoration: Restoration, maps: dict[int, npt.NDArray[np.float32]], shown: tuple[int, ...]
) -> dict[int, npt.NDArray[np.float32]]:
    """The z map of the shown slices, on the restored grid by nearest neighbour."""
    axes = restoration.geometry.in_plane_axes
    result = {}
    for index in shown:
        if index in maps:
            coarse = maps[index]
            places = [
                np.minimum((np.arange(restoration.geometry.shape[axis]) + 0.5) * size / restoration.geometry.shape[axis],
                           size - 1).astype(int)
                for axis, size in zip(axes, coarse.shape, strict=True)
            ]  # fmt: skip
            result[index] = coarse[np.ix_(places[0], places[1])]
    return result


def _limits(restoration: Restoration) -> tuple[str, ...]:
    """What this judgement could not know."""
    limits = ["Structures with a detectability d' below 5 in the measurement cannot be told from noise."]
    if restoration.operator.linear.kind != "identity":
        limits.append("Detail beyond the measured resolution was supplied by the model; no measurement can verify it.")
    if restoration.operator.provenance != "declared":
        limits.append("The degradation operator was taken from the modality and the grids, not declared.")
    if restoration.measured.modality == "MR":
        limits.append("Where the signal is below twice the noise (Rician floor) nothing was judged.")
    else:
        limits.append("The noise spectrum was taken from the residual itself, since the kernel is not known.")
    if restoration.noise.provenance == "estimated":
        limits.append("The noise level was estimated from the pixels.")
    if restoration.estimate is None:
        limits.append("The estimate before projection is not there: agreement with the measurement proves nothing.")
    return tuple(limits)


def _failed(restoration: Restoration, reason: str) -> Judgement:
    channels = tuple(
        ChannelResult(name, "range", "not_assessed", None, None, note=f"judging failed: {reason}") for name in CHANNELS
    )
    return Judgement(
        pixels_sha256="", channels=channels, findings=(), score=None, calibration=None,
        measured_fraction=0.0, supplied_energy=0.0, error=reason,
    )  # fmt: skip
