"""The judge: every channel over a Restoration, fail closed. It knows no model."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import fft

from medsr.errors import MedsrError, Refusal
from medsr.records import ChannelResult, Finding, Judgement, Restoration, pixels_sha256
from medsr.validation.beside import beside
from medsr.validation.calibration_use import calibrated
from medsr.validation.findings import findings_of, merged
from medsr.validation.limits import limits_of
from medsr.validation.local_noise import plane_of
from medsr.validation.maps import contradicted, shown_slices, supplied
from medsr.validation.r1_global import LARGEST_BIAS_HU, LARGEST_BIAS_SHARE, GlobalAgreement
from medsr.validation.r2_local import THRESHOLD as WINDOW_THRESHOLD
from medsr.validation.r2_local import LocalAgreement
from medsr.validation.r3_audit import Audit, audit
from medsr.validation.r4_scan import THRESHOLD, Scan, ScanTally
from medsr.validation.r7_whiteness import Whiteness
from medsr.validation.reference import compare
from medsr.validation.residual import Measurement, Residuals, SliceResidual
from medsr.validation.spectrum import Spectrum, outer_share, radial_spectrum, square_variance, window_variance

__all__ = ["CHANNELS", "judge"]

CHANNELS = ("R1", "R2", "R3", "R4", "R7", "R8", "R9", "N1", "N2", "N3", "N4", "N5", "R1w", "R4w")
"""Built channels: on the estimate before projection, and R1 and R4 again (w) on the written pixels."""

_SPECTRUM_SLICES = 24
_MOST_MAPS = 8
_PERCENTILE_SAMPLE = 2**18
_CORNER_SLICES = 6
_AUDIT_SLICES = 8
_INTERPOLATED = 0.06
"""Less than this share of the noise near the Nyquist corner: the scanner interpolated, and its noise is not white."""

_FLOOD = 0.1
"""Where more than this share of all neighbourhoods departs from the scan, the image contradicts it as a whole."""

_log = logging.getLogger("medsr.validation")


@dataclass(slots=True, eq=False)
class _Examined:
    """What the range channels found on one image; maps of its worst slices alone are kept."""

    channels: tuple[ChannelResult, ...]
    findings: tuple[Finding, ...]
    maps: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)


def judge(
    restoration: Restoration, *, policy_sha256: str | None = None, today: datetime.date | None = None
) -> Judgement:
    """Judge a restoration; never raises.

    Anything that goes wrong becomes ``Judgement.error`` with every channel not assessed, which no policy releases.

    Parameters
    ----------
    policy_sha256 : of the policy that will decide; None judges without looking for a calibration record.
    today : the day by which a record must not have expired.
    """
    try:
        judgement = _judge(restoration)
        if policy_sha256 is None:
            return judgement
        day = today or datetime.datetime.now(datetime.UTC).date()
        return _under_record(judgement, restoration, policy_sha256, day)
    except MedsrError as error:
        return _failed(error.code)
    except Exception as error:  # noqa: BLE001 - the gate fails closed: an unknown error is a blocked result
        _log.exception("judge.failed")
        return _failed(type(error).__name__)


def _judge(restoration: Restoration) -> Judgement:
    _check(restoration)
    measurement = Measurement(restoration)
    white = _white(measurement)
    same = restoration.estimate is not None and _same(restoration, restoration.estimate)
    written = _examine(measurement, restoration.image, "w", white=white, follow=same)
    if restoration.estimate is None:
        before = _Examined(_without_estimate(), ())
    elif same:
        before = _Examined(tuple(replace(item, name=item.name.removesuffix("w")) for item in written.channels), ())
    else:
        before = _examine(measurement, restoration.estimate, "", white=white, follow=True)
    interpolated = restoration.measured.modality == "MR" and not white
    others = beside(measurement, largest_bias=_largest_bias(restoration), interpolated=interpolated)
    stranger = restoration.estimate is None
    again = tuple(item for item in written.channels if stranger or item.name in CHANNELS)
    findings = merged(before.findings, written.findings)
    shown = shown_slices(restoration, findings)
    reference = compare(restoration, largest_bias=_largest_bias(restoration), shown=shown)
    channels = (*before.channels, *others.channels, *again, *reference.channels)
    energy, supplied_maps = supplied(restoration, shown)
    return Judgement(
        pixels_sha256=pixels_sha256(restoration.image, restoration.geometry),
        channels=channels,
        findings=findings,
        score=None,
        calibration=None,
        measured_fraction=restoration.operator.linear.measured_fraction(),
        supplied_energy=energy,
        maps={
            "contradicted": contradicted(restoration, {**written.maps, **before.maps}, shown),
            "supplied": supplied_maps,
            **reference.maps,
        },
        limits=(*limits_of(restoration), *others.limits),
        codes=(*_codes(restoration, channels), *others.codes),
        noise_may_be_high=others.noise_may_be_high,
    )


def _under_record(
    judgement: Judgement, restoration: Restoration, policy_sha256: str, today: datetime.date
) -> Judgement:
    found = calibrated(restoration, judgement.channels, policy_sha256=policy_sha256, today=today)
    limits = (*judgement.limits, *([found.limit] if found.limit else []))
    return replace(judgement, channels=found.channels, score=found.score, calibration=found.use, limits=limits)


def _codes(restoration: Restoration, channels: tuple[ChannelResult, ...]) -> tuple[str, ...]:
    """Reasons that hold a result beside channels and findings."""
    codes = ["no_preprojection"] if restoration.estimate is None else []
    if restoration.operator.provenance != "declared":
        unfit = any(item.name in ("R3", "R3w") and item.status == "held" for item in channels)
        codes += ["operator.unverified"] if unfit else []
    flooded = any((item.extent or 0) > _FLOOD and item.status == "held" for item in channels if item.kind == "range")
    return (*codes, *(["contradicts.whole"] if flooded else []))


def _check(restoration: Restoration) -> None:
    """Refuse what is not a restoration of this measurement, or holds NaN anywhere."""
    linear, geometry = restoration.operator.linear, restoration.geometry
    images = [("image", restoration.image)]
    if restoration.estimate is not None:
        images.append(("estimate", restoration.estimate))
    for name, image in images:
        if image.shape != geometry.shape or image.shape != linear.fine_shape:
            raise Refusal("judge.shape", f"{name} {image.shape}, operator {linear.fine_shape}, grid {geometry.shape}")
        for index in range(geometry.shape[2]):
            if not np.isfinite(image[:, :, index]).all():
                raise Refusal("judge.not_finite", f"slice {index} of the {name} along k holds NaN or infinite values")
    if restoration.measured.geometry.shape != linear.coarse_shape:
        fact = f"the scan is {restoration.measured.geometry.shape}, the operator gives {linear.coarse_shape}"
        raise Refusal("judge.shape", fact)


def _examine(
    measurement: Measurement, image: npt.NDArray[np.float32], suffix: str, *, white: bool, follow: bool
) -> _Examined:
    """Every range channel over every slice; R7 where `follow` is set, since projection whitens a residual.

    Spectrum (where it is not white) and audit come from a sample of slices first; R2 and R4 look at what the audit
    leaves.
    """
    restoration, residuals = measurement.restoration, Residuals(measurement, image)
    identity = restoration.operator.linear.kind == "identity"
    sample = _sample(residuals, _AUDIT_SLICES if white else _SPECTRUM_SLICES)
    fit = audit(list(sample.values())[:: max(1, len(sample) // _AUDIT_SLICES)], identity=identity)
    parts = [fit.subtracted(item, identity=identity) if fit else item for item in sample.values()]
    spectrum = _spectrum(measurement, parts, white=white)
    largest = _largest_bias(restoration)
    checked = _audit_result(f"R3{suffix}", fit, restoration, largest)
    # What an audit takes off the body it takes off the air, too, where it need not be true.
    level_air = measurement.volume.modality == "MR" or checked.status == "held"
    scan, tally = Scan(measurement.plane_shape, spectrum, level_air=level_air), ScanTally()
    modality = measurement.volume.modality
    agreement, audited = GlobalAgreement(modality, largest), GlobalAgreement(modality, largest)
    whiteness = Whiteness()
    local = LocalAgreement(spectrum, modality=modality, largest_bias=largest)
    square = square_variance(spectrum)
    maps: dict[int, npt.NDArray[np.float32]] = {}
    worst: dict[int, float] = {}
    for index in range(measurement.count):
        item = sample.pop(index, None) or residuals.slice(index)
        left = fit.subtracted(item, identity=identity) if fit else item
        if item.judgeable:
            variance = window_variance(spectrum, item.mask)
            agreement.add_with(item, variance, square)
            audited.add_with(left, variance, square)
        local.add(left)
        power = scan.white(left)
        if follow:
            whiteness.add(left, left.u if white else fft.irfft2(power, measurement.plane_shape))
        scanned = scan.scan(left, spectrum=power)
        tally.add(left, scanned)
        worst[index] = abs(scanned.peaks[0].z) if scanned.peaks else 0.5 * (index == measurement.count // 2)
        maps[index] = scanned.best
        if len(maps) > _MOST_MAPS:
            maps.pop(min(maps, key=lambda kept: worst[kept]))
    note = f"{1 - restoration.operator.linear.measured_fraction():.0%} of the image is not seen by it"
    channels = (
        agreement.result(f"R1{suffix}", note, audited=audited),
        local.result(f"R2{suffix}", note),
        checked,
        tally.result(f"R4{suffix}", note),
        *([whiteness.result(f"R7{suffix}", note)] if follow else []),
    )
    return _Examined(channels, findings_of(tally.peaks, restoration, channel=f"R4{suffix}"), maps)


def _sample(residuals: Residuals, most: int) -> dict[int, SliceResidual]:
    return {item.index: item for item in residuals.slices(_spread_over(residuals.measurement.count, most))}


def _spectrum(measurement: Measurement, sample: Iterable[SliceResidual], *, white: bool) -> Spectrum:
    shape = measurement.plane_shape
    if white:
        return np.ones((shape[0], shape[1] // 2 + 1))
    return radial_spectrum(((item.u, item.mask) for item in sample), shape)


def _audit_result(name: str, fit: Audit | None, restoration: Restoration, largest: float) -> ChannelResult:
    if fit is None:
        return ChannelResult(name, "range", "not_assessed", None, 1.0, may="hold", note="no voxel to judge")
    identity = restoration.operator.linear.kind == "identity"
    declared = restoration.operator.provenance == "declared"
    modality = restoration.measured.modality
    return fit.result(name, largest_offset=largest, identity=identity, declared=declared, modality=modality)


def _white(measurement: Measurement) -> bool:
    """True for MR with noise up to the Nyquist corner: declared to be so, or seen in the scan itself."""
    if measurement.volume.modality == "CT":
        return False
    if measurement.restoration.noise.provenance == "declared" or not measurement.known:
        return True
    planes = (measurement.plane(index) for index in _spread_over(measurement.count, _CORNER_SLICES))
    return outer_share(planes, measurement.level) > _INTERPOLATED


def _spread_over(count: int, most: int) -> list[int]:
    chosen: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
    return chosen


def _without_estimate() -> tuple[ChannelResult, ...]:
    note = "the estimate before projection is not there, so agreement proves nothing"
    return (
        ChannelResult("R1", "range", "not_assessed", None, 1.0, may="reject", note=note),
        ChannelResult("R2", "range", "not_assessed", None, WINDOW_THRESHOLD, may="verify", note=note),
        ChannelResult("R3", "range", "not_assessed", None, 1.0, may="hold", note=note),
        ChannelResult("R4", "range", "not_assessed", None, THRESHOLD, may="verify", note=note),
        ChannelResult("R7", "range", "not_assessed", None, 1.0, may="hold", note=note),
    )


def _largest_bias(restoration: Restoration) -> float:
    """1 HU, or .5 % of q: the 99.9th percentile of positive voxels, of the clean scan where the sidecar states it."""
    if restoration.measured.modality == "CT":
        return LARGEST_BIAS_HU
    reference = (restoration.measured.degradation or {}).get("reference")
    stated = reference.get("q") if isinstance(reference, Mapping) else None
    if isinstance(stated, (int, float)) and np.isfinite(stated) and stated > 0:
        return LARGEST_BIAS_SHARE * float(stated)
    values = restoration.measured.values
    step = math.ceil((values.size / _PERCENTILE_SAMPLE) ** (1 / 3))
    sampled = values[::step, ::step, ::step]
    positive = sampled[sampled > 0]
    return LARGEST_BIAS_SHARE * float(np.percentile(positive, 99.9)) if positive.size else LARGEST_BIAS_SHARE


def _same(restoration: Restoration, estimate: npt.NDArray[np.float32]) -> bool:
    """True where nothing was projected: image and estimate differ by rounding and fill values alone."""
    if restoration.image is estimate:
        return True
    if restoration.operator.linear.kind not in ("identity", "slice_mask"):
        return False
    step = 0.51 if restoration.measured.source.integer else 0.0
    axis, padding = restoration.geometry.slice_axis, restoration.measured.padding
    for index in range(restoration.geometry.shape[axis]):
        difference = np.abs(plane_of(restoration.image, index, axis) - plane_of(estimate, index, axis))
        if padding is not None:
            difference[np.moveaxis(padding, axis, 0)[index]] = 0
        if difference.max() > step:
            return False
    return True


def _failed(reason: str) -> Judgement:
    note = f"judging failed: {reason}"
    channels = tuple(
        ChannelResult(name, "null" if name.startswith("N") else "range", "not_assessed", None, None, note=note)
        for name in CHANNELS
    )
    return Judgement(
        pixels_sha256="",
        channels=channels,
        findings=(),
        score=None,
        calibration=None,
        measured_fraction=0.0,
        supplied_energy=0.0,
        error=reason,
    )
